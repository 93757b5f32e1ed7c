"""The measured cells of a study as samples over seeds and queries, found by their labels.

Shapes: Q queries, S seeds.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.analysis.folds import together
from experiments.analysis.settings import Block, Cell, seed_of
from experiments.common.errors import ExperimentError
from experiments.job_files.records import FloatArray, Job, PerQuery, read_per_query

PROBED = "per_query.probe.tsv"
# a probed column, such as layer2:mean:whole_collection
COLUMN = re.compile(r"layer(?P<layer>\d+):(?P<pooling>[^:]+):(?P<candidates>.+)")


@dataclass(frozen=True)
class Sample:
    """One measure of one setting, by seed and query.

    ``labels``: those of the jobs without the seed, every config key (dotted) in which jobs of equal labels differ, and
    ``first_stage``; of a probed layer ``layer``, ``pooling`` and ``candidates`` instead. ``seeds`` and ``jobs`` (names)
    stand in the order of the rows, ``query_ids`` in that of the columns.
    """

    labels: Mapping[str, Any]
    seeds: tuple[Any, ...]
    values_SQ: FloatArray
    query_ids: tuple[str, ...]
    measure: str
    jobs: tuple[str, ...]


def samples_of(blocks: Sequence[Block]) -> list[Sample]:
    """The cells of all blocks, in order: what their models' re-ranked runs have of the blocks' measure."""
    return [
        Sample(
            labels={**cell.labels, "first_stage": block.first_stage},
            seeds=cell.seeds,
            values_SQ=cell.reranked_SQ,
            query_ids=block.query_ids,
            measure=block.measure,
            jobs=tuple(job.name for job in cell.jobs),
        )
        for block in blocks
        for cell in block.cells
    ]


def layer_samples(blocks: Sequence[Block]) -> list[Sample]:
    """The probed layers of the blocks' models, by each probe's first measure.

    A model counts once, in however many blocks it stands; models that were not probed are left out.

    Raises:
        ExperimentError: a table of probed layers is missing or malformed, or the models of a cell were probed on
            different queries; the message names the file or the jobs.
    """
    return [sample for labels, jobs in _trainings(blocks) for sample in _layers(labels, jobs)]


def matching(samples: Sequence[Sample], where: Mapping[str, Any], stand_ins: Mapping[str, str]) -> list[Sample]:
    """The samples whose labels have the values of ``where``; see ``matches``.

    Raises:
        ExperimentError: a label that none of the samples has.
    """
    if samples and (unknown := unknown_labels(samples, where)):
        known = ", ".join(sorted({label for sample in samples for label in sample.labels}))
        raise ExperimentError(f"no finished cell has the label {unknown[0]!r}: the labels are {known}")
    return [sample for sample in samples if matches(sample.labels, where, stand_ins)]


def unknown_labels(samples: Sequence[Sample], where: Mapping[str, Any]) -> list[str]:
    """The labels of ``where`` that none of the samples has, and that are not wanted to be absent (null)."""
    wanted = [label for label, value in where.items() if value is not None]
    return [label for label in wanted if not any(label in sample.labels for sample in samples)]


def matches(labels: Mapping[str, Any], where: Mapping[str, Any], stand_ins: Mapping[str, str]) -> bool:
    """Whether labels have the values of ``where``, a list in it naming several that will do.

    ``stand_ins`` maps a measured name to the published one whose place it takes, alone or within a mixture
    (``bm25+colbert``). Numbers are equal as numbers, whether or not they are written as text.
    """
    return all(
        any(
            _same(labels.get(label), one, stand_ins)
            for one in (wanted if isinstance(wanted, list | tuple) else [wanted])
        )
        for label, wanted in where.items()
    )


def number_of(value: Any) -> float | None:
    """A label's value as a number: itself, or what a text such as ``2,000 groups`` begins with; None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    found = re.match(r"-?\d[\d,]*(\.\d+)?(e-?\d+)?(?![\w.])", str(value))
    return float(found.group().replace(",", "")) if found else None


def _same(measured: Any, wanted: Any, stand_ins: Mapping[str, str]) -> bool:
    if isinstance(measured, int | float) and not isinstance(measured, bool):
        number = number_of(wanted)
        return number is not None and float(measured) == number
    text = str(measured)
    published = "+".join(str(stand_ins.get(part, part)) for part in text.split("+"))
    return str(wanted) in (text, published)


def _trainings(blocks: Sequence[Block]) -> list[tuple[Mapping[str, Any], list[Job]]]:
    """The labels and the models of each cell, the same cell of several blocks only once."""
    found: dict[str, tuple[Cell, dict[str, Job]]] = {}
    for block in blocks:
        for cell in block.cells:
            key = json.dumps(cell.labels, sort_keys=True, default=str)
            found.setdefault(key, (cell, {}))[1].update({job.name: job for job in cell.jobs})
    return [
        (cell.labels, sorted(jobs.values(), key=lambda job: (str(type(seed_of(job))), seed_of(job))))
        for cell, jobs in found.values()
    ]


def _layers(labels: Mapping[str, Any], jobs: Sequence[Job]) -> list[Sample]:
    probed = [
        (job, together([read_per_query(part.folder / PROBED) for part in job.parts]))
        for job in jobs
        if job.probe is not None
    ]
    if not probed:
        return []
    first, table = probed[0]
    shared = [name for name in table.reranked if all(name in other.reranked for _, other in probed)]
    ordered = [_ordered(job, other, first, table.query_ids) for job, other in probed]
    samples = []
    for name in shared:
        column = COLUMN.fullmatch(name)
        if column is None:
            raise ExperimentError(f"{first.folder / PROBED}: the column {name!r} is not LAYER:POOLING:CANDIDATES")
        place = {**column.groupdict(), "layer": int(column["layer"])}
        samples.append(
            Sample(
                labels={**labels, **place},
                seeds=tuple(seed_of(job) for job, _ in probed),
                values_SQ=np.stack([one.reranked[name] for one in ordered]),
                query_ids=table.query_ids,
                measure=_measure(first),
                jobs=tuple(job.name for job, _ in probed),
            )
        )
    return samples


def _measure(job: Job) -> str:
    """The measure that a job's probed layers were kept by query of: the first of the probe's."""
    try:
        return str((job.probe or {})["model"]["settings"]["measures"][0])
    except (KeyError, TypeError, IndexError) as error:
        raise ExperimentError(f"{job.folder}/metrics.json: the probe does not say its measures") from error


def _ordered(job: Job, table: PerQuery, first: Job, query_ids: tuple[str, ...]) -> PerQuery:
    if set(table.query_ids) != set(query_ids):
        raise ExperimentError(
            f"the layers of the jobs {first.name} and {job.name} were probed on different queries: they cannot be "
            "averaged, move one of them to another study"
        )
    return table.ordered(query_ids)
