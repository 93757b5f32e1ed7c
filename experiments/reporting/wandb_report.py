"""The W&B run of a study as a whole: its results, the verdicts on its claims, its jobs, its pictures and its report.

It has the study's name and one id, so that a report made again goes on in the same run. What was logged online is
overwritten there. Offline, each report leaves a record of its own of that id, and ``wandb sync`` plays them into one
run, the newest last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.common.cache import fingerprint
from experiments.tracking.connection import resolve_mode
from experiments.tracking.wandb_run import RunIdentity, WandbRun

if TYPE_CHECKING:
    from experiments.analysis.findings import Findings
    from experiments.analysis.load import JobResult

RESULT_FIGURES = ("mean", "sd", "seeds", "difference", "low", "high", "p_holm", "published", "status")
CLAIM_COLUMNS = ("claim", "verdict", "published", "difference", "low", "high", "in words")
JOB_COLUMNS = ("job", "run", "state", "why")


class Destination(NamedTuple):
    """Where runs of a study go: W&B's mode (``none`` for nowhere), project and entity."""

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
    """Log a study's report as a W&B run, as its jobs were logged.

    Args:
        findings: what the study says; W&B's records lie in its folder, beside those of its jobs.
        files: the report's tables, pages and pictures; PNG files are also shown as pictures.
        mode: of W&B; None for that of the jobs.
        project: W&B's project; None for that of the jobs.
        entity: W&B's user or team; None for that of the jobs.

    Returns:
        The id of the run; None where nothing is logged: no job of the study was, or W&B is switched off.

    Raises:
        ExperimentError: one of the files is missing, or W&B does not take the project or the entity.
    """
    of_jobs = destination_of(findings.jobs)
    to = Destination(mode or of_jobs.mode, project or of_jobs.project, entity or of_jobs.entity)
    if to.mode == "none" or resolve_mode(to.mode) == "disabled":
        return None
    identity = identity_of(findings)
    with WandbRun(identity, findings.folder, to.mode, to.project, to.entity) as run:
        run.log_table("results", *results_table(findings))
        if findings.verdicts:
            run.log_table("claims", CLAIM_COLUMNS, claim_rows(findings))
        run.log_table("jobs", JOB_COLUMNS, job_rows(findings))
        run.log_pictures({f"pictures/{path.stem}": path for path in files if path.suffix == ".png"})
        run.log_files(f"report-{identity.study}", "report", files)
        run.log_summary(headline(findings))
    return identity.id


def destination_of(jobs: Iterable[JobResult]) -> Destination:
    """Where the jobs of a study were logged to, by the first that was."""
    settings = [job.config.get("logger") or {} for job in jobs]
    for one in settings:
        if one.get("mode", "none") != "none":
            return Destination(str(one["mode"]), str(one.get("project") or "rerank-ablations"), one.get("entity"))
    return Destination("none", "rerank-ablations", None)


def identity_of(findings: Findings) -> RunIdentity:
    """What W&B shows of a report: the study's table as config, the labels that vary as tags."""
    study = findings.folder.name
    table = asdict(findings.table) if findings.table is not None else {}
    return RunIdentity(
        study=study,
        name=f"{study}-report",
        id=fingerprint({"study": study, "job": "report"}),
        tags=tuple(varying(findings)),
        config={"study": study, "title": findings.title, **table, "measure": findings.measure},
        job_type="report",
    )


def varying(findings: Findings) -> list[str]:
    """The labels in which results differ, in order of appearance."""
    rows = [result.setting.labels for result in findings.results]
    return [name for name in _names(rows) if len({str(labels.get(name)) for labels in rows}) > 1]


def results_table(findings: Findings) -> tuple[list[str], list[list[Any]]]:
    """Column names, and a row a result: all its labels, then ``RESULT_FIGURES``, the interval as ``low`` and ``high``;
    what a reference is compared with and what is not published is None.
    """
    labels = _names(result.setting.labels for result in findings.results)
    rows = []
    for result in findings.results:
        versus = result.comparison
        compared = [None] * 3 if versus is None else [versus.mean, versus.low, versus.high]
        published = None if result.published is None else result.published.value
        named = [_scalar(result.setting.labels.get(name)) for name in labels]
        measured = [result.mean, result.setting.sd, len(result.setting.jobs)]
        rows.append([*named, *measured, *compared, result.p_holm, published, result.status])
    return [*labels, *RESULT_FIGURES], rows


def claim_rows(findings: Findings) -> list[list[Any]]:
    """A row a claim, in the columns of ``CLAIM_COLUMNS``."""
    rows = []
    for verdict in findings.verdicts:
        found = verdict.estimate
        estimate = [None] * 3 if found is None else [found.mean, found.low, found.high]
        rows.append([verdict.claim.says, verdict.state, verdict.claim.published, *estimate, verdict.needs])
    return rows


def job_rows(findings: Findings) -> list[list[Any]]:
    """A row a job, in the columns of ``JOB_COLUMNS``: its name, the id of its run, its state and the first line of why
    it has no results.
    """
    study = findings.folder.name
    return [
        [part.name, fingerprint({"study": study, "job": part.name}), part.state, part.error or ""]
        for job in findings.jobs
        for part in job.parts
    ]


def headline(findings: Findings) -> dict[str, float | int | str | None]:
    """The run's summary: how many jobs are in which state, what became of the claims, and the best result."""
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


def _scalar(value: Any) -> Any:
    """What a cell of a W&B table takes."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, default=str)
