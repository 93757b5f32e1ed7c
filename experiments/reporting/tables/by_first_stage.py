"""The first stages of a study side by side: a row a training, a column a first stage that its model re-ranked.

It answers whether the source of the negatives has to be the first stage (Gao 2021, Pradeep 2022, Table 2). Where a
table has two rows, their difference is given too, paired query by query.
"""

from collections.abc import Sequence

import numpy as np

from experiments.analysis.settings import Block, Cell
from experiments.common.text import interval, proper_name
from experiments.evaluation.comparison import Comparison, compare
from experiments.reporting.tables.table import Sheet

EXPLAINED = (
    "Mean over test queries; in brackets the 95 % interval over queries, and seeds where there are several, of its "
    "difference to the first stage of the column, and in the last row of the difference itself."
)


def matrix_sheets(blocks: Sequence[Block]) -> list[Sheet]:
    """A table for each data set whose models re-ranked several first stages."""
    by_data: dict[str, list[Block]] = {}
    for block in blocks:
        if block.reference != block.first_stage:
            continue  # nothing was re-ranked
        by_data.setdefault(block.data, []).append(block)
    return [_sheet(some) for some in by_data.values() if len(some) > 1]


def _sheet(blocks: list[Block]) -> Sheet:
    axes = tuple(dict.fromkeys(axis for block in blocks for axis in block.axes))
    labels = ("loss", "n", *axes)
    keys = dict.fromkeys(_key(cell, axes) for block in blocks for cell in block.cells)
    cells = [{_key(cell, axes): cell for cell in block.cells} for block in blocks]
    rows = [("first stage itself", *[""] * (len(labels) - 1), *(f"{block.first_stage_mean:.3f}" for block in blocks))]
    rows += [
        (*key, *(_value(column.get(key), block) for column, block in zip(cells, blocks, strict=True))) for key in keys
    ]
    if len(keys) == 2:
        first, second = keys
        rows.append(
            (
                _difference_of(first, second),
                *[""] * (len(labels) - 1),
                *(_contrast(column.get(first), column.get(second)) for column in cells),
            )
        )
    return Sheet(
        f"{blocks[0].measure} by what was trained (rows) and what is re-ranked (columns), {blocks[0].data}",
        (*labels, *(proper_name(block.first_stage) for block in blocks)),
        tuple(rows),
        frozenset(labels),
        frozenset((0, 2) if len(keys) == 2 else (0,)),
        EXPLAINED,
    )


def _key(cell: Cell, axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(cell.labels.get(name, "-")) for name in ("loss", "negatives", *axes))


def _difference_of(first: Sequence[str], second: Sequence[str]) -> str:
    """What two trainings are compared in, such as ``colbert less bm25``."""
    differing = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    return ", ".join(f"{b} less {a}" for a, b in differing)


def _value(cell: Cell | None, block: Block) -> str:
    if cell is None:
        return "-"
    return f"{cell.mean:.3f} {_brackets(compare(cell.reranked_SQ, block.first_stage_Q[np.newaxis], cell.seeds, None))}"


def _contrast(first: Cell | None, second: Cell | None) -> str:
    if first is None or second is None:
        return "-"
    difference = compare(second.reranked_SQ, first.reranked_SQ, second.seeds, first.seeds)
    return f"{difference.mean:+.3f} {_brackets(difference)}"


def _brackets(versus: Comparison) -> str:
    return interval(versus.low, versus.high)
