"""A study as a table: in the terminal, as Markdown and as CSV.

Each block (one data set, one first stage) starts with the first stage itself; below it stands a row for each cell,
with its difference to the first stage and the paired interval of that difference. Differences between two rows are
not what these intervals are about.

Only ASCII is written (rules apart, which rich replaces where it must), so that a table can be piped anywhere.
"""

import csv
import io
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from experiments.evaluation.significance import Interval, holm, paired_t_test
from experiments.studies.cells import PLACED, Block, Cell
from experiments.studies.matrix import EXPLAINED, Matrix, markdown_matrix, matrices, rich_matrix
from experiments.studies.records import UNREADABLE, Job

PROPER_NAMES = {"bm25": "BM25", "colbert": "ColBERT", "tct_colbert": "TCT-ColBERT", "run_file": "run file"}
MARK = "*"
WHOLE = "whole_collection"  # a first stage that is none: every passage is ranked


def proper_name(first_stage: str) -> str:
    """A first stage's name as it is written in prose: ``BM25`` for ``bm25``; an unknown name stays as it is."""
    return PROPER_NAMES.get(first_stage, first_stage)


def heading(block: Block) -> str:
    """The title of a block."""
    what = "Whole collection searched" if block.first_stage == WHOLE else f"{proper_name(block.first_stage)} re-ranked"
    return f"{what}, {block.data}"


def header(block: Block) -> list[str]:
    """The column names of a block; the spread and the number of seeds only where there is something to tell."""
    spread = ["sd"] if block.seed_counts[-1] > 1 else []
    seeds = ["seeds"] if len(block.seed_counts) > 1 else []
    versus = f"vs {proper_name(block.reference)}"
    return ["loss", "n", *block.axes, block.measure, *spread, *seeds, versus, "95 % interval", "pairs", "seconds"]


def rows(block: Block) -> list[list[str]]:
    """The cells of a block as text, in the columns of ``header``; the first row is the first stage itself."""
    columns = header(block)
    own = {"loss": proper_name(block.reference), block.measure: f"{block.first_stage_mean:.3f}"}
    return [[own.get(column, "") for column in columns], *(_row(cell, block, columns) for cell in block.cells)]


def _row(cell: Cell, block: Block, columns: Sequence[str]) -> list[str]:
    texts = {
        "loss": _word(cell.labels.get("loss")),
        "n": _word(cell.labels.get("negatives")),
        **{axis: _word(cell.labels.get(axis)) for axis in block.axes},
        block.measure: f"{cell.mean:.3f}",
        "sd": "-" if cell.sd is None else f"{cell.sd:.3f}",
        "seeds": str(len(cell.jobs)),
        f"vs {proper_name(block.reference)}": f"{_signed(cell.difference.mean)} {_mark(cell.difference)}",
        "95 % interval": f"[{_signed(cell.difference.low)}, {_signed(cell.difference.high)}]",
        "pairs": _count(cell.compute("pairs")),
        "seconds": _count(cell.compute("seconds")),
    }
    return [texts[column] for column in columns]


def caption(block: Block) -> str:
    """What a block was measured on, what its rows have in common, and its ties."""
    sentences = [f"{block.data}: {_plural(len(block.query_ids), 'test query', 'test queries')}, {_seeds(block)}."]
    if block.constants:
        constants = ", ".join(f"{name} {_word(value)}" for name, value in block.constants.items())
        sentences.append(f"All rows: {constants}.")
    ties = f"{_plural(block.ties, 'tied score', 'tied scores')} in all jobs, broken by first-stage rank."
    sentences.append(ties if block.ties else "No tied scores in any job.")
    return " ".join(sentences)


