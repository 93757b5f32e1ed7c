"""How a process stops on a signal. Each case runs in a process of its own."""

import signal
import subprocess
import sys
import time

import pytest
from helpers.jobs import ROOT

from experiments.common import stopping

READY = "print('ready', flush=True)"
HEAD = f"import time\nfrom experiments.common import stopping\nready = lambda: {READY}\n"
PLAIN = HEAD + "with stopping.handled(to_exit=True):\n ready()\n time.sleep(60)"
# a step that goes on until it is asked to stop, then writes what a training would
STEP = (
    HEAD
    + """
with stopping.handled(to_exit=True), stopping.after_step():
    ready()
    while stopping.received() is None:
        time.sleep(0.01)
    print('checkpoint', flush=True)
    stopping.check()
"""
)
LONG_STEP = HEAD + "with stopping.handled(to_exit=True), stopping.after_step():\n ready()\n time.sleep(60)"
# cleaning up that never ends
DEAF = (
    HEAD
    + """
with stopping.handled(to_exit=True):
    try:
        ready()
        time.sleep(60)
    finally:
        time.sleep(60)
"""
)
# the main thread in a long call of a library, which lets no handler of Python's run
STUCK = (
    HEAD
    + """
import ctypes
library = ctypes.CDLL(None)
with stopping.handled(to_exit=True):
    library.system(b"echo ready; sleep 60")  # ready once it is inside; goes on after a signal
"""
)
# a launcher with a worker that does not hear
WAITING = (
    HEAD
    + """
import subprocess, sys
with stopping.handled(to_exit=True), stopping.waiting(lambda number: print('told', number, flush=True)):
    worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    print(worker.pid, flush=True)
    worker.wait()
"""
)


# a library that waits for a worker, and lets no other thread run meanwhile
STARVING = (
    HEAD
    + """
import ctypes, subprocess
workers = [subprocess.Popen(["sleep", "60"]) for _ in range(100)]
with stopping.handled(to_exit=True), stopping.waiting(lambda number: None):
    ready()
    workers[0].wait()
    ctypes.PyDLL(None).sleep(30)
"""
)

# a library that has put its own answers to SIGTERM and SIGALRM below Python's, as Ray's does
OVERRIDDEN = (
    HEAD
    + """
import ctypes, signal
library, ignore = ctypes.CDLL(None), ctypes.c_void_p(1)
with stopping.handled(to_exit=True):
    library.signal(signal.SIGTERM, ignore)
    library.alarm(1)
    stopping.answer_again()
    ready()
    time.sleep(60)
"""
)
# a worker whose own worker outlives it
ORPHAN = (
    HEAD
    + """
import subprocess
stopping.adopt_orphans()
shell = subprocess.run("sleep 60 > /dev/null 2>&1 & echo $!", shell=True, capture_output=True, text=True)
print(shell.stdout, flush=True)
stopping.kill_descendants()
"""
)


def started(program: str, seconds: float = 10) -> "subprocess.Popen[str]":
    """Start a program that says when it is ready. ``seconds``: from a signal to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", stopping.LIMIT: str(seconds)}, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # ignored where the tests run under nohup
    )  # fmt: skip
    assert process.stdout is not None
    process.first_line = process.stdout.readline()  # type: ignore[attr-defined]
    return process


def has_ended(process: int, seconds: float = 2) -> bool:
    """Return whether a process ends within some seconds; a zombie has."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown = ["ps", "-o", "stat=", "-p", str(process)]
        if subprocess.run(shown, capture_output=True, text=True, check=False).stdout.strip()[:1] in ("", "Z"):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_process_with_128_and_its_number(number: int):
    process = started(PLAIN)
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert process.communicate()[1] == "", "it was not killed"


def test_under_nohup_a_hangup_stops_nothing():
    process = started("import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PLAIN)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143


def test_a_step_ends_before_the_process_does():
    process = started(STEP)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, said) == (143, "checkpoint\n")


def test_a_step_that_lasts_is_interrupted():
    process, began = started(LONG_STEP, seconds=5), time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert time.monotonic() - began > 1.8, "four tenths of five seconds"
    assert process.communicate()[1] == ""


@pytest.mark.parametrize("program", [DEAF, STUCK], ids=["cleaning up for ever", "in a long call of a library"])
def test_what_does_not_end_in_time_is_killed(program: str):
    process, began = started(program, seconds=2), time.monotonic()
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 129
    assert time.monotonic() - began > 1.3
    assert "killed before it had ended by itself" in process.communicate()[1]


def test_a_second_signal_kills_at_once():
    process = started(DEAF, seconds=60)
    process.send_signal(signal.SIGINT)
    time.sleep(stopping.SAME_SECONDS + 1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130, "not after three quarters of a minute"


def test_two_signals_of_one_moment_are_one():
    process = started(STEP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "checkpoint\n"
    assert process.returncode == 143


def test_a_process_that_waits_tells_its_workers_and_kills_those_that_do_not_end():
    process = started(WAITING, seconds=4)
    worker = int(process.first_line)  # type: ignore[attr-defined]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert process.communicate()[0] == "told 15\n"
    assert has_ended(worker)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_a_worker_of_a_worker_that_has_ended_is_killed_too():
    process = started(ORPHAN)
    assert has_ended(int(process.first_line))  # type: ignore[attr-defined]
    assert process.wait(20) == 0


def test_signals_that_a_library_has_taken_are_answered_again_and_its_alarm_does_not_go_off():
    process = started(OVERRIDDEN)
    time.sleep(1.5)
    assert process.poll() is None, "its alarm went off"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143


def test_a_process_ends_though_a_library_waits_for_a_worker_that_was_killed_and_lets_no_thread_run():
    process = started(STARVING, seconds=2)
    process.send_signal(signal.SIGHUP)
    assert process.wait(5) == 129


def test_handlers_and_masks_are_as_they_were_afterwards():
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.handled(), stopping.waiting(lambda number: None, block=True):
        assert set(stopping.SIGNALS) <= signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before
    assert not set(stopping.SIGNALS) & signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert stopping.received() is None


def test_a_worker_that_is_asked_to_stop_stops():
    def work() -> None:
        with stopping.handled(), stopping.watching(lambda: signal.SIGINT):
            time.sleep(5)

    with pytest.raises(stopping.Stopped) as end:
        work()
    assert end.value.code == 130
    assert stopping.received() is None
