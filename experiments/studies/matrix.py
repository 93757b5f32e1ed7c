"""The first stages of a study side by side: a row a training, a column a first stage that its model re-ranked.

It answers whether the source of the negatives has to be the first stage (Gao 2021, Pradeep 2022, Table 2). Where a
table has two rows, their difference is given too, paired query by query.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from experiments.evaluation.significance import Interval, paired_bootstrap
from experiments.studies.cells import Block, Cell

EXPLAINED = (
    "Mean over test queries; in brackets the 95 % interval over queries of its difference to the first stage of the "
    "column, and in the last row of the difference itself"
)


@dataclass(frozen=True)
class Matrix:
    """Texts of a table whose columns after the ``labels`` are first stages. ``title`` says what was measured."""

    title: str
    labels: tuple[str, ...]
    first_stages: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    breaks: tuple[int, ...] = ()  # rows after which a rule stands

    @property
    def header(self) -> list[str]:
        """The column names."""
        return [*self.labels, *self.first_stages]


def matrices(blocks: Sequence[Block], names: dict[str, str]) -> list[Matrix]:
    """A matrix for each data set whose models re-ranked several first stages. ``names``: first stage -> what it is
    called.
    """
    by_data: dict[str, list[Block]] = {}
    for block in blocks:
        if block.reference != block.first_stage:
            continue  # nothing was re-ranked
        by_data.setdefault(block.data, []).append(block)
    return [_matrix(some, names) for some in by_data.values() if len(some) > 1]


def _matrix(blocks: list[Block], names: dict[str, str]) -> Matrix:
    axes = tuple(dict.fromkeys(axis for block in blocks for axis in block.axes))
    labels = ("loss", "n", *axes)
    keys = dict.fromkeys(_key(cell, axes) for block in blocks for cell in block.cells)
    cells = [{_key(cell, axes): cell for cell in block.cells} for block in blocks]
    rows = [("first stage itself", *[""] * (len(labels) - 1), *(f"{block.first_stage_mean:.3f}" for block in blocks))]
    rows += [(*key, *(_value(column.get(key)) for column in cells)) for key in keys]
    if len(keys) == 2:
        first, second = keys
        rows.append(
            (
                _difference_of(first, second),
                *[""] * (len(labels) - 1),
                *(_contrast(column.get(first), column.get(second)) for column in cells),
            )
        )
    title = f"{blocks[0].measure} by what was trained (rows) and what is re-ranked (columns), {blocks[0].data}"
    first_stages = tuple(names.get(block.first_stage, block.first_stage) for block in blocks)
    return Matrix(title, labels, first_stages, tuple(rows), breaks=(0, 2) if len(keys) == 2 else (0,))


def _key(cell: Cell, axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(cell.labels.get(name, "-")) for name in ("loss", "negatives", *axes))


def _difference_of(first: Sequence[str], second: Sequence[str]) -> str:
    """What two trainings are compared in, such as ``colbert less bm25``."""
    differing = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    return ", ".join(f"{b} less {a}" for a, b in differing)


def _value(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell.mean:.3f} {_brackets(cell.difference)}"


def _contrast(first: Cell | None, second: Cell | None) -> str:
    if first is None or second is None:
        return "-"
    difference = paired_bootstrap(second.reranked_SQ.mean(axis=0) - first.reranked_SQ.mean(axis=0))
    return f"{difference.mean:+.3f} {_brackets(difference)}"


def _brackets(interval: Interval) -> str:
    return f"[{interval.low:+.3f}, {interval.high:+.3f}]"


def rich_matrix(matrix: Matrix) -> Table:
    """The matrix for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in matrix.header:
        table.add_column(Text(name), justify="right" if name in matrix.first_stages else "left")
    for i, row in enumerate(matrix.rows):
        table.add_row(*map(Text, row), end_section=i in matrix.breaks)
    return table


def markdown_matrix(matrix: Matrix) -> str:
    """The matrix as GitHub-flavoured Markdown."""
    ruler = ["---:" if name in matrix.first_stages else "---" for name in matrix.header]
    lines = ["| " + " | ".join(row) + " |" for row in (matrix.header, ruler, *matrix.rows)]
    return "\n".join(lines)