def legend(folder: Path, blocks: Sequence[Block]) -> list[tuple[str, str]]:
    """How to read the columns, and where the files lie: pairs of a column and its meaning."""
    averaged = any(block.seed_counts[-1] > 1 for block in blocks)
    first = ", seeds averaged first" if averaged else ""
    spread = [("sd", "standard deviation over seeds of the mean over queries")] if averaged else []
    versus = dict.fromkeys(f"vs {proper_name(block.reference)}" for block in blocks)
    return [
        ("n", "negatives a query"),
        *spread,
        (", ".join(versus), f"re-ranked minus first stage, query by query{first}"),
        (
            "95 % interval",
            "of that difference over queries: paired percentile bootstrap, 10,000 resamples; it does not speak about "
            "other seeds and is not corrected for the number of rows",
        ),
        (MARK, "the interval excludes 0"),
        ("pairs", "query-passage pairs seen in training"),
        ("seconds", "wall clock of a job" + (", mean over seeds" if averaged else "")),
        ("files", f"{folder}/JOB: metrics.json, per_query.FIRST_STAGE.tsv"),
    ]


def left_out(jobs: Sequence[Job]) -> list[tuple[str, str, str]]:
    """Name, state and the first line of why of each job that has no results to show."""
    why = {"running": "not finished, or interrupted: run the study again to resume it"}
    return [
        (job.name, job.state, job.error or why.get(job.state, "no reason was recorded"))
        for job in jobs
        if not job.finished
    ]


def print_tables(blocks: Sequence[Block], jobs: Sequence[Job], folder: Path, console: Console) -> None:
    """Print the blocks, how to read them, and the jobs that are not in them.

    Into a file nothing is cut or wrapped within a table: the width follows the widest one.
    """
    tables = [_rich_table(block) for block in blocks]
    grids = matrices(blocks, PROPER_NAMES)
    grid_tables = [rich_matrix(matrix) for matrix in grids]
    if not console.is_terminal:
        widest = max(
            Measurement.get(console, console.options.update(width=1000), table).maximum
            for table in (*tables, *grid_tables)
        )
        console.width = max(console.width, widest)
    for block, table in zip(blocks, tables, strict=True):
        console.print(Text(f"{heading(block)}\n", style="bold"))
        console.print(table)
        console.print(Text(f"\n{caption(block)}"))
        console.print()
    for matrix, grid in zip(grids, grid_tables, strict=True):
        console.print(Text(f"{matrix.title}\n", style="bold"))
        console.print(grid)
        console.print(Text(f"\n{EXPLAINED}."))
        console.print()
    listing = Table.grid(padding=(0, 2, 0, 0))
    for term, meaning in legend(folder, blocks):
        listing.add_row(Text(term, style="dim"), Text(meaning, style="dim"))
    console.print(listing)
    if missing := left_out(jobs):
        console.print(Text(f"\nNot in the table, {len(missing)} of {_plural(len(jobs), 'job', 'jobs')}:"))
        listing = Table.grid(padding=(0, 2, 0, 0))
        for name, state, why in missing:
            listing.add_row(Text(name), Text(state, style="red" if state in ("failed", UNREADABLE) else ""), Text(why))
        console.print(listing)


def print_matrices(matrices: Sequence[Matrix], explained: str, console: Console) -> None:
    """Print matrices one under the other, each in full width where nothing is cut, and how to read them."""
    for matrix in matrices:
        grid = rich_matrix(matrix)
        if not console.is_terminal:
            wide = Measurement.get(console, console.options.update(width=1000), grid).maximum
            console.width = max(console.width, wide)
        console.print(Text(f"\n{matrix.title}\n", style="bold"))
        console.print(grid)
    if matrices:
        console.print(Text(f"\n{explained}."))


def _rich_table(block: Block) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    words = {"loss", *block.axes}
    for name in header(block):
        table.add_column(Text(name), justify="left" if name in words else "right")
    first, *others = rows(block)
    table.add_row(*map(Text, first), end_section=True)
    for row, following in zip_longest(others, others[1:], fillvalue=[""]):
        table.add_row(*map(Text, row), end_section=row[0] != following[0])
    return table


