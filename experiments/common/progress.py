"""Progress with an ETA: a live bar in a terminal, a line now and then in a log file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.common.text import duration

console = Console(stderr=True, highlight=False)

QUIET_SECONDS = 2.0  # shorter work is not announced in a log file
LINE_SECONDS = 15.0  # between two lines in a log file

Advance = Callable[..., None]  # (units just done, a note to show next to them)
Tracked = Callable[[str, int, int], AbstractContextManager[Advance]]  # (description, total, done)

in_multirun: Tracked | None = None  # shows the progress of a job of a multirun in its row of the table


@contextmanager
def tracked(description: str, total: int, done: int = 0, job: str = "") -> Iterator[Advance]:
    """Show the progress of some work; the body calls the yielded function with the units just done and, if any, a note.

    ``done``: units that an earlier run did already. ``job``: name that the line begins with.
    """
    if in_multirun is not None:
        with in_multirun(description, total, done) as advance:
            yield advance
        return
    description = f"{job} {description}".strip()
    if console.is_terminal:
        with live_bar() as bar:
            task = bar.add_task(description, total=total, completed=done, note="")
            yield lambda count, note="": bar.update(task, advance=count, note=note)
        return
    lines = LogLines(description, total, done)
    yield lines.advance
    lines.close()


def live_bar() -> Progress:
    """Return the bar of long work, within 80 columns: done of total, and the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        refresh_per_second=4,
    )


class LogLines:
    """Write progress to a log file: a line at most every ``LINE_SECONDS``, and one at the end of long work."""

    def __init__(self, description: str, total: int, done: int = 0) -> None:
        self.description, self.total, self.done, self._before = description, total, done, done
        self._start = self._last = time.monotonic()

    def advance(self, count: int, note: str = "") -> None:
        """Count units as done; write a line if the last is old enough."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS and self.done > self._before:
            self._last = now
            left = (now - self._start) / (self.done - self._before) * (self.total - self.done)
            self._write(f"{self.description}: {self.done:,} of {self.total:,}, {duration(left)} left {note}")

    def close(self) -> None:
        """Write how long the work took, if it took a while, and how far it came if it did not end."""
        seconds = time.monotonic() - self._start
        if seconds >= QUIET_SECONDS:
            ended = "done" if self.done >= self.total else f"ended at {self.done:,} of {self.total:,}"
            self._write(f"{self.description}: {ended} in {duration(seconds)}")

    @staticmethod
    def _write(line: str) -> None:
        print(line.rstrip(), file=sys.stderr, flush=True)
