"""What a study found: ``python -m experiments.report outputs/quickstart``.

Prints the table and writes it (``table.md``, ``table.csv``) and its pictures into the study's folder. Reads what the
jobs left on disk and nothing else, so that it can be run at any time, also while the study is running.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from experiments.errors import ExperimentError
from experiments.store import write_atomic
from experiments.studies.cells import Block, blocks_of
from experiments.studies.layers import LAYERS_EXPLAINED, layer_matrices
from experiments.studies.matrix import Matrix, markdown_matrix
from experiments.studies.records import Job, read_study
from experiments.studies.table import csv_text, left_out, markdown, print_matrices, print_tables


def summarise(folder: Path, measure: str = "RR@10") -> list[Path]:
    """Print the summary of the study in ``folder``, write its tables and pictures there; the paths written.

    Raises ExperimentError if the folder is missing or holds no finished job, or if its jobs cannot stand in one table.
    """
    folder = Path(folder)
    jobs = read_study(folder)
    blocks = blocks_of(jobs, measure)
    if not blocks:
        raise ExperimentError(_nothing_finished(folder, jobs))
    console = Console(highlight=False)
    print_tables(blocks, jobs, folder, console)
    layers = layer_matrices(jobs)
    print_matrices(layers, LAYERS_EXPLAINED, console)
    paths = _write(blocks, jobs, folder, layers)
    console.print()
    for path in paths:
        console.print(Text(str(path)), soft_wrap=True)
    return paths


def _write(blocks: Sequence[Block], jobs: Sequence[Job], folder: Path, layers: Sequence[Matrix]) -> list[Path]:
    from experiments.studies.plots import draw_study

    text = markdown(blocks, jobs, folder)
    for matrix in layers:
        text += f"\n## {matrix.title}\n\n{markdown_matrix(matrix)}\n\n{LAYERS_EXPLAINED}.\n"
    tables = {folder / "table.md": text, folder / "table.csv": csv_text(blocks)}
    for path, text in tables.items():
        write_atomic(path, text)
    return [*tables, *draw_study(blocks, folder)]


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
    parser.add_argument("--measure", default="RR@10", help="the measure to report (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        summarise(options.folder, options.measure)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
