"""Where the jobs of a study stand, read off their folders in no time: nothing that computes is imported."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.common.cache import write_json
from experiments.common.errors import ExperimentError, why
from experiments.common.text import first_line
from experiments.job_files.history import FILE
from experiments.job_files.records import FINISHED, MISSING, STATUS, UNREADABLE, last_launch

DONE, RUNNING, INTERRUPTED, FAILED = "done", "running", "interrupted", "failed"
CHANGED = "changed"  # done, but made from other inputs: it runs again
STATES = (DONE, CHANGED, RUNNING, INTERRUPTED, FAILED, MISSING, UNREADABLE)


@dataclass(frozen=True)
class State:
    """Where a job stands.

    ``word``: one of ``STATES``. ``why``: the first line of why it failed. ``since``: when its last attempt began,
    ``attempts``: how many there were. ``step``, ``groups``: how far its training was when it last said so.
    """

    word: str
    why: str | None = None
    since: datetime | None = None
    attempts: int = 0
    step: int | None = None
    groups: int | None = None

    @property
    def to_mend(self) -> bool:
        """Whether it began and came to nothing."""
        return self.word in (FAILED, INTERRUPTED)


def state_of(folder: Path) -> State:
    """Where the job of a folder stands; ``missing`` if there is no status in it."""
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        if not isinstance(status, Mapping):
            raise ValueError("it should hold named values")
    except FileNotFoundError:
        return State(MISSING)
    except ValueError as error:
        return State(UNREADABLE, f"{STATUS} cannot be read: {first_line(error)}")
    word, why = status.get("state"), first_line(status.get("error")) or None
    if word == FINISHED:
        return State(DONE, attempts=int(status.get("attempts") or 1))
    if word == "running":
        word = RUNNING if _is_held(folder) else INTERRUPTED
    elif word == "failed":
        word, why = (INTERRUPTED, None) if why == "interrupted" else (FAILED, why)
    else:
        return State(UNREADABLE, f"{STATUS} has the state {word!r}")
    step, groups = _progress(folder / FILE)
    return State(word, why, _time(status.get("started")), int(status.get("attempts", 1)), step, groups)


def noted_inputs(folder: Path) -> Mapping[str, str]:
    """The digests of what a job was made from, as it noted them; empty where it noted none."""
    path = folder / STATUS
    inputs = json.loads(path.read_text(encoding="utf-8")).get("inputs") if path.is_file() else None
    return inputs if isinstance(inputs, Mapping) else {}


def job_folders(study: Path) -> list[Path]:
    """The folders of the jobs of a study, by name: those that ever began and those of its last launch.

    Raises:
        ExperimentError: there is no such study, or no job in it.
    """
    if not study.is_dir():
        raise ExperimentError(f"there is no folder {study}: name the folder of a study, such as outputs/quickstart")
    found = sorted({*(path.parent for path in study.glob(f"*/{STATUS}")), *(study / one for one in last_launch(study))})
    if not found:
        raise ExperimentError(f"no job has begun in {study}: name the folder of a study, such as outputs/quickstart")
    return found


def totals(states: Iterable[State]) -> str:
    """How many jobs are in which state, such as ``4 done, 1 failed``."""
    counts = Counter(state.word for state in states)
    return ", ".join(f"{counts[word]} {word}" for word in STATES if counts[word]) or "no jobs"


def note_failure(folder: Path, error: BaseException) -> None:
    """Write why a job could not begin, if it did not come as far as saying so itself: what it needs failed before."""
    before = state_of(folder)
    if before.word != MISSING and (before.word, before.attempts) != (FAILED, 0):
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    status = {"state": "failed", "error": why(error), "seconds": 0.0}
    write_json(folder / STATUS, {**status, "updated": now, "attempts": 0, "started": now})


def _is_held(folder: Path) -> bool:
    """Whether a process is at work on the job: it would hold the job's lock."""
    lock = folder / ".lock"
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _progress(history: Path) -> tuple[int | None, int | None]:
    """Step and groups in the last whole line of a job's history; None where there is none."""
    if not history.is_file():
        return None, None
    rows = list(csv.DictReader(history.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    last: Mapping[str, Any] = rows[-1] if rows else {}
    return _whole(last.get("step")), _whole(last.get("groups"))


def _whole(text: Any) -> int | None:
    try:
        return int(float(text))
    except (TypeError, ValueError):
        return None


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
