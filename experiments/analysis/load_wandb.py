"""The jobs of a study read back from their W&B runs, on a server or offline on disk.

A run of a job holds what tables need:

- its config: the job's, and ``labels``;
- its summary: ``FIRST_STAGE/...`` as ``test`` of the job's ``metrics.json``, nested names joined by slashes,
  ``compute/...`` likewise, and the probed layers as one text, ``probe``;
- the tables ``per_query/FIRST_STAGE``.

Shapes: Q queries.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.errors import ExperimentError
from experiments.common.text import first_line
from experiments.job_files.records import FINISHED, FIRST_STAGE_PREFIX, UNREADABLE, FloatArray, Job, PerQuery
from experiments.tracking.wandb_records import RunRecord
from experiments.tracking.wandb_run import ERROR

PROBE = "probe_json"
LABELS = "labels"
FIRST_STAGE_KEY = re.compile(r"(.+)/first_stage/[^/]+")
RUNNING = ("running", "pending", "preempting")
NOT_MEASURES = ("query", "text")  # the columns of a per-query table that hold no numbers


def flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested values under names joined by slashes: ``{"first_stage": {"AP": 1}}`` as ``{"bm25/first_stage/AP": 1}``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}/{key}"
        found |= flat(value, name) if isinstance(value, Mapping) else {name: value}
    return found


def nested(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """What ``flat`` was given, from among other values."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key.startswith(f"{prefix}/"):
            *above, name = key.removeprefix(f"{prefix}/").split("/")
            place = found
            for part in above:
                place = place.setdefault(part, {})
            place[name] = value
    return found


def jobs_of(records: Iterable[RunRecord]) -> list[Job]:
    """The jobs whose runs these are, by name; runs of another type than ``train`` are left out."""
    return sorted((job_of(one) for one in records if one.job_type == "train"), key=lambda job: job.name)


def job_of(record: RunRecord) -> Job:
    """One job; in the state ``unreadable``, with why, if its run lacks something that a finished one has.

    Its ``folder`` is where the job was run, which may be on another machine.
    """
    config = {key: value for key, value in record.config.items() if key != LABELS}
    folder = Path(str(config.get("outputs", "outputs"))) / record.group / record.name
    if record.state != FINISHED:
        state = "running" if record.state in RUNNING else "failed"
        why = record.summary.get(ERROR) or (f"W&B shows it as {record.state}" if state == "failed" else None)
        return Job(folder, state, error=why, config=config)
    try:
        return _finished_job(record, folder, config)
    except ExperimentError as error:
        return Job(folder, UNREADABLE, error=first_line(error), config=config)


def _finished_job(record: RunRecord, folder: Path, config: Mapping[str, Any]) -> Job:
    labels = record.config.get(LABELS)
    if not isinstance(labels, Mapping) or not {"loss", "data"} <= set(labels):
        raise ExperimentError(
            f"the W&B run {record.name} ({record.id}) says nothing of its labels: it is of an earlier version; read "
            f"the study from its folder"
        )
    found = (FIRST_STAGE_KEY.fullmatch(key) for key in record.summary)
    first_stages = list(dict.fromkeys(one.group(1) for one in found if one is not None))
    if not first_stages:
        raise ExperimentError(f"the W&B run {record.name} ({record.id}) has finished without test results")
    ordered = [name for name in config.get("first_stage", ()) if name in first_stages]
    ordered += [name for name in first_stages if name not in ordered]
    return Job(
        folder,
        FINISHED,
        config=config,
        labels=dict(labels),
        test={name: nested(record.summary, name) for name in ordered},
        compute=nested(record.summary, "compute"),
        per_query={name: _per_query(record, name) for name in ordered},
        probe=json.loads(record.summary[PROBE]) if PROBE in record.summary else None,
    )


def _per_query(record: RunRecord, first_stage: str) -> PerQuery:
    """The values per query that a run logged as a table."""
    key = f"per_query/{first_stage}"
    path = record.summary.get(f"{key}.path")
    if path is None:
        raise ExperimentError(f"the W&B run {record.name} ({record.id}) lacks the table {key}")
    try:
        table = json.loads(record.read(path))
        columns = [str(name) for name in table["columns"]]
        rows = [dict(zip(columns, row, strict=True)) for row in table["data"]]
        by_name = {
            name: np.array([row[name] for row in rows], dtype=np.float64)
            for name in columns
            if name not in NOT_MEASURES
        }
        query_ids = tuple(str(row["query"]) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise ExperimentError(
            f"the table {key} of the W&B run {record.name} ({record.id}) is malformed ({error!r})"
        ) from error
    return _checked(query_ids, by_name, f"the table {key} of the W&B run {record.name} ({record.id})")


def _checked(query_ids: tuple[str, ...], by_name: Mapping[str, FloatArray], what: str) -> PerQuery:
    if len(set(query_ids)) < len(query_ids):
        raise ExperimentError(f"{what} has a query twice")
    for name, values_Q in by_name.items():
        if not np.isfinite(values_Q).all():
            raise ExperimentError(f"{what} has a value of {name} that is not finite")
    return PerQuery(
        query_ids,
        {name: values_Q for name, values_Q in by_name.items() if not name.startswith(FIRST_STAGE_PREFIX)},
        {
            name.removeprefix(FIRST_STAGE_PREFIX): values_Q
            for name, values_Q in by_name.items()
            if name.startswith(FIRST_STAGE_PREFIX)
        },
    )
