"""Numbers and names as they are written in tables and pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.analysis.settings import Block

PROPER_NAMES = {"bm25": "BM25", "colbert": "ColBERT", "tct_colbert": "TCT-ColBERT", "run_file": "run file"}
WHOLE = "whole_collection"  # a first stage that is none: every passage is ranked


def proper_name(first_stage: str) -> str:
    """A first stage's name as it is written in prose: ``BM25`` for ``bm25``; an unknown name stays as it is."""
    return PROPER_NAMES.get(first_stage, first_stage)


def heading(block: "Block") -> str:
    """The title of a block: ``BM25 re-ranked, apidocs``."""
    what = "Whole collection searched" if block.first_stage == WHOLE else f"{proper_name(block.first_stage)} re-ranked"
    return f"{what}, {block.data}"


def signed(value: float) -> str:
    """Three digits and a sign, which is kept where rounding hides the digits: an interval from +0.000 does exclude
    0.
    """
    return f"{value:+.3f}" if value else " 0.000"


def interval(low: float, high: float) -> str:
    """``[-0.012, +0.034]``."""
    return f"[{signed(low)}, {signed(high)}]"


def p_value(p: float | None) -> str:
    """Three digits; ``<.001`` below that."""
    if p is None:
        return "-"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def count(value: float | None) -> str:
    """A number of things, short: ``8,192``, ``12.8M``."""
    if value is None:
        return "-"
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:,.0f}"


def word(value: object) -> str:
    """A label's value; ``-`` for none."""
    return "-" if value is None else str(value)


def plural(number: int, one: str, many: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number:,} {one if number == 1 else many}"
