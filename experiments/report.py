"""What a study found: ``python -m experiments.report outputs/quickstart``.

Prints the tables and writes them (``table.md``, ``table.csv``, ``table.tex``), its pictures and its page
(``report.html``) into the study's folder, and logs them as a W&B run of the study. Reads what the jobs left on disk and
nothing else, so that it can be run at any time, also while the study is running.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from experiments.analysis.findings import Findings, findings_of
from experiments.common.cache import write_atomic
from experiments.common.errors import ExperimentError
from experiments.job_files.records import Job
from experiments.reporting.summary import latex, markdown, print_findings
from experiments.reporting.tables.results import csv_text, left_out

PAGE = "report.html"


def summarise(folder: Path, measure: str | None = None, track: bool = True) -> list[Path]:
    """Print the summary of the study in ``folder``, write its tables, pictures and page there; the paths written.
    ``measure``: None for that of the study's table, or the jobs' first. ``track``: log them to W&B as the jobs were.

    Raises ExperimentError if the folder is missing or holds no finished job, or if its jobs cannot stand in one table.
    """
    findings = findings_of(Path(folder), measure)
    if not findings.blocks:
        raise ExperimentError(_nothing_finished(findings.folder, findings.jobs))
    console = Console(highlight=False)
    print_findings(findings, console)
    paths = write(findings)
    if track:
        _track(findings, paths)
    console.print()
    for path in paths:
        console.print(Text(str(path)), soft_wrap=True)
    return paths


def write(findings: Findings) -> list[Path]:
    """Write tables, pictures and page into the study's folder; their paths, the page last."""
    from experiments.reporting.page import write_page
    from experiments.reporting.plots.build import pictures_of, write_pictures

    folder = findings.folder
    texts = {"table.md": markdown(findings), "table.csv": csv_text(findings), "table.tex": latex(findings)}
    for name, text in texts.items():
        write_atomic(folder / name, text)
    pictures = pictures_of(findings)
    drawn = write_pictures(pictures, folder)
    return [*(folder / name for name in texts), *drawn, write_page(findings, pictures, folder / PAGE)]


def _track(findings: Findings, paths: Sequence[Path]) -> None:
    from experiments.reporting.wandb_report import log_report

    log_report(findings, paths)


def _nothing_finished(folder: Path, jobs: Sequence[Job]) -> str:
    states = Counter(job.state for job in jobs)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    message = f"none of the jobs in {folder} has finished ({counts})"
    reasons = [f"{name}: {why}" for name, state, why in left_out(jobs) if state != "running"]
    return f"{message}; {reasons[0]}" if reasons else message


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is 2 if the study cannot be summarised."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description="The summary of a study.")
    parser.add_argument("folder", type=Path, help="the folder of a study, for example outputs/quickstart")
    parser.add_argument("--measure", help="the measure to report (default: the table's, or the jobs' first)")
    parser.add_argument("--no-wandb", action="store_true", help="do not log the report to W&B")
    options = parser.parse_args(arguments)
    try:
        summarise(options.folder, options.measure, track=not options.no_wandb)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
