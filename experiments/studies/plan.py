"""Show a study before it runs, or while it does: its jobs, where they stand, what they cost and how long that takes."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.common.text import duration, plural
from experiments.job_files.status import CHANGED, DONE, FAILED, RUNNING, JobStatus, totals
from experiments.studies.cost_estimate import Cost


@dataclass(frozen=True)
class PlannedJob:
    """One job of a study.

    ``number``: in its grid, from 1; None for one that another needs trained first. ``what``: the overrides in which it
    differs from the others, or what it is needed for. ``seconds``: the estimate; None if nothing was measured.
    """

    number: int | None
    folder: Path
    what: str
    status: JobStatus
    cost: Cost
    seconds: float | None
    flops: float | None = None


@dataclass(frozen=True)
class Plan:
    """A study's jobs, those that others need first. ``side_by_side``: how many run at a time; None if the launcher
    decides. ``measured``: how many finished jobs the estimates rest on.
    """

    jobs: tuple[PlannedJob, ...]
    side_by_side: int | None
    measured: int

    @property
    def left(self) -> tuple[PlannedJob, ...]:
        """The jobs that are not done."""
        return tuple(job for job in self.jobs if job.status.state != DONE)

    @property
    def seconds(self) -> float | None:
        """Of all that is left, one job after the other; None if one of them was not estimated."""
        return _sum(job.seconds for job in self.left)

    @property
    def wall_seconds(self) -> float | None:
        """Of all that is left as it is launched: what is needed first goes first and the others wait for it, then each
        job goes to the first place that is free, in the order of the grid.
        """
        if self.side_by_side is None or self.seconds is None:
            return None
        first = [job.seconds or 0.0 for job in self.left if job.number is None]
        return sum(first) + wall([job.seconds or 0.0 for job in self.left if job.number is not None], self.side_by_side)


def wall(seconds: Sequence[float], places: int) -> float:
    """How long jobs take that start in order, each at the first of some places that is free."""
    busy = [0.0] * places
    for job_seconds in seconds:
        place = busy.index(min(busy))
        busy[place] += job_seconds
    return max(busy)


def places_of(launcher: str, jobs: int | None) -> int | None:
    """How many jobs a launcher (its ``_target_``) runs at a time. ``jobs``: its ``n_jobs``, -1 for one a core, -2 for
    one less, as joblib has it.
    """
    if launcher.endswith("BasicLauncher"):
        return 1
    if jobs is None or jobs == 0:
        return None
    return jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)


def print_plan(plan: Plan, console: Console) -> None:
    """A row a job, and below them the totals."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    table.add_column("job", overflow="fold")
    table.add_column("what varies", overflow="fold")
    table.add_column("on disk")
    for column in ("groups", "pairs: trained on", "scored", "time"):
        table.add_column(column, justify="right")
    for job in plan.jobs:
        number = "first" if job.number is None else str(job.number)
        counts = [_count(number) for number in (job.cost.groups, job.cost.pairs, job.cost.scored)]
        cells = (number, job.folder.name, job.what, job.status.state, *counts, duration(job.seconds))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    console.print()
    for job in plan.jobs:
        if job.status.state == CHANGED:
            console.print(Text(f"{job.folder.name} runs again: {job.status.why} changed"))
    for line in totals_of(plan):
        console.print(Text(line))


def totals_of(plan: Plan) -> list[str]:
    """What is done and skipped, what is left and its cost, and how long it takes."""
    left = plan.left
    running = sum(job.status.state == RUNNING for job in plan.jobs)
    lines = [f"{plural(len(plan.jobs), 'job')}: {totals(job.status for job in plan.jobs)}"]
    if len(left) < len(plan.jobs):
        lines[0] += "; what is done is skipped"
    if running:
        lines[0] += f"; {plural(running, 'job')} would be refused while another process is at it"
    if not left:
        return lines
    groups, pairs, scored = (_sum(getattr(job.cost, name) for job in left) for name in ("groups", "pairs", "scored"))
    spent = f"to do: {_count(groups)} groups, {_count(pairs)} pairs trained on, {_count(scored)} scored"
    flops = _sum(job.flops for job in left)
    lines.append(spent + (f", {flops:.1e} floating-point operations in training" if flops is not None else ""))
    return [*lines, _time(plan)]


def _time(plan: Plan) -> str:
    without = sum(job.seconds is None for job in plan.left)
    if without == len(plan.left):
        return "time: no measurement yet of such jobs on such a device; the first to finish gives one"
    said = f"(from {plural(plan.measured, 'finished job')} of the same kind)"
    if without:
        known = sum(job.seconds or 0.0 for job in plan.left)
        return f"time: {duration(known)} {said}, and {plural(without, 'job')} of which there is no measurement yet"
    each = f"time: {duration(plan.seconds)} one after the other {said}"
    if plan.side_by_side is None:
        return f"{each}; how many run side by side is the launcher's to decide"
    return (
        each
        if plan.side_by_side == 1
        else f"{each}, {duration(plan.wall_seconds)} with {plan.side_by_side} side by side"
    )


def print_status(jobs: Sequence[tuple[Path, JobStatus]], budgets: Sequence[int | None], console: Console) -> None:
    """A row a job with where it stands, and the totals. ``budgets``: groups of each job's training, where known."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("job", "state", ""):
        table.add_column(column, overflow="fold")
    for (folder, status), budget in zip(jobs, budgets, strict=True):
        table.add_row(*(Text(cell) for cell in (folder.name, status.state, detail(status, budget))))
    console.print(table)
    console.print()
    console.print(Text(f"{plural(len(jobs), 'job')}: {totals(status for _, status in jobs)}"), soft_wrap=True)


def detail(status: JobStatus, budget: int | None = None) -> str:
    """What there is to say of a job: since when, how far, why. ``budget``: groups of the training."""
    said = []
    if status.state == RUNNING and status.since is not None:
        said.append(f"since {status.since.astimezone():%Y-%m-%d %H:%M:%S}")
    if status.attempts > 1 and status.state != DONE:
        said.append(f"attempt {status.attempts}")
    if status.step is not None and status.state not in (DONE, FAILED):
        said.append(f"step {status.step:,}")
    if status.groups is not None and status.state not in (DONE, FAILED):
        said.append(f"{status.groups:,}{f' of {budget:,}' if budget else ''} groups")
    left = _seconds_left(status, budget)
    if left is not None:
        said.append(f"about {duration(left)} of training left")
    return ", ".join([*said, *([status.why] if status.why else [])])


def _seconds_left(status: JobStatus, budget: int | None) -> float | None:
    """How long a training that runs in its first attempt will take, as fast as it was; None if that is not known."""
    if status.state != RUNNING or status.attempts != 1 or not (status.groups and budget and status.since):
        return None
    ran = (datetime.now(UTC) - status.since).total_seconds()
    return ran / status.groups * max(0, budget - status.groups)


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum; None if one of them is not known."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _count(number: float | None) -> str:
    return "?" if number is None else f"{number:,.0f}"
