"""Read the jobs of a study back from their W&B runs, on a server or offline on disk.

``experiments.tracking.summary`` describes the content of a run. Shapes: Q queries.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis.load import JobResult
from experiments.common.errors import ExperimentError, noted_reason
from experiments.common.text import first_line
from experiments.job_files.checked_results import check_compute
from experiments.job_files.per_query import DEPTHS, PerQuery
from experiments.job_files.status import FAILED, FINISHED, RUNNING, UNREADABLE, hash_of
from experiments.tracking.summary import COMPUTE, HASH, LABELS, PER_QUERY, PROBE, TRAINED_BY, depth_table, nested
from experiments.tracking.wandb_records import RunRecord
from experiments.tracking.wandb_run import ERROR

FIRST_STAGE_KEY = re.compile(r"(.+)/first_stage/[^/]+")
JOB_TYPES = ("train", "evaluate")
AT_WORK = ("running", "pending", "preempting")  # W&B's states
NOT_MEASURES = ("query", "text")  # the columns of a per-query table that hold no numbers


def jobs_of(records: Iterable[RunRecord]) -> list[JobResult]:
    """Return the jobs of runs of the types ``train`` and ``evaluate``, by name."""
    jobs = [job_of(record) for record in records if record.job_type in JOB_TYPES]
    return sorted(jobs, key=lambda job: job.name)


def job_of(record: RunRecord) -> JobResult:
    """Return the job of a run; ``unreadable``, with why, if a finished run lacks a part.

    Its ``folder`` may be on another machine.
    """
    config = {key: value for key, value in record.config.items() if key not in (LABELS, HASH, TRAINED_BY)}
    folder = Path(str(config.get("outputs", "outputs"))) / record.group / record.name
    hashed = hash_of(record.config, record.name)
    if record.state != FINISHED:
        state = RUNNING if record.state in AT_WORK else FAILED
        why = noted_reason(record.summary.get(ERROR))
        why = why or (f"W&B shows it as {record.state}" if state == FAILED else None)
        return JobResult(folder, state, why, hashed, config)
    try:
        return _finished_job(record, folder, hashed, config)
    except ExperimentError as error:
        return JobResult(folder, UNREADABLE, first_line(error), hashed, config)


def _finished_job(record: RunRecord, folder: Path, hashed: str | None, config: Mapping[str, Any]) -> JobResult:
    labels = record.config.get(LABELS)
    if not isinstance(labels, Mapping) or not {"loss", "data"} <= set(labels):
        raise ExperimentError(
            f"the W&B run {record.name} ({record.id}) says nothing of its labels: it is of an earlier version; read "
            f"the study from its folder"
        )
    keys = (FIRST_STAGE_KEY.fullmatch(key) for key in record.summary)
    first_stages = list(dict.fromkeys(key.group(1) for key in keys if key is not None))
    if not first_stages:
        raise ExperimentError(f"the W&B run {record.name} ({record.id}) has finished without test results")
    ordered = [name for name in config.get("first_stage", ()) if name in first_stages]
    ordered += [name for name in first_stages if name not in ordered]
    test = {name: nested(record.summary, name) for name in ordered}
    compute = nested(record.summary, COMPUTE)
    check_compute(f"the W&B run {record.name} ({record.id})", compute)
    per_query = {name: _per_query(record, f"{PER_QUERY}/{name}") for name in ordered}
    return JobResult(
        folder,
        FINISHED,
        hash=hashed,
        config=config,
        labels=dict(labels),
        test=test,
        compute=compute,
        per_query=per_query,
        per_depth={name: _per_depth(record, name, test[name], table) for name, table in per_query.items()},
        probe=json.loads(record.summary[PROBE]) if PROBE in record.summary else None,
        trained_by=dict(record.config.get(TRAINED_BY) or {}),
    )


def _per_depth(
    record: RunRecord, first_stage: str, measured: Mapping[str, Any], deepest: PerQuery
) -> dict[int, PerQuery]:
    """Read the values at each depth of re-ranking, ascending; empty for one depth, and for runs of earlier versions,
    which have the means of the smaller depths without a table. ``deepest``: the values at the largest depth.
    """
    *smaller, largest = sorted(map(int, measured.get(DEPTHS) or {"0": None}))
    tables = {depth: depth_table(first_stage, depth) for depth in smaller}
    if not tables or not all(f"{key}.path" in record.summary for key in tables.values()):
        return {}
    return {**{depth: _per_query(record, key) for depth, key in tables.items()}, largest: deepest}


def _per_query(record: RunRecord, key: str) -> PerQuery:
    what = f"the table {key} of the W&B run {record.name} ({record.id})"
    path = record.summary.get(f"{key}.path")
    if path is None:
        raise ExperimentError(f"the W&B run {record.name} ({record.id}) lacks the table {key}")
    try:
        table = json.loads(record.read(path))
        names = [str(name) for name in table["columns"]]
        rows = [dict(zip(names, row, strict=True)) for row in table["data"]]
        measured = [name for name in names if name not in NOT_MEASURES]
        columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in measured}
        query_ids = [str(row["query"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ExperimentError(f"{what} is malformed ({error!r})") from error
    if len(set(query_ids)) < len(query_ids):
        raise ExperimentError(f"{what} has a query twice")
    for name, values_Q in columns.items():
        if not np.isfinite(values_Q).all():
            raise ExperimentError(f"{what} has a value of {name} that is not finite")
    return PerQuery.of_columns(query_ids, columns)
