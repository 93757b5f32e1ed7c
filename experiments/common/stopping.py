"""Stop this process and its children on SIGINT (Ctrl-C), SIGTERM or SIGHUP, all in the same way.

The first signal raises ``Stopped`` in the main thread; a training ends its step first, and writes a checkpoint. What
has not ended by itself when ``STOP_SECONDS`` are nearly over is killed, with all child processes, and so is everything
at a second signal. The exit code is 128 + the signal's number.

A process that only waits for workers (a launcher of Hydra's) raises nothing: it tells them, and they end.
A thread, the guard, keeps the time, since the main thread may be inside a long call of a library.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HURRY = signal.SIGURG  # by which the guard interrupts a step; it does nothing elsewhere
LIMIT = "RERANK_ABLATIONS_STOP_SECONDS"  # the variable with the seconds from a signal to the end of the last process
STOP_SECONDS = float(os.environ.get(LIMIT, 10))
# Shares of that time: for the step under way to end; until a process is killed; until one that waits for it is.
STEP, JOB, LAUNCHER = 0.4, 0.75, 0.85
SAME_SECONDS = 0.5  # signals within this time are one: `timeout` sends it to a process and then to its group
POLL_SECONDS = 0.2
ALONE_SECONDS = 0.05  # for which a thread runs before another may
PR_SET_CHILD_SUBREAPER = 36  # of Linux


class Stopped(SystemExit):
    """This process was told to stop. ``code``: 128 + the number of the signal."""


class _State:
    def __init__(self) -> None:
        self.installed = False
        self.number: int | None = None  # of the signal that was received
        self.raised = False
        self.in_step = 0  # depth of ``after_step``
        self.shielded = 0  # depth of ``shielded``
        self.tell: list[Callable[[int], None]] = []  # one entry for each ``waiting``
        self.guard: int | None = None  # the descriptor by which the guard hears of signals


_state = _State()


def received() -> int | None:
    """Return the number of the signal that this process was told to stop by; None if it was not."""
    return _state.number


def check() -> None:
    """Raise Stopped if this process was told to stop."""
    if _state.number is not None:
        end()


def end() -> NoReturn:
    """Raise Stopped, also where not this process was told, but the first of several."""
    _state.raised = True
    raise Stopped(128 + (_state.number or signal.SIGTERM))


def not_yet() -> None:
    """Let Ctrl-C end this process without a word until its signals are handled: while it imports what it needs.

    A library that is being imported may drop a KeyboardInterrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def handled(to_exit: bool = False) -> Iterator[None]:
    """Answer the signals inside this context; do nothing if that is done already, or in another thread than the main.

    A worker that was started with the signals blocked (see ``waiting``) takes them from here on. ``to_exit``: a stopped
    process ends after this context, and is killed if it does not.
    """
    if _state.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    guard = threading.Thread(target=_guard, args=(heard,), daemon=True)
    guard.start()
    _state.installed, _state.guard = True, told
    descriptor = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # started by nohup
    answered = [number for number in SIGNALS if number != signal.SIGHUP or not outlives_terminal]
    handlers = {number: signal.signal(number, _handler) for number in answered}
    handlers[HURRY] = signal.signal(HURRY, _hurry)
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # one that came meanwhile is answered now
        yield
    finally:
        if not (to_exit and _state.number is not None):
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            for number, handler in handlers.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            signal.set_wakeup_fd(descriptor)
            os.close(told)
            guard.join()
            vars(_state).update(vars(_State()))


def answer_again() -> None:
    """Answer the signals again after a library has put answers of its own below Python's, and drop an alarm that these
    have set: those of abseil, which Ray uses, abort a process three seconds after SIGTERM.
    """
    if _state.installed and threading.current_thread() is threading.main_thread():
        signal.alarm(0)
        for number in SIGNALS:
            if signal.getsignal(number) is _handler:
                signal.signal(number, _handler)


@contextmanager
def after_step() -> Iterator[None]:
    """Raise nothing inside this context before a good part of the time is over: its code asks ``received``."""
    _state.in_step += 1
    try:
        yield
    finally:
        _state.in_step -= 1


@contextmanager
def shielded() -> Iterator[None]:
    """Interrupt nothing inside this context, within ``after_step``: it writes a checkpoint."""
    _state.shielded += 1
    try:
        yield
    finally:
        _state.shielded -= 1


