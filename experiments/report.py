"""Report the results of a study: ``python -m experiments.report outputs/quickstart``.

Prints the tables, writes them (``table.md``, ``table.csv``, ``table.tex``), the figures and the page (``report.html``)
into the study's folder, and logs them as a W&B run. Reads only the jobs' files, so it can run while the study does. An
archive (``sweeps/results/quickstart.zip``) is read as its folder is, written to ``outputs/quickstart``, and not logged.
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
from experiments.common import stopping
from experiments.common.cache import write_atomic
from experiments.common.disk import explained
from experiments.common.errors import ExperimentError
from experiments.common.strict_text import replace_halves
from experiments.job_files.archive import as_given, place_of, study_folder
from experiments.reporting.summary import latex, markdown, print_findings
from experiments.reporting.tables.render import to_csv
from experiments.reporting.tables.results import left_out, result_rows

PAGE = "report.html"
OUTPUTS = Path("outputs")  # where the reports of archives are written, each into the folder of its study's name


def summarise(place: Path, measure: str | None = None, track: bool = True, out: Path | None = None) -> list[Path]:
    """Print the summary of a study, write its tables, figures and page, and return their paths.

    ``place``: its folder or archive. ``measure``: None for the table's measure, or the jobs' first. ``track``: log the
    report to W&B as the jobs were, unless it is an archive's. ``out``: where the files go; None for the study's folder.

    Raises:
        ExperimentError: the place is missing or holds no finished job, or its jobs do not fit into one table.
    """
    folder = study_folder(Path(place))
    findings = findings_of(folder, measure)
    if not findings.groups:
        raise ExperimentError(_nothing_finished(place_of(folder), findings.jobs))
    kept = place_of(folder) != folder
    console = Console(highlight=False)
    print_findings(findings, console)
    paths = write(findings, out or (OUTPUTS / folder.name if kept else folder))
    if track and not kept:
        from experiments.reporting.wandb_report import log_report

        log_report(findings, paths)
    console.print()
    for path in paths:
        console.print(Text(replace_halves(str(path))), soft_wrap=True)
    return paths


def write(findings: Findings, folder: Path) -> list[Path]:
    """Write tables, figures and page into a folder, and return their paths, the page last."""
    from experiments.reporting.page.page import write_page
    from experiments.reporting.plots.build import figures_of
    from experiments.reporting.plots.figure import save_figures

    texts = {"table.md": markdown(findings), "table.csv": to_csv(*result_rows(findings)), "table.tex": latex(findings)}
    for name, text in texts.items():
        write_atomic(folder / name, replace_halves(text))
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
    parser.add_argument("place", type=Path, help="a study: outputs/quickstart, or its archive, of study keep")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write there (default: the study's folder)")
    parser.add_argument("--measure", help="the measure to report (default: the table's, or the jobs' first)")
    parser.add_argument("--no-wandb", action="store_true", help="do not log the report to W&B")
    options = parser.parse_args(arguments)
    try:
        with stopping.handled(to_exit=True), explained(options.out or options.place):
            summarise(options.place, options.measure, track=not options.no_wandb, out=options.out)
    except ExperimentError as error:
        print(f"error: {as_given(error)}", file=sys.stderr)
        return 2
    except stopping.Stopped as end:
        print("interrupted", file=sys.stderr)
        return int(end.code or 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
