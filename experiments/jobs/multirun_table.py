"""Show the jobs of a multirun: the rows of its one table, its total, and the lines that stand for it in a log file."""

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
STARTING = "starting"  # a job that runs and has not said what it is at
AROUND = 5  # lines of the table that are no rows: heading, rule, total, and one to spare
# Which rows are shown where there is no room for all: the first of these.
SHOWN_FIRST = (RUNNING, FAILED, INTERRUPTED, DONE, WAITING, NOT_STARTED, DONE_BEFORE)

Jobs = Sequence[LiveStatus]


def jobs_of(labels: Sequence[str], statuses: Mapping[int, LiveStatus]) -> list[LiveStatus]:
    """Return the jobs of a launch in their order: those that have begun as they say, the others as waiting.

    ``labels``: see ``LaunchControl.note_labels``.
    """
    waiting = {number: LiveStatus(number, label) for number, label in enumerate(labels, 1) if label}
    return [job for _, job in sorted({**waiting, **statuses}.items())]


def table_of(jobs: Jobs, now: float, lines: int | None = None) -> Group:
    """Return the table: a row a job, and the total below. ``lines``: of the screen; what does not fit is counted."""
    shown = jobs if lines is None else _fitting(jobs, lines - AROUND)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    table.add_column("job", overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("step", justify="right")
    table.add_column("score", justify="right")
    table.add_column("left", justify="right")
    for job in shown:
        left = job.seconds_left(now)
        state = Text(job.doing or (STARTING if job.state == RUNNING else job.state), COLOURS.get(job.state, ""))
        step = f"{job.done:,}/{job.total:,}" if job.doing else ""
        time = f"({duration(job.seconds)})" if job.state == DONE else duration(left) if left is not None else ""
        table.add_row(str(job.number), Text(job.label), state, step, job.score, time)
    hidden = len(jobs) - len(shown)
    return Group(table, Text((f"and {plural(hidden, 'job')} more; " if hidden else "") + total_of(jobs, now)))


def _fitting(jobs: Jobs, rows: int) -> Jobs:
    """The jobs that a screen has room for, in their order."""
    if len(jobs) <= rows:
        return jobs
    wanted = sorted(jobs, key=lambda job: (SHOWN_FIRST.index(job.state), job.number))[: max(1, rows)]
    return sorted(wanted, key=lambda job: job.number)


def total_of(jobs: Jobs, now: float) -> str:
    """Return how many jobs are in which state, and how long the rest takes."""
    counts = Counter(job.state for job in jobs)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    left = seconds_left(jobs, now)
    return f"{plural(len(jobs), 'job')}: {states}" + (f"; about {duration(left)} left" if left is not None else "")


def seconds_left(jobs: Jobs, now: float) -> float | None:
    """Return how long a multirun will take from now; None if nothing is left or no job has shown how long one takes.

    A job that has not ended takes as long as those that were done in this launch, or as what it is at says. As many
    run at a time as do now.
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
    """Return what a line calls a job: ``[2/6] loss=lce seed=1``."""
    return f"[{job.number}/{count or '?'}] {job.label}"


def line_of(job: LiveStatus, count: int, now: float) -> str:
    """Return where a job stands as one line of a log file."""
    return f"{name_of(job, count)}: {_said(job, now)}"


def _said(job: LiveStatus, now: float) -> str:
    if job.state == DONE:
        return f"done in {duration(job.seconds)}, {job.score}"
    if job.state == DONE_BEFORE:
        return f"done before, {job.score}"
    if job.state in (FAILED, NOT_STARTED):
        return f"{job.state}: {job.why}" + (f" (see {job.log})" if job.log else "")
    if job.state == RUNNING and job.doing:
        left = job.seconds_left(now)
        said = [f"{job.doing} {job.done:,} of {job.total:,}", *([job.score] if job.score else [])]
        return ", ".join([*said, *([f"{duration(left)} left"] if left is not None else [])])
    return "starts" if job.state == RUNNING else job.state


def ended(jobs: Jobs) -> list[LiveStatus]:
    """Return the jobs as they stand when their launch is over: what still ran was interrupted."""
    return [replace(job, state=INTERRUPTED, doing="") if job.state not in (*ENDED, WAITING) else job for job in jobs]
