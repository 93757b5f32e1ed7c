"""Run Hydra's multirun and its workers as a process group of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from experiments.jobs.launch_control import LaunchControl

GRACE_SECONDS = 15.0  # for jobs to write their status after a signal
POLL_SECONDS = 0.1
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def multirun_command(overrides: Sequence[str], launch: LaunchControl) -> list[str]:
    """Return the command that launches the jobs of some overrides."""
    return [sys.executable, "-m", "experiments.train", "-m", *overrides, launch.override]


def run_to_end(command: Sequence[str], launch: LaunchControl, grace: float = GRACE_SECONDS) -> int:
    """Run a command until it and all its children have ended; return its exit code (1 if it was killed from outside),
    or 128 + the number of the signal that stopped this process.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP stop the launch and interrupt the whole process group, since a joblib parent
    leaves its workers running. After ``grace`` seconds, or at a second signal, the group is killed.
    """
    child = subprocess.Popen(command, start_new_session=True)  # a process group, signalled as one
    with _forwarding(child.pid, launch) as received:
        deadline: float | None = None
        while (code := child.poll()) is None:
            time.sleep(POLL_SECONDS)
            if received and deadline is None:
                deadline = time.monotonic() + grace
            if deadline is not None and time.monotonic() > deadline:
                _tell(child.pid, signal.SIGKILL)
        # Wait for the rest of the group, and kill it at the deadline.
        deadline = deadline or time.monotonic() + grace
        while _tell(child.pid, 0):
            if time.monotonic() > deadline:
                _tell(child.pid, signal.SIGKILL)
                break
            time.sleep(POLL_SECONDS)
    if received:
        return 128 + received[0]
    return code if code >= 0 else 1


@contextmanager
def _forwarding(group: int, launch: LaunchControl) -> Iterator[list[int]]:
    """Forward signals to a process group; yields the list of received signals."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        launch.stop()
        # On SIGINT a job writes its status and the launcher ends its workers; on SIGTERM neither does.
        _tell(group, signal.SIGKILL if received else signal.SIGINT)
        received.append(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether it has any process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
