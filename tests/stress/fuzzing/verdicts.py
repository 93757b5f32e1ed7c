"""Judge how a damaged input is taken: accepted with the right values, refused in one line, or failed."""

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from experiments.common.errors import ExperimentError

ACCEPTED, REFUSED, FAILED = "accepted", "refused", "failed"
LONGEST = 1500  # letters of a message, beside the path of the file
SECONDS, WAITED = 10, 60  # of computing that an input may take, and of the clock on a busy machine


@dataclass(frozen=True)
class Outcome:
    """The verdict on one input. ``why``: the message of a refusal, or what is wrong."""

    verdict: str
    why: str = ""


class Hang(BaseException):
    """An input took longer than ``SECONDS``."""


def judge(read: Callable[[], Any], wrong: Callable[[Any], str | None], *, harmless: bool, place: str = "") -> Outcome:
    """Judge one input.

    ``read``: reads it. ``wrong``: says what is wrong with the values that were read. ``harmless``: the damage is none,
    such as a byte order mark: a refusal fails. ``place``: path that counts as three letters of a message.
    """
    began = time.process_time()
    try:
        with _limited():
            problem = wrong(read())
    except ExperimentError as error:
        return _refused(str(error), harmless, place)
    except Hang:
        return Outcome(FAILED, f"took more than {SECONDS} s")
    except BaseException as error:
        return Outcome(FAILED, f"{type(error).__name__}: {str(error)[:200]!r} at {_line(error)}")
    if (took := time.process_time() - began) > SECONDS:  # in C, which no signal interrupts
        return Outcome(FAILED, f"took {took:.0f} s")
    return Outcome(FAILED, problem) if problem else Outcome(ACCEPTED)


def wrong_message(message: str, place: str = "") -> str | None:
    """Say what is wrong with a message; None for one line of at most ``LONGEST`` letters that can be printed."""
    said = message.replace(place, "...") if place else message
    if len(said) > LONGEST:
        return f"a message of {len(said):,} letters: {said[:150]!r} ... {said[-100:]!r}"
    if not said.strip():
        return "an empty message"
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in said):
        return f"a message with line ends, control characters or half characters: {said[:300]!r}"
    return None


def _refused(message: str, harmless: bool, place: str) -> Outcome:
    if problem := wrong_message(message, place):
        return Outcome(FAILED, problem)
    return Outcome(FAILED, f"a sound input is refused: {message}") if harmless else Outcome(REFUSED, message)


def _line(error: BaseException) -> str:
    """Return the last line of the package in a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/experiments/" in frame.filename] or frames
    return f"{own[-1].filename.rpartition('/experiments/')[2]}:{own[-1].lineno}" if own else "?"


@contextmanager
def _limited() -> Iterator[None]:
    """Raise Hang after ``SECONDS`` of computing or ``WAITED`` of the clock."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    timers = ((signal.ITIMER_REAL, signal.SIGALRM, WAITED), (signal.ITIMER_PROF, signal.SIGPROF, SECONDS))
    before = [signal.signal(number, stop) for _, number, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)
        for (_, number, _), handler in zip(timers, before, strict=True):
            signal.signal(number, handler)
