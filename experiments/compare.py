"""Print several studies in one table: ``python -m experiments.compare GROUP_OR_FOLDER [GROUP_OR_FOLDER ...]``.

A folder, such as ``outputs/quickstart`` or a folder ``wandb`` of offline runs, and an archive, such as
``sweeps/results/quickstart.zip``, are read from disk. Anything else is a W&B group, read from the server if logged in,
else from ``outputs/GROUP``. ``--out`` writes the tables too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from experiments.analysis.combine import PROJECT, Combined, combine
from experiments.common.cache import write_atomic
from experiments.common.disk import explained
from experiments.common.errors import ExperimentError
from experiments.common.strict_text import replace_halves
from experiments.job_files.archive import as_given, study_folder
from experiments.reporting.summary import markdown, print_findings
from experiments.reporting.tables.render import to_csv
from experiments.reporting.tables.results import result_rows
from experiments.tracking.wandb_records import entity_of


def write(combined: Combined, folder: Path) -> list[Path]:
    """Write ``compare.md`` and ``compare.csv``; return their paths."""
    text = markdown(combined.findings)
    if combined.remarks:
        text += "\n" + "\n".join(f"- {remark}" for remark in combined.remarks) + "\n"
    texts = {folder / "compare.md": text, folder / "compare.csv": to_csv(*result_rows(combined.findings))}
    for path, content in texts.items():
        write_atomic(path, replace_halves(content))
    return list(texts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 if the studies cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m experiments.compare", description="Studies in one table.")
    parser.add_argument(
        "places", nargs="+", metavar="GROUP_OR_FOLDER", help="such as outputs/quickstart, or an archive"
    )
    parser.add_argument(
        "--measure", help="the measure to report (default: that of one study's table, or the jobs' first)"
    )
    parser.add_argument("--project", default=PROJECT, help="W&B's project (default: %(default)s)")
    parser.add_argument("--entity", help="W&B's user or team (default: the account's)")
    parser.add_argument("--offline", action="store_true", help="read groups from outputs/GROUP, do not ask W&B")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write compare.md and compare.csv there")
    parser.add_argument(
        "--workspace", action="store_true", help="save a W&B workspace of the one study (extra: workspaces)"
    )
    options = parser.parse_args(arguments)
    try:
        places = [str(study_folder(Path(place))) for place in options.places]
        combined = combine(places, options.measure, options.project, options.entity, options.offline)
        console = Console(highlight=False)
        for source in combined.sources:
            console.print(Text(as_given(source), style="dim"), soft_wrap=True)
        console.print()
        print_findings(combined.findings, console)
        for remark in combined.remarks:
            console.print(Text(f"\n{remark}"))
        with explained(options.out):
            for path in write(combined, options.out) if options.out is not None else []:
                console.print(Text(f"\n{path}"), soft_wrap=True)
        if options.workspace:
            from experiments.reporting.wandb_workspace import save_workspace, spec_of

            if len(combined.sources) > 1:
                raise ExperimentError("--workspace shows one study: name one group or folder")
            address = save_workspace(spec_of(combined.findings), entity_of(options.entity), options.project)
            console.print(Text(f"\n{address}"), soft_wrap=True)
    except ExperimentError as error:
        print(f"error: {as_given(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
