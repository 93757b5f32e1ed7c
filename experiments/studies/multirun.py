"""Run Hydra's multirun and its workers as a process group of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from experiments.common import stopping
from experiments.common.stopping import STOP_SECONDS
from experiments.jobs.launch_control import LaunchControl

GRACE_SECONDS = 0.9 * STOP_SECONDS  # for jobs to write a checkpoint and their status after a signal
POLL_SECONDS = 0.1


def multirun_command(overrides: Sequence[str], launch: LaunchControl) -> list[str]:
    """Return the command that launches the jobs of some overrides."""
    return [sys.executable, "-m", "experiments.train", "-m", *overrides, launch.override]


def run_to_end(command: Sequence[str], launch: LaunchControl, grace: float = GRACE_SECONDS) -> int:
    """Run a command until it and all its children have ended; return its exit code (1 if it was killed from outside),
    or 128 + the number of the signal that stopped this process.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP stop the launch, whose jobs look for that, and are passed on to the command;
    what is left of its process group when it has ended gets SIGTERM. After ``grace`` seconds, or at a second signal,
    all are killed.
    """
    children: list[subprocess.Popen[bytes]] = []

    def stop(number: int) -> None:
        launch.stop(number)
        for child in children:
            child.send_signal(number)

    with stopping.handled(), stopping.waiting(stop):
        child = subprocess.Popen(command, start_new_session=True)  # a process group, signalled as one
        children.append(child)
        if (number := stopping.received()) is not None:  # it came before the child did
            child.send_signal(number)
        code = _wait(child, grace)
        number = stopping.received()
    if number is not None:
        return 128 + number
    return code if code >= 0 else 1


def _wait(child: "subprocess.Popen[bytes]", grace: float) -> int:
    """Wait for a process and the rest of its group, which have ``grace`` seconds from a signal or its end."""
    deadline: float | None = None
    told = False
    while (code := child.poll()) is None or _tell(child.pid, 0):
        time.sleep(POLL_SECONDS)
        if deadline is None and (code is not None or stopping.received()):
            deadline = time.monotonic() + grace
        if code is not None and not told and stopping.received():
            told = _tell(child.pid, signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            stopping.kill_descendants()
            _tell(child.pid, signal.SIGKILL)
    return code


def _tell(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether it has any process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
