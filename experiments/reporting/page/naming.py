"""How the page calls labels, cells and jobs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.analysis.findings import Findings
from experiments.analysis.settings import Block, Cell, seed_of
from experiments.common.text import WHOLE, proper_name, word
from experiments.job_files.records import Job

RETRIEVED = frozenset({"first_stage", "source"})  # labels whose values are names of retrievers
HEADINGS = {"negatives": "n", "first_stage": "first stage"}


def heading_of(label: str) -> str:
    """The label as the head of a column: ``n`` for ``negatives``."""
    return HEADINGS.get(label, label)


def value_of(label: str, value: object) -> str:
    """A label's value as it is written in a cell: ``BM25`` for the source ``bm25``."""
    return proper_name(word(value)) if label in RETRIEVED and value is not None else word(value)


def phrase_of(label: str, value: object) -> str:
    """A label and its value where no column says which label it is: ``lce``, ``n 3``, ``source BM25``."""
    if label == "loss":
        return word(value)
    if label == "first_stage":
        return f"{value_of(label, value)} re-ranked" if value != WHOLE else "whole collection searched"
    return f"{heading_of(label)} {value_of(label, value)}"


def place_of(block: Block) -> str:
    """What a block's cells were measured on: ``BM25 re-ranked, apidocs``."""
    return f"{phrase_of('first_stage', block.first_stage)}, {block.data}"


def cell_name(labels: Mapping[str, Any], axes: Sequence[str]) -> str:
    """A cell by its loss, number of negatives and the labels in which the cells of its block differ."""
    named = [name for name in ("loss", "negatives", *axes) if labels.get(name) is not None]
    return ", ".join(phrase_of(name, labels[name]) for name in named)


def job_label(cell: Cell, job: Job, axes: Sequence[str]) -> str:
    """A job by its cell and seed: ``lce, n 3, seed 1``."""
    return f"{cell_name(cell.labels, axes)}, seed {word(seed_of(job))}"


def axes_of(blocks: Iterable[Block]) -> list[str]:
    """The labels, beside loss and number of negatives, in which cells differ, in order of appearance."""
    return list(dict.fromkeys(axis for block in blocks for axis in block.axes))


def reference_of(findings: Findings, block: Block) -> str:
    """What a block's cells are compared with, in words."""
    return proper_name(findings.reference[block.data, block.first_stage])
