"""Pool the jobs of a cross-validation: all folds of one setting and seed become one job.

Each judged query is tested in one fold, so the pooled job has one value for each. Tables, claims and plots see the
pooled job; ``JobResult.parts`` are its folds. First stages measured on train or dev (``retrieve.split=train``) are not
pooled, since the folds share these queries.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.analysis.load import INCOMPLETE, JobResult
from experiments.common.cache import fingerprint
from experiments.common.errors import ExperimentError
from experiments.config.identity import scientific
from experiments.job_files.files import CONFIG
from experiments.job_files.per_query import DEPTHS, PerQuery, concatenate
from experiments.job_files.status import FINISHED

COUNTS = ("queries", "without_relevant", "pairs", "windows", "ties")  # of a first stage in a job's metrics: added up
KEPT = ("threads",)  # numbers of a job's ``compute`` that are not added up
WASTE = "padding_waste"  # share of the computed tokens


def pool(jobs: Iterable[JobResult]) -> list[JobResult]:
    """Pool the folds of each setting and seed into one job; jobs without folds stay unchanged.

    A setting that lacks a fold becomes a job in the state ``incomplete``, whose error names the missing folds.
    Unfinished folds stay jobs of their own.

    Raises:
        ExperimentError: two finished jobs are the same fold of one setting, or a job's config cannot be read.
    """
    groups: dict[str, list[JobResult]] = {}
    others = []
    for job in jobs:
        if not job.finished or _folds(job) is None:
            others.append(job)
        elif job.split == "test":
            groups.setdefault(_setting(job), []).append(job)
        else:
            others.append(_apart(job))
    pooled = [*others, *(_pooled(setting, members) for setting, members in groups.items())]
    return sorted(pooled, key=lambda job: job.name) if groups else others


def _apart(job: JobResult) -> JobResult:
    """Move the fold of a job measured on train or dev into its data label, so that no table mixes queries."""
    labels = dict(job.labels)
    fold = labels.pop("fold", None)
    return job if fold is None else replace(job, labels=labels | {"data": f"{labels['data']}/fold{fold}"})


def _folds(job: JobResult) -> int | None:
    """Return the number of folds if the job is one fold; None for a pooled or other job."""
    data = job.config.get("data") or {}
    return None if data.get("folds") is None or data.get("fold") is None else int(data["folds"])


def _setting(job: JobResult) -> str:
    """Hash what the folds of one setting and seed share: config and labels without the fold."""
    try:
        config = scientific(job.config)
    except (KeyError, TypeError) as error:
        raise ExperimentError(f"{job.folder / CONFIG} is not the config of a job: {error} is missing") from error
    labels = {name: value for name, value in job.labels.items() if name != "fold"}
    config["data"] = {**config["data"], "fold": None}
    return fingerprint(json.loads(json.dumps({"config": config, "labels": labels}, default=str)))


def _pooled(setting: str, members: Sequence[JobResult]) -> JobResult:
    folds = _folds(members[0])
    assert folds is not None
    by_fold: dict[int, JobResult] = {}
    for job in members:
        number = int(job.config["data"]["fold"])
        if number in by_fold:
            raise ExperimentError(
                f"the jobs {by_fold[number].name} and {job.name} are the same setting, seed and fold ({number}): move "
                f"one of them out of {job.folder.parent}"
            )
        by_fold[number] = job
    parts = tuple(by_fold[number] for number in sorted(by_fold))
    first = parts[0]
    pooled = replace(
        first,
        folder=first.folder.parent / f"{first.name.removesuffix(f'-{first.hash}')}-folds{folds}-{setting[:8]}",
        hash=setting[:8],
        config={**first.config, "data": {**first.config["data"], "fold": None}},
        labels={name: value for name, value in first.labels.items() if name != "fold"} | {"folds": folds},
        folds=parts,
    )
    if why := _why_incomplete(parts, folds):
        return replace(pooled, state=INCOMPLETE, error=why, test={}, compute={}, per_query={}, probe=None)
    per_query = {name: concatenate([job.per_query[name] for job in parts]) for name in _shared(parts)}
    return replace(
        pooled,
        state=FINISHED,
        test={name: _tested([job.test[name] for job in parts], table) for name, table in per_query.items()},
        per_depth={name: _depths([job.per_depth.get(name, {}) for job in parts]) for name in per_query},
        compute=_compute([job.compute for job in parts]),
        per_query=per_query,
        probe=_probe([job.probe for job in parts]),
    )


def _why_incomplete(parts: Sequence[JobResult], folds: int) -> str | None:
    """Say why the folds do not make a whole; None if they do."""
    have = [int(job.config["data"]["fold"]) for job in parts]
    if missing := [number for number in range(folds) if number not in have]:
        named = ",".join(map(str, missing))
        return f"only {len(have)} of {folds} folds have finished: run the study again with data.fold={named}"
    for name in _shared(parts):
        owner: dict[str, JobResult] = {}
        for job in parts:
            for query_id in job.per_query[name].query_ids:
                if query_id in owner:
                    return (
                        f"{owner[query_id].name} and {job.name} both tested the query {query_id}: the judged queries "
                        f"have changed between their folds; delete both folders and run the study again"
                    )
                owner[query_id] = job
    return None


def _shared(parts: Sequence[JobResult]) -> list[str]:
    """Return the first stages that all folds were measured on."""
    return [name for name in parts[0].test if all(name in job.test for job in parts)]


def _tested(parts: Sequence[Mapping[str, Any]], table: PerQuery) -> dict[str, Any]:
    """Merge the metrics of one first stage over all folds: means over all queries, sums of counts."""
    merged: dict[str, Any] = dict(parts[0])
    merged |= {name: sum(int(part[name]) for part in parts) for name in COUNTS if all(name in part for part in parts)}
    merged |= {measure: float(values_Q.mean()) for measure, values_Q in table.reranked.items()}
    merged["first_stage"] = {measure: float(values_Q.mean()) for measure, values_Q in table.first_stage.items()}
    merged.pop(DEPTHS, None)  # each fold keeps its own
    digests = [part.get("first_stage_digest") for part in parts]
    if None not in digests:
        merged["first_stage_digest"] = fingerprint(digests)[:16]
    return merged


def _depths(parts: Sequence[Mapping[int, PerQuery]]) -> dict[int, PerQuery]:
    """Append the values of all folds at each depth of re-ranking that all measured."""
    return {depth: concatenate([part[depth] for part in parts]) for depth in parts[0] if all(depth in p for p in parts)}


def _compute(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up costs; where a word such as the machine differs, name all."""
    merged = {key: _sum(key, [part[key] for part in parts]) for key in parts[0] if all(key in part for part in parts)}
    if WASTE in merged and merged.get("computed_tokens"):
        merged[WASTE] = 1 - merged["tokens"] / merged["computed_tokens"]
    return merged


