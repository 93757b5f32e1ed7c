"""Log a study's report as one W&B run: results, verdicts on the claims, jobs, figures and files.

The run's id depends on the study's name alone, so a new report overwrites the last one. Offline, each report leaves a
record with that id, and ``wandb sync`` merges them, the newest last.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from experiments.analysis.findings import Findings
from experiments.analysis.load import JobResult
from experiments.common.cache import fingerprint
from experiments.tracking.connection import resolve_mode
from experiments.tracking.wandb_run import RunIdentity, WandbRun

RESULT_FIGURES = ("mean", "sd", "seeds", "difference", "low", "high", "p_holm", "published", "status")
CLAIM_COLUMNS = ("claim", "verdict", "published", "difference", "low", "high", "in words")
JOB_COLUMNS = ("job", "run", "state", "why")


class Destination(NamedTuple):
    """W&B mode (``none``: no logging), project and entity of a study's runs."""

    mode: str
    project: str
    entity: str | None


def log_report(
    findings: Findings,
    files: Sequence[Path],
    mode: str | None = None,
    project: str | None = None,
    entity: str | None = None,
) -> str | None:
    """Log a study's report as a W&B run in the study's folder, and return the run's id; None if logging is off.

    ``files``: tables, pages and figures; PNG files are also shown as images. ``mode``, ``project``, ``entity``: of W&B;
    None takes the jobs' setting.

    Raises:
        ExperimentError: one of the files is missing, or W&B refuses the project or the entity.
    """
    default = destination_of(findings.jobs)
    mode = mode or default.mode
    if mode == "none" or resolve_mode(mode) == "disabled":
        return None
    study = findings.folder.name
    table = asdict(findings.table) if findings.table is not None else {}
    identity = RunIdentity(
        study=study,
        name=f"{study}-report",
        id=fingerprint({"study": study, "job": "report"}),
        tags=tuple(varying(findings)),
        config={"study": study, "title": findings.title, **table, "measure": findings.measure},
        job_type="report",
    )
    parts = [part for job in findings.jobs for part in job.parts]
    ids = [fingerprint({"study": study, "job": part.name}) for part in parts]
    jobs = [[part.name, run_id, part.state, part.error or ""] for part, run_id in zip(parts, ids, strict=True)]
    with WandbRun(identity, findings.folder, mode, project or default.project, entity or default.entity) as run:
        run.log_table("results", *results_table(findings))
        if findings.verdicts:
            run.log_table("claims", CLAIM_COLUMNS, claim_rows(findings))
        run.log_table("jobs", JOB_COLUMNS, jobs)
        run.log_pictures({f"pictures/{path.stem}": path for path in files if path.suffix == ".png"})
        run.log_files(f"report-{study}", "report", files)
        run.log_summary(headline(findings))
    return identity.id


def destination_of(jobs: Iterable[JobResult]) -> Destination:
    """Return the destination of the first job that was logged."""
    for logger in (job.config.get("logger") or {} for job in jobs):
        if logger.get("mode", "none") != "none":
            project = str(logger.get("project") or "rerank-ablations")
            return Destination(str(logger["mode"]), project, logger.get("entity"))
    return Destination("none", "rerank-ablations", None)


def varying(findings: Findings) -> list[str]:
    """Return the labels in which results differ, in order of appearance."""
    rows = [result.setting.labels for result in findings.results]
    return [name for name in _names(rows) if len({str(labels.get(name)) for labels in rows}) > 1]


def results_table(findings: Findings) -> tuple[list[str], list[list[Any]]]:
    """Return columns (labels, then ``RESULT_FIGURES``) and one row per result; unknown values are None."""
    labels = _names(result.setting.labels for result in findings.results)
    rows = []
    for result in findings.results:
        versus = result.comparison
        compared = [None] * 3 if versus is None else [versus.mean, versus.low, versus.high]
        published = None if result.published is None else result.published.value
        values = (result.setting.labels.get(name) for name in labels)
        named = [
            value if value is None or isinstance(value, str | int | float) else json.dumps(value, default=str)
            for value in values
        ]
        measured = [result.mean, result.setting.sd, len(result.setting.jobs)]
        rows.append([*named, *measured, *compared, result.p_holm, published, result.status])
    return [*labels, *RESULT_FIGURES], rows


def claim_rows(findings: Findings) -> list[list[Any]]:
    """Return one row per claim, in the columns of ``CLAIM_COLUMNS``."""
    rows = []
    for verdict in findings.verdicts:
        estimate = verdict.estimate
        bounds = [None] * 3 if estimate is None else [estimate.mean, estimate.low, estimate.high]
        rows.append([verdict.claim.says, verdict.state, verdict.claim.published, *bounds, verdict.needs])
    return rows


def headline(findings: Findings) -> dict[str, float | int | str | None]:
    """Return the run's summary: jobs and claims by state, and the best result."""
    states = Counter(job.state for job in findings.jobs)
    summary: dict[str, float | int | str | None] = {f"jobs/{state}": count for state, count in states.items()}
    summary |= {"cells": len(findings.results), "cells/missing": len(findings.missing)}
    verdicts = Counter(verdict.state for verdict in findings.verdicts)
    summary |= {f"claims/{state}": count for state, count in verdicts.items()}
    if findings.results:
        best = max(findings.results, key=lambda result: result.mean)
        names = varying(findings)
        summary[f"best/{findings.measure}"] = best.mean
        summary["best/cell"] = ", ".join(f"{name} {best.setting.labels.get(name)}" for name in names) or "the only one"
    return summary


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for labels in rows for name in labels))
