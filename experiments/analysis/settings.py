"""Group a study's results by setting: all jobs that differ only in their seed and re-rank one first stage.

Settings on the same queries and first stage form one group: one table, one plot.
Shapes: Q queries, S seeds (jobs of a setting).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from experiments.analysis.load import JobResult
from experiments.analysis.measure_choice import check_grade, measure_by_data, measure_of
from experiments.common.errors import ExperimentError
from experiments.config.identity import scientific, with_their_candidates
from experiments.config.negatives import sources_of
from experiments.evaluation.variance import PooledVariance, Term, pooled_variance
from experiments.job_files.files import CONFIG
from experiments.job_files.per_query import FloatArray, PerQuery

# Labels shown in a place of their own: a group's heading, its first columns, the seeds averaged over.
PLACED = frozenset({"data", "loss", "negatives", "seed"})
FIRST_STAGE = "first_stage"
ROUNDING = 1e-6  # tolerance between values that two jobs read from the same run and qrels


@dataclass(frozen=True)
class SettingResult:
    """One measure of one setting: a row for each of ``jobs``, a column for each of ``query_ids``.

    ``labels``: the jobs' labels without the seed, each dotted config key in which jobs of equal labels differ, and
    ``first_stage``; for a probed layer ``layer``, ``pooling`` and ``candidates`` instead.
    """

    labels: Mapping[str, Any]
    jobs: tuple[JobResult, ...]
    values_SQ: FloatArray
    query_ids: tuple[str, ...]
    measure: str

    @property
    def mean(self) -> float:
        """The measure, averaged over seeds and queries."""
        return float(self.values_SQ.mean())

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over seeds of the mean over queries; None for one seed."""
        return float(self.values_SQ.mean(axis=1).std(ddof=1)) if len(self.jobs) > 1 else None

    @property
    def seeds(self) -> tuple[Any, ...]:
        """The seeds of the jobs, in order."""
        return tuple(job.seed for job in self.jobs)

    @property
    def models(self) -> tuple[str, ...]:
        """The job names of the rows, which identify their models."""
        return tuple(job.name for job in self.jobs)

    @property
    def training(self) -> dict[str, Any]:
        """The labels without the first stage."""
        return {name: value for name, value in self.labels.items() if name != FIRST_STAGE}

    @property
    def negatives(self) -> int | None:
        """Number of negatives a query; None for a job trained without groups."""
        count = self.labels.get("negatives")
        return int(count) if isinstance(count, int | float) else None

    def compute(self, key: str) -> float | None:
        """Average a value of the jobs' ``compute``; None if one of them lacks it."""
        values: list[Any] = [job.compute.get(key) for job in self.jobs]
        return None if None in values else float(np.mean([float(value) for value in values]))


def first_stage_of(setting: SettingResult) -> SettingResult:
    """Return the first stage that a setting re-ranks, as a setting without jobs on the same queries."""
    table = setting.jobs[0].per_query[str(setting.labels[FIRST_STAGE])].ordered(setting.query_ids)
    return replace(setting, jobs=(), values_SQ=table.first_stage[setting.measure][np.newaxis])


@dataclass(frozen=True)
class ResultGroup:
    """The settings that re-rank one first stage on the queries of one data set, by loss and number of negatives.

    ``reference``: the first stage, or another retriever for a search of the whole collection. ``axes``: further labels
    in which the settings differ; ``constants``: labels that all share. ``ties``: tied scores in all jobs.
    ``first_stage_Q``: the first stage's own measure.
    """

    data: str
    first_stage: str
    reference: str
    measure: str
    query_ids: tuple[str, ...]
    first_stage_Q: FloatArray
    settings: tuple[SettingResult, ...]
    axes: tuple[str, ...]
    constants: Mapping[str, Any]
    ties: int

    @property
    def first_stage_mean(self) -> float:
        """The first stage's own measure, averaged over queries."""
        return float(self.first_stage_Q.mean())

    @cached_property
    def seeds_variance(self) -> PooledVariance | None:
        """The seeds' variance of all settings: no comparison of a row takes less; None for one seed each."""
        return pooled_variance([[Term(1.0, setting.values_SQ, setting.models)] for setting in self.settings])

    @property
    def seed_counts(self) -> tuple[int, ...]:
        """The distinct numbers of seeds of the settings, ascending."""
        return tuple(sorted({len(setting.jobs) for setting in self.settings}))


