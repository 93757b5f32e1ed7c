"""All that a report says of a study, worked out once: for the terminal, Markdown, CSV, LaTeX, the page and W&B.

Shapes: S seeds, Q queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from experiments.analysis.claims import Verdict, judge
from experiments.analysis.folds import pool
from experiments.analysis.samples import Sample, layer_samples, matches, samples_of
from experiments.analysis.settings import Block, Cell, blocks_of
from experiments.common.errors import ExperimentError
from experiments.config.paper_table import PaperTable, Published, table_of
from experiments.evaluation.comparison import Comparison, compare
from experiments.evaluation.significance import holm
from experiments.job_files.records import TABLE, Job, read_study


@dataclass(frozen=True)
class Result:
    """A cell as measured, and what was published of it.

    ``comparison``: with the reference of its block, seeds and queries taken into account; None for the reference
    itself. ``p_holm``: its p, corrected for the comparisons of the study. ``status``: ``within`` or ``outside`` the
    tolerance of the published value; ``other data`` where it was measured on another collection; ``unknown`` where the
    published value is not known; empty where none is declared.
    """

    sample: Sample
    cell: Cell
    block: Block
    comparison: Comparison | None
    p_holm: float | None
    published: Published | None
    status: str

    @property
    def mean(self) -> float:
        """The measure, averaged over seeds and queries."""
        return self.cell.mean


@dataclass(frozen=True)
class Findings:
    """A study as read from its folder.

    ``table``: what it is laid against, if its sweep declares one. ``results``: every measured cell, block by block.
    ``missing``: declared cells that no finished job has. ``reference``: what the results of a first stage are compared
    with, in words, by (data, first stage). ``measure``: its name in the jobs; several names where their data sets
    are relevant from different grades on.
    """

    folder: Path
    measure: str
    table: PaperTable | None
    jobs: tuple[Job, ...]
    blocks: tuple[Block, ...]
    results: tuple[Result, ...]
    missing: tuple[Published, ...]
    reference: Mapping[tuple[str, str], str]
    verdicts: tuple[Verdict, ...]

    @property
    def title(self) -> str:
        """What the study is called."""
        return self.table.title if self.table is not None else self.folder.name


def findings_of(folder: Path, measure: str | None = None) -> Findings:
    """Read a study and work out what it says. ``measure``: None for that of its table, or the jobs' first.

    Raises:
        ExperimentError: the folder is missing, none of its jobs has finished, they cannot stand in one table, or its
        table cannot be read; the message names the file and the key.
    """
    folder = Path(folder)
    table = read_table(folder / TABLE)
    return findings_from(read_study(folder), folder, table, measure)


def findings_from(jobs: Sequence[Job], folder: Path, table: PaperTable | None, measure: str | None = None) -> Findings:
    """The same of jobs that were read elsewhere. ``folder``: what the study is called by."""
    wanted = measure or (table.measure if table is not None else None)
    jobs = pool(jobs)
    blocks = blocks_of(jobs, wanted)
    samples = samples_of(blocks)
    stand_ins = table.stand_ins if table is not None else {}
    verdicts = judge(table.claims, samples, layer_samples(blocks), stand_ins) if table is not None and samples else []
    results, reference = _results(blocks, samples, table)
    found = {id(result.published) for result in results}
    declared = table.published if table is not None else ()
    return Findings(
        folder=folder,
        measure=" and ".join(dict.fromkeys(block.measure for block in blocks)) or wanted or "",
        table=table,
        jobs=tuple(jobs),
        blocks=tuple(blocks),
        results=tuple(results),
        missing=tuple(one for one in declared if id(one) not in found),
        reference=reference,
        verdicts=tuple(verdicts),
    )


def read_table(path: Path) -> PaperTable | None:
    """The table beside a study's jobs; None if its sweep declared none. Raises ExperimentError naming file and key."""
    if not path.is_file():
        return None
    try:
        return table_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ExperimentError(f"{path} is not readable YAML ({' '.join(str(error).split())})") from error
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from error


def _results(
    blocks: Sequence[Block], samples: Sequence[Sample], table: PaperTable | None
) -> tuple[list[Result], dict[tuple[str, str], str]]:
    """Each cell compared with its block's reference; samples stand in the order of the blocks' cells."""
    by_place = iter(samples)
    placed = [(block, [(cell, next(by_place)) for cell in block.cells]) for block in blocks]
    reference: dict[tuple[str, str], str] = {}
    rows: list[tuple[Block, Cell, Sample, Comparison | None]] = []
    for block, cells in placed:
        found = _reference(cells, table)
        reference[block.data, block.first_stage] = (
            block.reference if found is None else _words(found[1], [sample for _, sample in cells], table)
        )
        for cell, sample in cells:
            if found is None:
                against: Any = (block.first_stage_Q[np.newaxis], None)
            else:
                against = (found[0].reranked_SQ, found[0].seeds)
            own = found is not None and cell is found[0]
            rows.append(
                (block, cell, sample, None if own else compare(cell.reranked_SQ, against[0], cell.seeds, against[1]))
            )
    corrected = iter(holm([one.p for *_, one in rows if one is not None]))
    results = []
    for block, cell, sample, comparison in rows:
        published = _published(sample, table)
        p_holm = None if comparison is None else float(next(corrected))
        status = _status(cell, sample, published, table)
        results.append(Result(sample, cell, block, comparison, p_holm, published, status))
    return results, reference


def _reference(cells: Sequence[tuple[Cell, Sample]], table: PaperTable | None) -> tuple[Cell, Sample] | None:
    """The cell of a block that the table's others are compared with; the first stage takes its place elsewhere. A
    reference without a first stage of its own is looked for in each block.
    """
    if table is None or not table.reference:
        return None
    for cell, sample in cells:
        if matches(sample.labels, table.reference, table.stand_ins):
            return cell, sample
    return None


def _words(sample: Sample, others: Sequence[Sample], table: PaperTable | None) -> str:
    """The reference in words: those of its labels in which other cells of the block differ."""
    named = [label for label in (table.reference if table is not None else {}) if label != "first_stage"]
    varying = [label for label in named if any(one.labels.get(label) != sample.labels.get(label) for one in others)]
    return ", ".join(f"{label} {sample.labels[label]}" for label in varying or named)


def _published(sample: Sample, table: PaperTable | None) -> Published | None:
    if table is None:
        return None
    found = [one for one in table.published if matches(sample.labels, one.where, table.stand_ins)]
    return found[0] if found else None


def _status(cell: Cell, sample: Sample, published: Published | None, table: PaperTable | None) -> str:
    if published is None or table is None:
        return ""
    if published.value is None:
        return "unknown"
    stands_in = any(str(value) in table.stand_ins for value in sample.labels.values())
    if stands_in or table.data is None or sample.labels.get("data") != table.data:
        return "other data"
    if table.tolerance is None:
        return ""
    return "within" if abs(cell.mean - published.value) <= table.tolerance + 1e-12 else "outside"