def markdown(blocks: Sequence[Block], jobs: Sequence[Job], folder: Path) -> str:
    """The tables as GitHub-flavoured Markdown, with the same captions."""
    parts = [f"# {folder.name}"]
    for block in blocks:
        columns = header(block)
        ruler = ["---" if name in {"loss", *block.axes} else "---:" for name in columns]
        lines = [_markdown_row(line) for line in (columns, ruler, *rows(block))]
        parts += [f"## {heading(block)}", "\n".join(lines), caption(block)]
    for matrix in matrices(blocks, PROPER_NAMES):
        parts += [f"## {matrix.title}", markdown_matrix(matrix), f"{EXPLAINED}."]
    parts.append(
        "\n".join(f"- **{term.replace(MARK, f'`{MARK}`')}** {meaning}" for term, meaning in legend(folder, blocks))
    )
    if missing := left_out(jobs):
        parts.append(f"Not in the table, {len(missing)} of {_plural(len(jobs), 'job', 'jobs')}:")
        parts.append("\n".join(f"- `{name}` {state}: {why}" for name, state, why in missing))
    return "\n\n".join(parts) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |"


def csv_text(blocks: Sequence[Block]) -> str:
    """The tables as one CSV, a row for each first stage and each cell, with unrounded values.

    Beyond the printed columns: the p value of a paired t test over queries (``p``), Holm's correction of it over the
    rows of a block (``p_holm``), and the names of the jobs averaged. A first stage's own row has no loss.
    """
    labels = list(
        dict.fromkeys(name for block in blocks for name in (*block.axes, *block.constants) if name not in PLACED)
    )
    figures = [
        "queries",
        "seeds",
        "value",
        "sd",
        "difference",
        "low",
        "high",
        "excludes_zero",
        "p",
        "p_holm",
        "pairs",
        "seconds",
    ]
    file = io.StringIO()
    fields = ["data", "first_stage", "measure", "loss", "negatives", *labels, *figures, "jobs"]
    writer = csv.DictWriter(file, fields, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for block in blocks:
        shared = {
            "data": block.data,
            "first_stage": block.first_stage,
            "measure": block.measure,
            "queries": len(block.query_ids),
        }
        writer.writerow({**shared, "value": block.first_stage_mean})
        p_values = [paired_t_test(cell.difference_Q) for cell in block.cells]
        for cell, p, p_holm in zip(block.cells, p_values, holm(p_values), strict=True):
            writer.writerow({**cell.labels, **shared, **_figures(cell), "p": p, "p_holm": float(p_holm)})
    return file.getvalue()


def _figures(cell: Cell) -> dict[str, object]:
    return {
        "seeds": len(cell.jobs),
        "value": cell.mean,
        "sd": cell.sd,
        "difference": cell.difference.mean,
        "low": cell.difference.low,
        "high": cell.difference.high,
        "excludes_zero": str(cell.difference.excludes_zero).lower(),
        "pairs": cell.compute("pairs"),
        "seconds": cell.compute("seconds"),
        "jobs": " ".join(job.name for job in cell.jobs),
    }


def _mark(interval: Interval) -> str:
    return MARK if interval.excludes_zero else " "


def _signed(value: float) -> str:
    # A sign is kept where rounding hides the digits: an interval from +0.000 does exclude 0.
    return f"{value:+.3f}" if value else " 0.000"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:,.0f}"


def _word(value: object) -> str:
    return "-" if value is None else str(value)


def _plural(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _seeds(block: Block) -> str:
    if len(block.seed_counts) > 1:
        return f"{block.seed_counts[0]} to {block.seed_counts[-1]} seeds a row"
    different = {cell.seeds for cell in block.cells}
    count = _plural(block.seed_counts[0], "seed", "seeds")
    return f"{count} ({', '.join(map(str, different.pop()))})" if len(different) == 1 else f"{count} a row"
