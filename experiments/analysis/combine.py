"""Combine studies in one table with the label ``study``: from folders, W&B's offline runs and its server."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.analysis.findings import Findings, findings_from, read_table
from experiments.analysis.folds import pool
from experiments.analysis.load import JobResult, read_study
from experiments.analysis.load_wandb import jobs_of
from experiments.common.errors import ExperimentError
from experiments.common.text import plural
from experiments.job_files.files import TABLE
from experiments.tracking.connection import resolve_mode
from experiments.tracking.wandb_records import is_offline_folder, offline_runs, server_runs

STUDY = "study"
OUTPUTS = Path("outputs")
PROJECT = "rerank-ablations"


@dataclass(frozen=True)
class LoadedStudy:
    """Jobs of a study. ``place``: their origin in words; ``folder``: None if they come from W&B's server."""

    name: str
    jobs: tuple[JobResult, ...]
    folder: Path | None = None
    place: str = ""

    @property
    def source(self) -> str:
        """Origin and number of the jobs: ``outputs/a: 4 jobs, 3 finished``."""
        finished = sum(job.finished for job in self.jobs)
        return f"{self.place or self.folder}: {plural(len(self.jobs), 'job')}, {finished:,} finished"


@dataclass(frozen=True)
class Combined:
    """Findings of several studies. ``remarks``: on jobs that several share. ``sources``: where they were read."""

    findings: Findings
    remarks: tuple[str, ...]
    sources: tuple[str, ...]


def combine(
    places: Sequence[str],
    measure: str | None = None,
    project: str = PROJECT,
    entity: str | None = None,
    offline: bool = False,
) -> Combined:
    """Read studies and compute their joint findings.

    ``places``: folders of studies, folders ``wandb`` with offline runs, or groups in W&B. ``measure``: None for the
    measure of a single study's table, or the first that all jobs have. ``entity``: None for the account's default.
    ``offline``: do not ask W&B's server.

    Raises:
        ExperimentError: a study is not found, W&B does not answer, no job has finished, or the jobs do not fit in one
            table.
    """
    studies = [_read(place, project, entity, offline) for place in dict.fromkeys(places)]
    names = [study.name for study in studies]
    if len(set(names)) < len(names):
        raise ExperimentError(f"two of the studies have one name ({', '.join(names)}): rename the folder of one")
    jobs, remarks = side_by_side(studies)
    if not any(job.finished for job in jobs):
        first = f"{jobs[0].name} {jobs[0].state}: {jobs[0].reason}" if jobs else "there are none"
        raise ExperimentError(f"none of the jobs of {', '.join(names)} has finished; {first}")
    table = None
    if len(studies) == 1:  # published cells and claims belong to one study
        folder = studies[0].folder or OUTPUTS / names[0]
        # Claims on layers are judged by files that only the jobs' folders hold.
        if all(part.folder.is_dir() for job in jobs if job.finished for part in job.parts):
            table = read_table(folder / TABLE)
    else:
        folder = OUTPUTS / f"{{{','.join(names)}}}"
    findings = findings_from(jobs, folder, table, measure)
    return Combined(findings, tuple(remarks), tuple(study.source for study in studies))


def _read(place: str, project: str, entity: str | None, offline: bool) -> LoadedStudy:
    folder = Path(place)
    if folder.is_dir():
        return _from_disk(folder)
    if not offline and resolve_mode("auto") == "online":
        jobs = tuple(jobs_of(server_runs(place, project, entity)))
        return LoadedStudy(place, jobs, place=f"the group {place} in W&B")
    if (OUTPUTS / place).is_dir():
        return _from_disk(OUTPUTS / place)
    why = "--offline is set" if offline else "W&B is offline or nobody is logged in"
    raise ExperimentError(f"there is no folder {place} or {OUTPUTS / place}, and no group is asked of W&B: {why}")


def _from_disk(folder: Path) -> LoadedStudy:
    if is_offline_folder(folder):
        records = offline_runs(folder)
        jobs = tuple(jobs_of(records))
        return LoadedStudy(records[0].group, jobs, folder.resolve().parent, place=f"offline runs in {folder}")
    return LoadedStudy(folder.resolve().name, tuple(read_study(folder)), folder)


def side_by_side(studies: Sequence[LoadedStudy]) -> tuple[list[JobResult], list[str]]:
    """Return the jobs of all studies, with their folds pooled, and remarks on shared jobs.

    Jobs of a single study stay unchanged. With several studies each finished job gets the label ``study``, so no table
    averages over studies. Jobs with the same hash in several studies appear once, under all names.
    """
    studies = [replace(study, jobs=tuple(pool(study.jobs))) for study in studies]
    if len(studies) == 1:
        return list(studies[0].jobs), []
    holders: dict[str, list[str]] = {}
    for study in studies:
        for job in study.jobs:
            if job.finished:
                names = holders.setdefault(_identity(study, job), [])
                names += [study.name] if study.name not in names else []
    jobs, seen = [], set()
    for study in studies:
        for job in study.jobs:
            if not job.finished:
                jobs.append(job)
            elif (identity := _identity(study, job)) not in seen:
                seen.add(identity)
                named = {STUDY: ", ".join(holders[identity])}
                jobs.append(replace(job, labels=named | _number(dict(job.labels)), config=_number(job.config)))
    shared = [job for job in jobs if ", " in str(job.labels.get(STUDY, ""))]
    return jobs, [f"{job.name}: the same job in {job.labels[STUDY]}, shown once" for job in shared]


def _identity(study: LoadedStudy, job: JobResult) -> str:
    return job.hash or f"{study.name}/{job.name}"


def _number(value: Any) -> Any:
    """Convert whole floats to integers, recursively: W&B does not distinguish 1 from 1.0, a folder does."""
    if isinstance(value, dict):
        return {key: _number(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_number(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
