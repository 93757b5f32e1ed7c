"""The finished jobs of a study as the rows of its tables: one cell for all jobs that are equal up to their seed.

Cells that were measured on the same queries and first stage stand in one block: one table, one picture.

Shapes: Q queries, S seeds (jobs of a cell).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from experiments.analysis.measures import check_grade, first_measure, measure_of
from experiments.common.errors import ExperimentError
from experiments.config.identity import scientific, with_their_candidates
from experiments.config.negatives import sources_of
from experiments.job_files.records import CONFIG, FloatArray, Job, PerQuery

# Labels that have a place of their own: the heading of a block, its first columns, the seeds averaged over.
PLACED = frozenset({"data", "loss", "negatives", "seed"})
# Values that jobs read from the same run and the same qrels may differ by rounding only.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Cell:
    """All jobs of one setting, re-ranking one first stage.

    ``labels`` are the jobs' own without the seed, and any config key in which jobs of the same labels differ.
    ``reranked_SQ`` holds the measure of each job and query.
    """

    labels: Mapping[str, Any]
    jobs: tuple[Job, ...]
    reranked_SQ: FloatArray

    @property
    def mean(self) -> float:
        """The measure, averaged over seeds and queries."""
        return float(self.reranked_SQ.mean())

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over seeds of the mean over queries; None for one seed."""
        return float(self.reranked_SQ.mean(axis=1).std(ddof=1)) if len(self.jobs) > 1 else None

    @property
    def seeds(self) -> tuple[Any, ...]:
        """The seeds of the jobs, in order."""
        return tuple(seed_of(job) for job in self.jobs)

    @property
    def negatives(self) -> int | None:
        """The number of negatives a query; None for a job that was trained without groups."""
        count = self.labels.get("negatives")
        return int(count) if isinstance(count, int | float) else None

    def compute(self, key: str) -> float | None:
        """A figure of the jobs' ``compute``, averaged over the jobs; None if one of them does not have it."""
        if any(job.compute.get(key) is None for job in self.jobs):
            return None
        return float(np.mean([float(job.compute[key]) for job in self.jobs]))


@dataclass(frozen=True)
class Block:
    """The cells that re-rank one first stage on the queries of one data set, by loss and number of negatives.

    ``reference`` is what the cells are compared with: the first stage itself, or for a search of the whole collection
    another retriever. ``axes`` names the further labels in which the cells differ, ``constants`` those that all share.
    ``ties`` is the number of tied scores in all jobs. ``first_stage_Q`` is the first stage's own measure.
    """

    data: str
    first_stage: str
    reference: str
    measure: str
    query_ids: tuple[str, ...]
    first_stage_Q: FloatArray
    cells: tuple[Cell, ...]
    axes: tuple[str, ...]
    constants: Mapping[str, Any]
    ties: int

    @property
    def first_stage_mean(self) -> float:
        """The first stage's own measure, averaged over queries."""
        return float(self.first_stage_Q.mean())

    @property
    def seed_counts(self) -> tuple[int, ...]:
        """The different numbers of seeds that the cells have, ascending."""
        return tuple(sorted({len(cell.jobs) for cell in self.cells}))


def seed_of(job: Job) -> Any:
    """The seed of a job, from its labels or else from its config."""
    return job.labels.get("seed", job.config.get("seed"))


def blocks_of(jobs: Iterable[Job], measure: str | None = None) -> list[Block]:
    """The blocks of a study, by data set and first stage in order of appearance, of the jobs that have finished.
    ``measure``: as a config writes it, for all blocks; None for the first that all jobs have.

    Raises ExperimentError, naming the jobs, if one lacks the measure, if two were measured on different queries, from
    different grades on or on first-stage runs under the same name, or if two are the same cell with the same seed.
    """
    finished = [job for job in jobs if job.finished]
    extra_axes = _unlabelled_axes(finished)
    members: dict[tuple[str, str], list[Job]] = {}
    for job in finished:
        for first_stage in job.test:
            members.setdefault((str(job.labels["data"]), first_stage), []).append(job)
    for (data, _), jobs_there in members.items():
        check_grade(jobs_there, data)
    wanted = measure or first_measure(finished)
    if wanted is None:
        return []
    return [
        _block(data, first_stage, measure_of(jobs_there, first_stage, wanted), jobs_there, extra_axes)
        for (data, first_stage), jobs_there in members.items()
    ]


