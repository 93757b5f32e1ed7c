"""Report a job's progress during a multirun: one small file a job in the folder of the launch.

Each job writes from its own process; the launching process reads and shows it. A killed job leaves its last status.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from experiments.common.cache import write_json

WAITING, RUNNING, DONE, DONE_BEFORE = "waiting", "running", "done", "done before"
FAILED, INTERRUPTED, NOT_STARTED = "failed", "interrupted", "not started"
ENDED = (DONE, DONE_BEFORE, FAILED, INTERRUPTED, NOT_STARTED)
WRITE_SECONDS = 0.3  # between two writes while only the count changes


@dataclass(frozen=True)
class LiveStatus:
    """The state of one job of a launch.

    ``number``: in its multirun, from 1. ``label``: display name; empty to use the launch's. ``doing``: activity such as
    ``training``, with ``done`` of ``total`` units, of which ``before`` were done when it began at ``since`` (seconds of
    the epoch). ``score``: last value of its measure. ``why``: reason of a failure; ``log``: path of the details.
    ``seconds``: its duration.
    """

    number: int
    label: str = ""
    state: str = WAITING
    doing: str = ""
    done: int = 0
    total: int = 0
    before: int = 0
    since: float = 0.0
    began: float = 0.0
    score: str = ""
    why: str = ""
    log: str = ""
    seconds: float = 0.0

    def seconds_left(self, now: float) -> float | None:
        """Estimate the remaining seconds of the current activity; None without a basis."""
        new = self.done - self.before
        return (now - self.since) / new * max(0, self.total - self.done) if self.state == RUNNING and new > 0 else None


class LiveStatusFile:
    """Write the status file of one job."""

    def __init__(self, folder: Path, number: int, label: str) -> None:
        self.path = folder / f"job-{number}.json"
        self.status = LiveStatus(number, label, RUNNING, began=time.time())
        self._written = 0.0
        self.say()

    def say(self, *, urgent: bool = True, **changes: Any) -> None:
        """Change fields of the status and write it; skip a write that is not urgent right after another one."""
        self.status = replace(self.status, **changes)
        now = time.monotonic()
        # The folder is gone once the launch is over.
        if (urgent or now - self._written >= WRITE_SECONDS) and self.path.parent.is_dir():
            write_json(self.path, asdict(self.status))
            self._written = now

    def end(self, state: str, **changes: Any) -> None:
        """Write how the job ended."""
        self.say(state=state, doing="", seconds=time.time() - self.status.began, **changes)

    @contextmanager
    def tracked(self, doing: str, total: int, done: int = 0) -> Iterator[Callable[..., None]]:
        """Report the progress of some work, then restore the outer status.

        Yields a function to call with the number of units just done and, optionally, the measure's last value.
        """
        outer = self.status

        def advance(count: int, score: str = "") -> None:
            self.say(urgent=False, done=self.status.done + count, score=score or self.status.score)

        self.say(doing=doing, done=done, total=total, before=done, since=time.time())
        yield advance
        fields = ("doing", "done", "total", "before", "since")
        self.say(urgent=bool(outer.doing), **{name: getattr(outer, name) for name in fields})


def read_statuses(folder: Path) -> dict[int, LiveStatus]:
    """Return the status of every job of a launch that has begun, by its number."""
    statuses = [LiveStatus(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("job-*.json")]
    return {status.number: status for status in statuses}
