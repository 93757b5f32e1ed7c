"""A launch with all of its processes: what becomes of them when it is stopped. Stand-ins for Hydra's multirun."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.jobs.launch_control import LaunchControl
from experiments.studies.multirun import run_to_end

# A parent with a worker of its own, as joblib's: argv[1] says how the worker takes SIGINT, argv[2] where its id goes.
PARENT = """
import signal, subprocess, sys
worker = '''
import pathlib, os, signal, sys, time
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path(sys.argv[2] + ".new").write_text(str(os.getpid()))
os.replace(sys.argv[2] + ".new", sys.argv[2])
time.sleep(60)
'''
subprocess.Popen([sys.executable, "-c", worker, *sys.argv[1:]]).wait()
"""


def run_signalled(number: int, how: str, tmp_path: Path, grace: float) -> tuple[int, int, LaunchControl, float]:
    """Run the parent, send this process a signal once its worker is there; exit code, the worker's id, the launch, and
    seconds from the signal to the end.
    """
    launch, place = LaunchControl.make(tmp_path), tmp_path / "worker"
    sent: list[float] = []

    def send() -> None:
        wait_for(place.exists)
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    code = run_to_end([sys.executable, "-c", PARENT, how, str(place)], launch, grace)
    thread.join()
    return code, int(place.read_text()), launch, time.monotonic() - sent[0]


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return found.stdout.strip() != "" and not found.stdout.strip().startswith("Z")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_workers_too(tmp_path: Path, number: int, code: int):
    found, worker, launch, _ = run_signalled(number, "hears", tmp_path, grace=20)
    assert found == code
    assert not is_alive(worker)
    assert launch.refusal("lce-n7") == "its launch was stopped"


def test_a_worker_that_does_not_hear_is_killed_after_the_grace(tmp_path: Path):
    found, worker, _, seconds = run_signalled(signal.SIGTERM, "deaf", tmp_path, grace=0.5)
    assert found == 143
    assert seconds >= 0.5
    wait_for(lambda: not is_alive(worker))


def test_the_handlers_are_as_they_were_afterwards(tmp_path: Path):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    run_to_end([sys.executable, "-c", ""], LaunchControl.make(tmp_path))
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_the_exit_code_is_the_commands(tmp_path: Path):
    launch = LaunchControl.make(tmp_path)
    assert run_to_end([sys.executable, "-c", "raise SystemExit(3)"], launch) == 3
    assert run_to_end([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], launch) == 1
    assert launch.refusal("lce-n7") is None