@contextmanager
def waiting(tell: Callable[[int], None], block: bool = False) -> Iterator[None]:
    """Raise nothing inside this context, in which this process waits for workers: call ``tell`` with the signal.

    ``block``: let processes that start in this context begin with the signals blocked. A worker of joblib that was
    hit before its first job would make joblib kill the others.
    """
    _state.tell.append(tell)
    over, watcher, masked = threading.Event(), None, None
    if block and threading.current_thread() is threading.main_thread():
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        watcher = threading.Thread(target=_take_blocked, args=(over,), daemon=True)
        watcher.start()
    try:
        yield
    finally:
        over.set()
        if watcher is not None and masked is not None:
            watcher.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        if tell in _state.tell:
            _state.tell.remove(tell)


def request(number: int) -> None:
    """Stop this process without a limit of time; called in the main thread. ``number``: of the signal that says so."""
    _state.number = _state.number or number
    if not _state.in_step and not _state.tell and not _state.raised:
        end()


@contextmanager
def watching(asked: Callable[[], int | None]) -> Iterator[None]:
    """Ask now and then inside this context whether to stop, and by which signal."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(POLL_SECONDS):
            if (number := asked()) is not None:
                if _state.number is None and not over.is_set():
                    os.kill(os.getpid(), number)
                return

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def is_alive(process: int) -> bool:
    """Return whether a process of this machine runs. ``process``: its id."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def descendants() -> list[int]:
    """Return the ids of all processes that this one has started, and that these have, but joblib's that cleans up."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=False).stdout
    children: dict[int, list[int]] = {}
    for line in listed.splitlines():
        own, parent, command = line.split(maxsplit=2)
        if "resource_tracker" not in command:  # ends with this process
            children.setdefault(int(parent), []).append(int(own))
    found = list(children.get(os.getpid(), []))
    for process in found:  # grows
        found += children.get(process, [])
    return found


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that ``descendants`` goes on to find them (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants() -> None:
    """Kill all processes that this one has started, and that these have."""
    for process in descendants():
        with suppress(ProcessLookupError):  # ps itself, or one that has just ended
            os.kill(process, signal.SIGKILL)


def _handler(number: int, frame: FrameType | None) -> None:
    request(number)


def _hurry(number: int, frame: FrameType | None) -> None:
    if _state.number is not None and _state.in_step and not _state.shielded and not _state.raised:
        end()


def _take_blocked(over: threading.Event) -> None:
    while not over.wait(POLL_SECONDS):
        if (found := signal.sigpending() & set(SIGNALS)) and _state.guard is not None:
            os.write(_state.guard, bytes([signal.sigwait(found)]))


def _guard(heard: int) -> None:
    """Keep the time from the first signal on; end with the descriptor. ``heard``: one byte, its number, a signal."""
    first: float | None = None
    steps: list[tuple[float, Callable[[], None]]] = []  # what is done when
    with os.fdopen(heard, "rb", buffering=0) as signals:
        while True:
            left = max(0.0, steps[0][0] - time.monotonic()) if steps else None
            if not select.select([signals], [], [], left)[0]:
                steps.pop(0)[1]()
                continue
            if not (byte := signals.read(1)):
                return
            if byte[0] not in SIGNALS:
                continue
            if first is not None and time.monotonic() - first > SAME_SECONDS:
                _end_now()
            if first is None:
                first = time.monotonic()
                _state.number = _state.number or byte[0]
                limit = LAUNCHER if _state.tell else JOB
                steps = [(first + STEP * STOP_SECONDS, _interrupt_step), (first + limit * STOP_SECONDS, _end_now)]
                for tell in list(_state.tell):
                    threading.Thread(target=tell, args=(byte[0],), daemon=True).start()  # may take time, or fail


def _interrupt_step() -> None:
    os.kill(os.getpid(), HURRY)


def _end_now() -> NoReturn:
    """Kill this process and its children.

    From the kills to the exit no other thread may run: one that calls a library which waits for a killed process, and
    lets no thread run meanwhile, would keep this process.
    """
    os.write(2, b"killed before it had ended by itself: the same command goes on from the last checkpoint\n")
    sys.setswitchinterval(ALONE_SECONDS)
    kill_descendants()
    os._exit(128 + (_state.number or signal.SIGKILL))
