"""Show a multirun as one live table on a terminal, or as a line now and then in a log file."""

import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from experiments.common import stopping
from experiments.job_files.live_status import DONE, FAILED, RUNNING, WAITING, LiveStatus, read_statuses
from experiments.jobs.launch_control import LaunchControl
from experiments.jobs.multirun_table import ended, jobs_of, line_of, name_of, table_of, total_of

BASIC, JOBLIB, RAY = "BasicLauncher", "JoblibLauncher", "RayLauncher"  # ends of Hydra's names
POLL_SECONDS = 0.3
LINE_SECONDS = 15.0  # between two lines of one job that goes on


class MultirunDisplay:
    """Shows the jobs of a launch from ``start`` to ``stop``, by the statuses that they write into its folder."""

    def __init__(self, launch: LaunchControl) -> None:
        self.launch = launch
        self._labels, count = launch.numbered, len(launch.labels)
        self._over = threading.Event()
        on_terminal = sys.stdout.isatty() and sys.stderr.isatty()
        self._screen: _Table | _Lines = _Table(count) if on_terminal else _Lines(count)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Show the table, all jobs waiting."""
        self._screen.start()
        self._thread.start()

    def stop(self) -> list[LiveStatus]:
        """Show how the jobs ended and restore the terminal; returns the jobs."""
        self._over.set()
        self._thread.join()
        jobs = ended(self.jobs())
        self._screen.stop(jobs)
        return jobs

    def jobs(self) -> list[LiveStatus]:
        """Return the jobs as they are now."""
        return jobs_of(self._labels, read_statuses(self.launch.folder))

    def _watch(self) -> None:
        try:
            while not self._over.is_set():
                self._screen.show(self.jobs())
                self._screen.wait(self._over)
        except BaseException:
            self._screen.give_up()
            raise


def show_ended(jobs: Sequence[LiveStatus]) -> None:
    """Show jobs that have ended as their multirun did."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        Console(file=sys.stderr, highlight=False).print(table_of(jobs, time.time()))
    else:
        _Lines(len(jobs)).stop(list(jobs))


class _Lines:
    """Writes a line when a job starts, now and then while it runs, and at its end. ``count``: of jobs, 0 if unknown."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._written: dict[int, tuple[str, float]] = {}  # number of a job -> its last state, and when it was written

    def start(self) -> None:
        pass

    def show(self, jobs: list[LiveStatus]) -> None:
        now = time.time()
        for job in jobs:
            state, when = self._written.get(job.number, (WAITING, 0.0))
            begins = state == WAITING and job.state in (RUNNING, DONE, FAILED)
            if begins:
                self._write(f"{name_of(job, self._count)}: starts")
            goes_on = state == job.state == RUNNING and job.doing and now - when >= LINE_SECONDS
            if goes_on or (job.state != state and job.state != RUNNING):
                self._write(line_of(job, self._count, now))
            if begins or goes_on or job.state != state:
                self._written[job.number] = (job.state, now)

    def wait(self, over: threading.Event) -> None:
        over.wait(POLL_SECONDS)

    def give_up(self) -> None:
        pass

    def stop(self, jobs: list[LiveStatus]) -> None:
        self.show(jobs)
        self._write(total_of(jobs, time.time()))

    @staticmethod
    def _write(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class _Table:
    """Shows the live table. Meanwhile all output of this process and its children goes through a pipe and appears above
    the table, whole lines only.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def start(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = [os.dup(1), os.dup(2)]
        self._out, into = os.pipe()
        os.dup2(into, 1)
        os.dup2(into, 2)
        os.close(into)
        self._rest = b""
        self._console = Console(file=os.fdopen(os.dup(self._saved[1]), "w"), highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self._console.show_cursor(True)  # a killed process leaves a cursor behind

    def show(self, jobs: list[LiveStatus]) -> None:
        self._live.update(table_of(jobs, time.time(), self._console.height), refresh=True)

    def wait(self, over: threading.Event) -> None:
        end = time.monotonic() + POLL_SECONDS
        while not over.is_set() and (left := end - time.monotonic()) > 0:
            self._pass_on(left)

    def give_up(self) -> None:
        """Let this process write to the terminal again."""
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in zip((1, 2), self._saved, strict=False):
            os.dup2(saved, number)
            os.close(saved)
        self._saved = []

    def stop(self, jobs: list[LiveStatus]) -> None:
        self.give_up()
        while self._pass_on(0):  # the pipe stays open: workers that outlive the multirun may still write to it
            pass
        if self._rest:
            self._print(self._rest)
        self._live.stop()
        now = time.time()
        self._console.print(table_of(jobs, now))
        for job in jobs:
            if job.why:
                self._console.print(Text(line_of(job, self._count, now)), soft_wrap=True)

    def _pass_on(self, seconds: float) -> bool:
        """Print whole lines that arrive within some seconds; returns whether anything arrived."""
        if not select.select([self._out], [], [], seconds)[0]:
            return False
        received = os.read(self._out, 65536)
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            self._print(line)
        return bool(received)  # nothing: the last writer has closed the pipe

    def _print(self, line: bytes) -> None:
        last = line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]  # the final state of a bar
        self._console.print(Text.from_ansi(last), soft_wrap=True)


class ShownMultirun:
    """Shows the multirun of this process, if there is one, from its check to its end."""

    def __init__(self) -> None:
        self.study: Path | None = None  # its folder, once the config is known
        self._display: MultirunDisplay | None = None
        self._own = ExitStack()

    def begin(
        self,
        launch: LaunchControl | None,
        study: Path,
        labels: Sequence[str],
        first: Sequence[str] = (),
        launcher: str = BASIC,
    ) -> LaunchControl:
        """Show the jobs of a launch, and return it; None makes one in the study's folder. ``labels``, ``first``: see
        ``note_labels``. ``launcher``: Hydra's; any but the basic one runs the jobs in other processes, which are told
        when this one is to stop.
        """
        if launch is None:
            launch = self._own.enter_context(LaunchControl.make(study).in_environment())
        else:
            self._own.enter_context(stopping.watching(launch.asks_to_stop))
        launch.note_labels(labels, first)
        self._display = display = MultirunDisplay(launch)
        if not launcher.endswith(BASIC):

            def stop(number: int) -> None:
                launch.stop(number)
                while any(job.state == RUNNING for job in display.jobs()):
                    time.sleep(POLL_SECONDS)
                if not launcher.endswith(RAY):  # which ends its own processes
                    stopping.kill_descendants()  # those whose job has not begun, and idle ones

            self._own.enter_context(stopping.waiting(stop, block=launcher.endswith(JOBLIB)))
        display.start()
        return launch

    def end(self) -> list[LiveStatus]:
        """Show how the jobs ended; returns them, or nothing without a multirun. A stopped one's jobs end first."""
        with self._own:
            display, self._display = self._display, None
            if display is None:
                return []
            while stopping.received() and any(job.state == RUNNING for job in display.jobs()):
                time.sleep(POLL_SECONDS)  # whatever lasts too long is killed
            return display.stop()