def _block(data: str, first_stage: str, measure: str, jobs: list[Job], extra_axes: Sequence[str]) -> Block:
    per_query = _aligned(jobs, first_stage, measure)
    first_stage_Q = per_query[0].first_stage[measure]
    labels_of = [_cell_labels(job, extra_axes) for job in jobs]
    members: dict[str, list[tuple[Job, FloatArray]]] = {}
    for job, labels, table in zip(jobs, labels_of, per_query, strict=True):
        members.setdefault(_frozen(labels), []).append((job, table.reranked[measure]))
    cells = [_cell(_cell_labels(group[0][0], extra_axes), group) for group in members.values()]
    names = dict.fromkeys(name for labels in labels_of for name in labels if name not in PLACED)
    axes = tuple(name for name in names if len({_frozen(labels.get(name)) for labels in labels_of}) > 1)
    cells.sort(key=lambda cell: [_rank(cell.labels.get(name)) for name in ("loss", "negatives", *axes)])
    return Block(
        data=data,
        first_stage=first_stage,
        reference=str(jobs[0].test[first_stage].get("compared_to", first_stage)),
        measure=measure,
        query_ids=per_query[0].query_ids,
        first_stage_Q=first_stage_Q,
        cells=tuple(cells),
        axes=axes,
        constants={name: labels_of[0].get(name) for name in names if name not in axes},
        ties=sum(int(job.test[first_stage].get("ties", 0)) for job in jobs),
    )


def _cell(labels: Mapping[str, Any], group: list[tuple[Job, FloatArray]]) -> Cell:
    group = sorted(group, key=lambda member: _rank(seed_of(member[0])))
    jobs = tuple(job for job, _ in group)
    for one, other in pairwise(jobs):
        if seed_of(one) == seed_of(other):
            raise ExperimentError(
                f"the jobs {one.name} and {other.name} are the same setting with the same seed ({seed_of(one)}): "
                f"move one of them out of {one.folder.parent}"
            )
    reranked_SQ = np.stack([reranked_Q for _, reranked_Q in group])
    return Cell(labels, jobs, reranked_SQ)


def _aligned(jobs: list[Job], first_stage: str, measure: str) -> list[PerQuery]:
    """The per-query tables of the jobs in the query order of the first one, checked to speak about the same thing."""
    reference = jobs[0].per_query[first_stage]
    tables = []
    for job in jobs:
        table = job.per_query[first_stage]
        if measure not in table.measures:
            raise ExperimentError(
                f"the job {job.name} has no {measure} for {first_stage}: choose one of {', '.join(table.measures)}"
            )
        if different := set(table.query_ids) ^ set(reference.query_ids):
            raise ExperimentError(
                f"the jobs {jobs[0].name} and {job.name} were measured on different test queries of {first_stage} "
                f"({len(reference.query_ids)} and {len(table.query_ids)}; {min(different)!r} is in one only): "
                "they cannot stand in one table, move one of them to another study"
            )
        table = table.ordered(reference.query_ids)
        digests = {one.test[first_stage].get("first_stage_digest") for one in (jobs[0], job)} - {None}
        same = np.allclose(table.first_stage[measure], reference.first_stage[measure], rtol=0, atol=ROUNDING)
        if len(digests) > 1 or not same:
            raise ExperimentError(
                f"the jobs {jobs[0].name} and {job.name} re-rank different runs under the name {first_stage}: "
                f"they cannot stand in one table, move one of them to another study"
            )
        tables.append(table)
    return tables


def _cell_labels(job: Job, extra_axes: Sequence[str]) -> dict[str, Any]:
    labels = {name: value for name, value in job.labels.items() if name != "seed"}
    if extra_axes:
        config = _trained_by(job)
        labels |= {axis: _as_label(config.get(axis)) for axis in extra_axes}
    return labels


def _as_label(value: Any) -> Any:
    """A value of a config as a label: a list as its words, since labels are compared and grouped by."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _unlabelled_axes(jobs: Sequence[Job]) -> list[str]:
    """The config keys (dotted) in which jobs of the same labels, seed apart, differ: never to be averaged over."""
    alike: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        alike.setdefault(_frozen(_cell_labels(job, ())), []).append(_trained_by(job))
    return sorted(
        {
            key
            for configs in alike.values()
            for key in set().union(*configs)
            if len({_frozen(config.get(key)) for config in configs}) > 1
        }
    )


def _trained_by(job: Job) -> dict[str, Any]:
    """What decides a job's training, its seed apart, by dotted key; what it re-ranks afterwards does not."""
    try:
        config = scientific(job.config)
        sources = with_their_candidates(sources_of(config["negatives"]["source"]), config["retrievers"])
        config["retrievers"] = {name: config["retrievers"].get(name) for name in sorted(sources)}
    except (KeyError, TypeError) as error:
        raise ExperimentError(f"{job.folder / CONFIG} is not the config of a job: {error} is missing") from error
    except ExperimentError as error:
        raise ExperimentError(f"{job.folder / CONFIG}: {error}") from error
    del config["first_stage"]
    return {key: value for key, value in _leaves(config) if not key.endswith("seed")}


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _frozen(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _rank(value: Any) -> tuple[int, float, str]:
    """A sort key under which numbers stand in their order before words, and what is missing stands first."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, str(value))