def _sum(key: str, values: Sequence[Any]) -> Any:
    if all(isinstance(value, Mapping) for value in values):
        names = dict.fromkeys(name for value in values for name in value)
        return {name: _sum(name, [value.get(name, 0) for value in values]) for name in names}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return max(values) if key in KEPT else sum(values)
    return ", ".join(dict.fromkeys(map(str, values)))


def _probe(parts: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Pool the probed layers; None unless every fold was probed."""
    probed = [part for part in parts if part is not None]
    if len(probed) < len(parts):
        return None
    return {
        who: _probed([part[who] for part in probed]) if all(part.get(who) for part in probed) else None
        for who in ("model", "control")
    }


def _probed(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average weighted by the queries of each fold. Intervals cannot be pooled and are dropped."""
    weights = np.array([part["queries"] for part in parts], float)

    def mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {name: float(np.average([fold[name] for fold in values], weights=weights)) for name in values[0]}

    by_place = [
        {(cell["layer"], cell["pooling"], cell["candidates"]): cell for cell in part["cells"]} for part in parts
    ]
    cells = [
        {
            **cell,
            "mean": mean([places[place]["mean"] for places in by_place]),
            **{name: sum(places[place][name] or 0 for places in by_place) for name in ("ties", "pairs")},
            "differences": {},
        }
        for place, cell in by_place[0].items()
        if all(place in places for places in by_place)
    ]
    stages = {name: mean([part["first_stages"][name] for part in parts]) for name in parts[0]["first_stages"]}
    return {**parts[0], "queries": int(weights.sum()), "cells": cells, "first_stages": stages}