def group_results(jobs: Iterable[JobResult], measure: str | None = None) -> list[ResultGroup]:
    """Group the results of finished jobs by data set and first stage, in order of appearance.

    ``measure``: as a config writes it; None for the first that all jobs have. A test set without it has its own first.

    Raises:
        ExperimentError: a job lacks the measure; two jobs differ in queries, relevance grade or first-stage run; or two
            are the same setting with the same seed. The message names the jobs.
    """
    finished = [job for job in jobs if job.finished]
    extra_axes = _unlabelled_axes(finished)
    members: dict[tuple[str, str], list[JobResult]] = {}
    for job in finished:
        for first_stage in job.test:
            members.setdefault((str(job.labels["data"]), first_stage), []).append(job)
    for (data, _), group_jobs in members.items():
        check_grade(group_jobs, data)
    measures = measure_by_data(finished, measure)
    return [
        _group(data, first_stage, measure_of(group_jobs, first_stage, measures[data]), group_jobs, extra_axes)
        for (data, first_stage), group_jobs in members.items()
    ]


def _group(data: str, first_stage: str, measure: str, jobs: list[JobResult], extra_axes: Sequence[str]) -> ResultGroup:
    per_query = _aligned(jobs, first_stage, measure)
    query_ids = per_query[0].query_ids
    labels_of = [_labels(job, extra_axes) for job in jobs]
    members: dict[str, list[tuple[JobResult, FloatArray]]] = {}
    for job, labels, table in zip(jobs, labels_of, per_query, strict=True):
        members.setdefault(_frozen(labels), []).append((job, table.reranked[measure]))
    settings = []
    for rows in members.values():
        rows = sorted(rows, key=lambda row: _rank(row[0].seed))
        labels = {**_labels(rows[0][0], extra_axes), FIRST_STAGE: first_stage}
        alike = tuple(job for job, _ in rows)
        for job, other in pairwise(alike):
            if job.seed == other.seed:
                raise ExperimentError(
                    f"the jobs {job.name} and {other.name} are the same setting with the same seed ({job.seed}): "
                    f"move one of them out of {job.folder.parent}"
                )
        settings.append(SettingResult(labels, alike, np.stack([values_Q for _, values_Q in rows]), query_ids, measure))
    names = dict.fromkeys(name for labels in labels_of for name in labels if name not in PLACED)
    axes = tuple(name for name in names if len({_frozen(labels.get(name)) for labels in labels_of}) > 1)
    settings.sort(key=lambda setting: [_rank(setting.labels.get(name)) for name in ("loss", "negatives", *axes)])
    return ResultGroup(
        data=data,
        first_stage=first_stage,
        reference=str(jobs[0].test[first_stage].get("compared_to", first_stage)),
        measure=measure,
        query_ids=query_ids,
        first_stage_Q=per_query[0].first_stage[measure],
        settings=tuple(settings),
        axes=axes,
        constants={name: labels_of[0].get(name) for name in names if name not in axes},
        ties=sum(int(job.test[first_stage].get("ties", 0)) for job in jobs),
    )


def _aligned(jobs: list[JobResult], first_stage: str, measure: str) -> list[PerQuery]:
    """Return the jobs' per-query tables in the query order of the first one; refuse other queries or runs."""
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
        digests = {measured.test[first_stage].get("first_stage_digest") for measured in (jobs[0], job)} - {None}
        same = np.allclose(table.first_stage[measure], reference.first_stage[measure], rtol=0, atol=ROUNDING)
        if len(digests) > 1 or not same:
            raise ExperimentError(
                f"the jobs {jobs[0].name} and {job.name} re-rank different runs under the name {first_stage}: "
                f"they cannot stand in one table, move one of them to another study"
            )
        tables.append(table)
    return tables


def _labels(job: JobResult, extra_axes: Sequence[str]) -> dict[str, Any]:
    labels = {name: value for name, value in job.labels.items() if name != "seed"}
    if extra_axes:
        config = _trained_by(job)
        for axis in extra_axes:
            value = config.get(axis)
            labels[axis] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return labels


def _unlabelled_axes(jobs: Sequence[JobResult]) -> list[str]:
    """Return the dotted config keys in which jobs of the same labels (without the seed) differ."""
    alike: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        alike.setdefault(_frozen(_labels(job, ())), []).append(_trained_by(job))
    return sorted(
        {
            key
            for configs in alike.values()
            for key in set().union(*configs)
            if len({_frozen(config.get(key)) for config in configs}) > 1
        }
    )


def _trained_by(job: JobResult) -> dict[str, Any]:
    """Return the config values that decide a job's training, by dotted key, without seeds and first stages."""
    try:
        config = dict(job.trained_by) or scientific(job.config)
        drawn_from = sources_of(config["negatives"]["source"]) if "negatives" in config else ()
        sources = with_their_candidates(drawn_from, config["retrievers"])
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
    """Sort key: missing values first, then numbers in order, then words."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, str(value))
