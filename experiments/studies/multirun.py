"""Run Hydra's multirun as a process of its own, with all the workers that its launcher starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from experiments.jobs.launch_control import LaunchControl

GRACE_SECONDS = 15.0  # that jobs have to write down where they stand, once they were told to stop
POLL_SECONDS = 0.1
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def multirun_command(overrides: Sequence[str], launch: LaunchControl) -> list[str]:
    """Return the command that launches the jobs of some overrides."""
    return [sys.executable, "-m", "experiments.train", "-m", *overrides, launch.override]


def run_to_end(command: Sequence[str], launch: LaunchControl, grace: float = GRACE_SECONDS) -> int:
    """Run a command and its children in this terminal and return its exit code (1 if somebody else killed it), or 128 +
    the number of the signal that stopped this process; when this returns none of them is left.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP stop the launch, so that no further job starts, and interrupt every process of
    the command: a joblib parent that is told alone leaves its workers at work. What has not ended after ``grace``
    seconds, or when a signal comes for a second time, is killed.
    """
    child = subprocess.Popen(command, start_new_session=True)  # a group that can be told as one
    with _forwarding(child.pid, launch) as received:
        deadline: float | None = None
        while (code := _poll(child)) is None:
            if received and deadline is None:
                deadline = time.monotonic() + grace
            if deadline is not None and time.monotonic() > deadline:
                _tell(child.pid, signal.SIGKILL)
        _clear(child.pid, (deadline or time.monotonic() + grace))
    if received:
        return 128 + received[0]
    return code if code >= 0 else 1


@contextmanager
def _forwarding(group: int, launch: LaunchControl) -> Iterator[list[int]]:
    """Hand signals to a process group while it lasts; yields the list that they are noted in."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        launch.stop()
        # Interrupted, a job says so in its folder and its launcher ends its workers; terminated, neither does.
        _tell(group, signal.SIGKILL if received else signal.SIGINT)
        received.append(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _poll(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _clear(group: int, deadline: float) -> None:
    """Wait for the rest of a group whose leader has ended, and kill what is left of it at the deadline."""
    while _tell(group, 0):
        if time.monotonic() > deadline:
            _tell(group, signal.SIGKILL)
            return
        time.sleep(POLL_SECONDS)


def _tell(group: int, number: int) -> bool:
    """Send a signal to a process group; whether there is anyone in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
