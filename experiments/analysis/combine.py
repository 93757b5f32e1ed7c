"""The jobs of several studies in one table, where the study is one more label."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.analysis.folds import pool
from experiments.job_files.records import Job

STUDY = "study"
HASH = re.compile(r"-([0-9a-f]{8})$")  # the end of a job's name: of its scientific config


@dataclass(frozen=True)
class Study:
    """The jobs of a study, and what it is called by. ``folder``: where they were read; None if from W&B's server."""

    name: str
    jobs: tuple[Job, ...]
    folder: Path | None = None


def side_by_side(studies: Sequence[Study]) -> tuple[list[Job], list[str]]:
    """The jobs of all studies, and what has to be said of them.

    Of one study they stay as they are. Of several, each finished job has the label ``study``, so that no table averages
    over studies; jobs that are the same in several, by the hash in their name, stand there once, under all their names.
    The folds of a cross-validation are pooled within their study.
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
                jobs.append(_labelled(job, ", ".join(holders[identity])))
    return jobs, _remarks(jobs)


def _identity(study: Study, job: Job) -> str:
    """The same for the same job in two studies; of a name without a hash nothing is known."""
    found = HASH.search(job.name)
    return found.group(1) if found else f"{study.name}/{job.name}"


def _labelled(job: Job, study: str) -> Job:
    labels = {STUDY: study, **{name: _number(value) for name, value in job.labels.items()}}
    return replace(job, labels=labels, config=_number(job.config))


def _number(value: Any) -> Any:
    """Whole floats as integers, all the way down: W&B keeps no difference between 1 and 1.0, a job's folder does."""
    if isinstance(value, dict):
        return {key: _number(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_number(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _remarks(jobs: Sequence[Job]) -> list[str]:
    shared = [job for job in jobs if ", " in str(job.labels.get(STUDY, ""))]
    return [f"{job.name}: the same job in {job.labels[STUDY]}, shown once" for job in shared]
