"""Format the jobs of a multirun as a table with a total, or as lines of a log file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.common.text import duration, plural
from experiments.job_files.live_status import (
    DONE,
    DONE_BEFORE,
    ENDED,
    FAILED,
    INTERRUPTED,
    NOT_STARTED,
    RUNNING,
    WAITING,
    LiveStatus,
)

STATES = (DONE, DONE_BEFORE, FAILED, INTERRUPTED, RUNNING, WAITING, NOT_STARTED)  # in the order of the total
COLOURS = {
    DONE: "green",
    DONE_BEFORE: "green",
    FAILED: "red",
    INTERRUPTED: "yellow",
    WAITING: "dim",
    NOT_STARTED: "dim",
}
STARTING = "starting"  # a running job that has not yet reported what it does
AROUND = 5  # lines besides rows: heading, rule, total, and a spare one
# Rows are shown in this order of priority where there is no room for all.
SHOWN_FIRST = (RUNNING, FAILED, INTERRUPTED, DONE, WAITING, NOT_STARTED, DONE_BEFORE)

Jobs = Sequence[LiveStatus]


def jobs_of(labels: Mapping[int, str], statuses: Mapping[int, LiveStatus]) -> list[LiveStatus]:
    """Return a launch's jobs in their order, those without a status as waiting. ``labels``: by number."""
    waiting = {number: LiveStatus(number, label) for number, label in labels.items() if label}
    return [job for _, job in sorted({**waiting, **statuses}.items())]


def table_of(jobs: Jobs, now: float, lines: int | None = None) -> Group:
    """Return the table: a row for each job, and the total. ``lines``: of the screen; hidden jobs are counted."""
    shown = jobs if lines is None else _fitting(jobs, lines - AROUND)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    for heading in ("job", "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("step", "score", "left"):
        table.add_column(heading, justify="right")
    for job in shown:
        left = job.seconds_left(now)
        state = Text(job.doing or (STARTING if job.state == RUNNING else job.state), COLOURS.get(job.state, ""))
        step = f"{job.done:,}/{job.total:,}" if job.doing else ""
        time = f"({duration(job.seconds)})" if job.state == DONE else duration(left) if left is not None else ""
        table.add_row(_place(job), Text(job.label), state, step, job.score, time)
    hidden = len(jobs) - len(shown)
    return Group(table, Text((f"and {plural(hidden, 'job')} more; " if hidden else "") + total_of(jobs, now)))


def _fitting(jobs: Jobs, rows: int) -> Jobs:
    """Return the jobs that fit on a screen, in their order."""
    if len(jobs) <= rows:
        return jobs
    wanted = sorted(jobs, key=lambda job: (SHOWN_FIRST.index(job.state), job.number))[: max(1, rows)]
    return sorted(wanted, key=lambda job: job.number)


def total_of(jobs: Jobs, now: float) -> str:
    """Return the number of jobs in each state, and the time left."""
    counts = Counter(job.state for job in jobs)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    left = seconds_left(jobs, now)
    return f"{plural(len(jobs), 'job')}: {states}" + (f"; about {duration(left)} left" if left is not None else "")


def seconds_left(jobs: Jobs, now: float) -> float | None:
    """Estimate the seconds until a multirun ends; None if nothing runs or no job has shown how long one takes.

    A job takes as long as the mean finished job of this launch, or as its own progress predicts. The number of jobs
    that run at a time stays the same.
    """
    running = [job for job in jobs if job.state == RUNNING]
    waiting = sum(job.state == WAITING for job in jobs)
    took = [job.seconds for job in jobs if job.state == DONE]
    if not running or (waiting and not took):
        return None
    usual = sum(took) / len(took) if took else 0.0
    lefts = [max(usual - (now - job.began), job.seconds_left(now) or 0.0) for job in running]
    if not took and not any(lefts):
        return None
    return max(max(lefts), (sum(lefts) + waiting * usual) / len(running))


def name_of(job: LiveStatus, count: int) -> str:
    """Return the name of a job in a line: ``[2/6] loss=lce seed=1``; ``[first]`` for a prerequisite of the jobs."""
    of = f"/{count or '?'}" if job.number > 0 else ""
    return f"[{_place(job)}{of}] {job.label}"


def _place(job: LiveStatus) -> str:
    return str(job.number) if job.number > 0 else "first"


def line_of(job: LiveStatus, count: int, now: float) -> str:
    """Return the state of a job as one line of a log file."""
    return f"{name_of(job, count)}: {_state_in_words(job, now)}"


def _state_in_words(job: LiveStatus, now: float) -> str:
    if job.state == DONE:
        return f"done in {duration(job.seconds)}, {job.score}"
    if job.state == DONE_BEFORE:
        return f"done before, {job.score}"
    if job.state in (FAILED, NOT_STARTED):
        return f"{job.state}: {job.why}" + (f" (see {job.log})" if job.log else "")
    if job.state == RUNNING and job.doing:
        left = job.seconds_left(now)
        rest = f"{duration(left)} left" if left is not None else ""
        return ", ".join(filter(None, (f"{job.doing} {job.done:,} of {job.total:,}", job.score, rest)))
    return "starts" if job.state == RUNNING else job.state


def ended(jobs: Jobs) -> list[LiveStatus]:
    """Return the jobs after the end of their launch: those that still ran were interrupted."""
    return [replace(job, state=INTERRUPTED, doing="") if job.state not in (*ENDED, WAITING) else job for job in jobs]
