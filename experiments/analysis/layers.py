"""Read the probed layers of a study's models (``per_query.probe.tsv``) as results by setting.

Shapes: Q queries, S seeds.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.load import JobResult
from experiments.analysis.settings import ResultGroup, SettingResult
from experiments.common.errors import ExperimentError
from experiments.job_files.per_query import PROBE, PerQuery, concatenate, per_query_path, read_per_query

# a probed column, such as layer2:mean:whole_collection
COLUMN = re.compile(r"layer(?P<layer>\d+):(?P<pooling>[^:]+):(?P<candidates>.+)")


def layer_results(groups: Sequence[ResultGroup]) -> list[SettingResult]:
    """Return the probed layers of all probed models, each model once, by each probe's first measure.

    Raises:
        ExperimentError: a table of probed layers is missing or malformed, or the models of a setting were probed on
            different queries; the message names the file or the jobs.
    """
    return [result for labels, jobs in _trainings(groups) for result in _layers(labels, jobs)]


def _trainings(groups: Sequence[ResultGroup]) -> list[tuple[Mapping[str, Any], list[JobResult]]]:
    """Return the labels and models of each setting, merging the same setting of several groups."""
    trainings: dict[str, tuple[Mapping[str, Any], dict[str, JobResult]]] = {}
    for group in groups:
        for setting in group.settings:
            key = json.dumps(setting.training, sort_keys=True, default=str)
            models = trainings.setdefault(key, (setting.training, {}))[1]
            models.update({job.name: job for job in setting.jobs})
    return [
        (labels, sorted(jobs.values(), key=lambda job: (str(type(job.seed)), job.seed)))
        for labels, jobs in trainings.values()
    ]


def _layers(labels: Mapping[str, Any], jobs: Sequence[JobResult]) -> list[SettingResult]:
    probed = [job for job in jobs if job.probe is not None]
    if not probed:
        return []
    tables = [concatenate([read_per_query(per_query_path(part.folder, PROBE)) for part in job.parts]) for job in probed]
    first, query_ids = probed[0], tables[0].query_ids
    try:
        measure = str((first.probe or {})["model"]["settings"]["measures"][0])
    except (KeyError, TypeError, IndexError) as error:
        raise ExperimentError(f"{first.folder}/metrics.json: the probe does not say its measures") from error
    ordered = [_ordered(job, table, first, query_ids) for job, table in zip(probed, tables, strict=True)]
    results = []
    for name in tables[0].reranked:
        if not all(name in table.reranked for table in ordered):
            continue
        column = COLUMN.fullmatch(name)
        if column is None:
            path = per_query_path(first.folder, PROBE)
            raise ExperimentError(f"{path}: the column {name!r} is not LAYER:POOLING:CANDIDATES")
        place = {**column.groupdict(), "layer": int(column["layer"])}
        values_SQ = np.stack([table.reranked[name] for table in ordered])
        results.append(SettingResult({**labels, **place}, tuple(probed), values_SQ, query_ids, measure))
    return results


def _ordered(job: JobResult, table: PerQuery, first: JobResult, query_ids: tuple[str, ...]) -> PerQuery:
    if set(table.query_ids) != set(query_ids):
        raise ExperimentError(
            f"the layers of the jobs {first.name} and {job.name} were probed on different queries: they cannot be "
            "averaged, move one of them to another study"
        )
    return table.ordered(query_ids)
