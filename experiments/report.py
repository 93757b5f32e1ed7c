"""Report the results of a study: ``python -m experiments.report outputs/quickstart``.

Prints the tables, writes them (``table.md``, ``table.csv``, ``table.tex``), the figures and the page (``report.html``)
into the study's folder, and logs them as a W&B run. Reads only the jobs' files, so it can run while the study does.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from experiments.analysis.findings import Findings, findings_of
from experiments.analysis.load import JobResult
from experiments.common.cache import write_atomic
from experiments.common.errors import ExperimentError
from experiments.reporting.summary import latex, markdown, print_findings
from experiments.reporting.tables.render import to_csv
from experiments.reporting.tables.results import left_out, result_rows

PAGE = "report.html"


def summarise(folder: Path, measure: str | None = None, track: bool = True) -> list[Path]:
    """Print the summary of a study, write its tables, figures and page into its folder, and return their paths.

    ``measure``: None for the table's measure, or the jobs' first. ``track``: log the report to W&B as the jobs were.

    Raises:
        ExperimentError: the folder is missing or holds no finished job, or its jobs do not fit into one table.
    """
    findings = findings_of(Path(folder), measure)
    if not findings.groups:
        raise ExperimentError(_nothing_finished(findings.folder, findings.jobs))
    console = Console(highlight=False)
    print_findings(findings, console)
    paths = write(findings)
    if track:
        from experiments.reporting.wandb_report import log_report

        log_report(findings, paths)
    console.print()
    for path in paths:
        console.print(Text(str(path)), soft_wrap=True)
    return paths


def write(findings: Findings) -> list[Path]:
    """Write tables, figures and page into the study's folder, and return their paths, the page last."""
    from experiments.reporting.page.page import write_page
    from experiments.reporting.plots.build import figures_of
    from experiments.reporting.plots.figure import save_figures

    folder = findings.folder
    texts = {"table.md": markdown(findings), "table.csv": to_csv(*result_rows(findings)), "table.tex": latex(findings)}
    for name, text in texts.items():
        write_atomic(folder / name, text)
    figures = figures_of(findings)
    drawn = save_figures(figures, folder)
    return [*(folder / name for name in texts), *drawn, write_page(findings, figures, folder / PAGE)]


def _nothing_finished(folder: Path, jobs: Sequence[JobResult]) -> str:
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
