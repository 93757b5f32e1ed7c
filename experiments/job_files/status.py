"""Write ``status.json`` and read it back into the state of a job.

A job counts as running only while a process holds its lock; its progress is the last line of its history. Imports no
torch.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.common.cache import write_json
from experiments.common.errors import ExperimentError, noted_reason, why
from experiments.common.manifest import MANIFEST, sealed
from experiments.common.text import first_line
from experiments.job_files.checked_results import read_status
from experiments.job_files.files import CONFIG, GRID, STATUS, read_json, read_text
from experiments.job_files.history import FILE
from experiments.job_files.integrity import damaged_config, problem_of_finished

log = logging.getLogger(__name__)

FINISHED = "finished"  # in the file
DONE, RUNNING, INTERRUPTED, FAILED = "done", "running", "interrupted", "failed"
CHANGED = "changed"  # done, but made from other inputs: it runs again
MISSING = "missing"  # of the last launch, and never began
UNREADABLE = "unreadable"
STATES = (DONE, CHANGED, RUNNING, INTERRUPTED, FAILED, MISSING, UNREADABLE)
JOB = re.compile(r"(?!\.{1,2}$)[^/\0]{1,250}")  # name of a job's folder
HASH_IN_NAME = re.compile(r".*-([0-9a-f]{8})")


@dataclass(frozen=True)
class JobStatus:
    """The state of a job, one of ``STATES``.

    ``why``: first line of why it failed. ``since``: start of its last attempt. ``step``, ``groups``: last reported
    progress of its training.
    """

    state: str
    why: str | None = None
    since: datetime | None = None
    attempts: int = 0
    step: int | None = None
    groups: int | None = None

    @property
    def needs_rerun(self) -> bool:
        """Whether it failed or was interrupted."""
        return self.state in (FAILED, INTERRUPTED)


def write_status(
    folder: Path, state: str, error: str | None, seconds: float, noted: Mapping[str, Any], hash: str
) -> None:
    """Write the status of a job. ``noted``: its inputs, start, attempts and files. ``hash``: of its config."""
    current = {"state": state, "error": error, "seconds": round(seconds, 2), "updated": now(), "hash": hash}
    value = sealed({**current, **noted})
    if state == FINISHED:
        write_json(folder / MANIFEST, value)
    write_json(folder / STATUS, value)


def now() -> str:
    """Return the time (UTC) as files write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def note_failure(folder: Path, error: BaseException, hash: str) -> None:
    """Write why a job could not begin, unless it wrote a status itself: its prerequisite failed."""
    before = status_of(folder)
    if before.state == MISSING or (before.state, before.attempts) == (FAILED, 0):
        try:
            write_status(folder, FAILED, why(error), 0.0, {"attempts": 0, "started": now()}, hash)
        except ExperimentError as refused:  # the first error is the one to report
            log.warning("how the job ended could not be noted: %s", refused)


def hash_of(noted: Mapping[str, Any], name: str) -> str | None:
    """Return a job's noted config hash, or the one in its name for jobs of earlier versions."""
    match = HASH_IN_NAME.fullmatch(name)
    return noted.get("hash") or (match.group(1) if match else None)


def status_of(folder: Path) -> JobStatus:
    """Return the state of the job in a folder; ``missing`` if it never began."""
    if not (folder / STATUS).exists():
        began = (folder / CONFIG).exists() or (folder / MANIFEST).exists()
        return JobStatus(UNREADABLE, f"{STATUS} is missing: run the study again") if began else JobStatus(MISSING)
    try:
        noted = read_status(folder)
    except ExperimentError as error:
        return JobStatus(UNREADABLE, first_line(str(error).removeprefix(f"{folder}/")))
    state, reason = noted.get("state"), noted_reason(noted.get("error"))
    if state == FINISHED:
        problem, runs_again = problem_of_finished(folder, noted)
        if runs_again:
            return JobStatus(UNREADABLE, f"{problem}: run the study again, which runs this job anew")
        return JobStatus(DONE, problem, attempts=_whole(noted.get("attempts")) or 1)
    if state == RUNNING:
        state = RUNNING if _is_held(folder) else INTERRUPTED
    elif state == FAILED:
        state, reason = (INTERRUPTED, None) if reason == "interrupted" else (FAILED, reason)
    else:
        return JobStatus(UNREADABLE, f"{STATUS} has the state {state!r}")
    try:
        step, groups = _progress(folder / FILE)
    except ExperimentError:  # a table that cannot be read hides no state
        step = groups = None
    reason = reason or damaged_config(folder, noted)
    attempts = _whole(noted.get("attempts", 1)) or 0
    return JobStatus(state, reason, _time(noted.get("started")), attempts, step, groups)


def noted_inputs(folder: Path) -> Mapping[str, str]:
    """Return the input digests that a job noted; empty without any."""
    inputs = read_status(folder).get("inputs") if (folder / STATUS).exists() else None
    return inputs if isinstance(inputs, Mapping) else {}


def last_launch(study: Path) -> list[str]:
    """Return the names of the jobs of a study's last launch, begun or not; none if it was not a multirun."""
    path = study / GRID
    names = read_json(path) if path.is_file() else []
    if not isinstance(names, list) or not all(isinstance(name, str) and JOB.fullmatch(name) for name in names):
        raise ExperimentError(f"{path} should be a list of the names of jobs: delete it, or start the study again")
    return names


def job_folders(study: Path) -> list[Path]:
    """Return the job folders of a study, by name: jobs that ever began and jobs of its last launch.

    Raises:
        ExperimentError: there is no such study, or no job in it.
    """
    if not study.is_dir():
        raise ExperimentError(f"there is no folder {study}: name the folder of a study, such as outputs/quickstart")
    begun = begun_in(study)
    folders = sorted({*begun, *(study / name for name in last_launch(study))})
    if not folders:
        raise ExperimentError(f"no job has begun in {study}: name the folder of a study, such as outputs/quickstart")
    return folders


def begun_in(study: Path) -> set[Path]:
    """Return the folders of all jobs that ever began, also those whose status was lost since."""
    return {path.parent for name in (STATUS, MANIFEST, "checkpoints") for path in study.glob(f"*/{name}")}


def totals(statuses: Iterable[JobStatus]) -> str:
    """Count jobs by state, such as ``4 done, 1 failed``."""
    counts = Counter(status.state for status in statuses)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no jobs"


def _is_held(folder: Path) -> bool:
    """Whether a process holds the job's lock."""
    lock = folder / ".lock"
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder in its place; what runs the job says so
        return False


def _progress(history: Path) -> tuple[int | None, int | None]:
    """Return step and groups of the last line of a job's history; None without one."""
    if not history.is_file():
        return None, None
    header, *rows = [line.split("\t") for line in read_text(history).split("\n") if line] or [[]]
    last: Mapping[str, Any] = dict(zip(header, rows[-1], strict=False)) if rows else {}
    return _whole(last.get("step")), _whole(last.get("groups"))


def _whole(text: Any) -> int | None:
    try:
        return int(float(text))
    except (TypeError, ValueError, OverflowError):
        return None


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
