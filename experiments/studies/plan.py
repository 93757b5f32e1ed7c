"""Show the jobs of a study before or while it runs: status, cost and estimated time."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.common.text import duration, plural
from experiments.job_files.status import CHANGED, DONE, FAILED, RUNNING, JobStatus, totals
from experiments.studies.cost_estimate import Cost
from experiments.studies.needs import Needs, card_of, lines_of
from experiments.studies.needs_report import memory_lines, print_preparation
from experiments.studies.preparation import Stage


@dataclass(frozen=True)
class PlannedJob:
    """One job of a study.

    ``number``: in its grid, from 1; None for a prerequisite or a test set (``measures``). ``what``: the overrides in
    which it differs from the others, or the component that needs it. ``seconds``: the estimate; None if nothing was
    measured.
    """

    number: int | None
    folder: Path
    what: str
    status: JobStatus
    cost: Cost
    seconds: float | None
    flops: float | None = None
    measures: bool = False
    needs: Needs | None = None

    @property
    def place(self) -> str:
        """Its number, or whether it is ``first`` or ``then``."""
        return str(self.number or ("then" if self.measures else "first"))


@dataclass(frozen=True)
class Plan:
    """A study's jobs, prerequisites first. ``side_by_side``: jobs at a time; None if the launcher decides.
    ``measured``: number of finished jobs behind the estimates. ``device``: the card to estimate hours on, and the share
    of its peak that jobs reach with the number of jobs behind that. ``catalogue``: data sets that are not in the cache
    and have to be fetched -> passages. ``preparation``: what is left to do before the trainings.
    """

    jobs: tuple[PlannedJob, ...]
    side_by_side: int | None
    measured: int
    device: tuple[str, tuple[float, int]] | None = None
    catalogue: Mapping[str, int] = field(default_factory=dict)
    preparation: tuple[Stage, ...] = ()

    @property
    def left(self) -> tuple[PlannedJob, ...]:
        """The jobs that are not done."""
        return tuple(job for job in self.jobs if job.status.state != DONE)

    @property
    def seconds(self) -> float | None:
        """Estimated time of the remaining jobs, one after the other; None if one has no estimate."""
        return _sum(job.seconds for job in self.left)

    @property
    def wall_seconds(self) -> float | None:
        """Estimated wall time of the remaining jobs: prerequisites first, then grid jobs on the first free worker."""
        if self.side_by_side is None or self.seconds is None:
            return None
        first = [job.seconds or 0.0 for job in self.left if job.place == "first"]
        return sum(first) + wall([job.seconds or 0.0 for job in self.left if job.place != "first"], self.side_by_side)


def wall(seconds: Sequence[float], places: int) -> float:
    """Return the time of jobs that start in order, each at the first free place."""
    busy = [0.0] * places
    for job_seconds in seconds:
        place = busy.index(min(busy))
        busy[place] += job_seconds
    return max(busy)


def places_of(launcher: str, jobs: int | None) -> int | None:
    """Return how many jobs a launcher (its ``_target_``) runs at a time. ``jobs``: joblib's ``n_jobs``; -1 for one a
    core, -2 for one fewer.
    """
    if launcher.endswith("BasicLauncher"):
        return 1
    if jobs is None or jobs == 0:
        return None
    return jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)


def print_plan(plan: Plan, console: Console) -> None:
    """Print a row a job, and the totals."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    table.add_column("job", overflow="fold")
    table.add_column("what varies", overflow="fold")
    table.add_column("on disk")
    for column in ("groups", "pairs: trained on", "scored", "time"):
        table.add_column(column, justify="right")
    for job in plan.jobs:
        counts = [_count(number) for number in (job.cost.groups, job.cost.pairs, job.cost.scored)]
        cells = (job.place, job.folder.name, job.what, job.status.state, *counts, duration(job.seconds))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    console.print()
    for job in plan.jobs:
        if job.status.state == CHANGED:
            console.print(Text(f"{job.folder.name} runs again: {job.status.why} changed"))
    for line in totals_of(plan):
        console.print(Text(line))
    if plan.device is not None and plan.left:
        _print_needs(plan, *plan.device, console)


def _print_needs(plan: Plan, device: str, share: tuple[float, int], console: Console) -> None:
    needs = {job.folder.name: job.needs for job in plan.left if job.needs is not None}
    lines = lines_of(list(needs.values()), device, share, plan.catalogue)
    for line in (lines[0], *memory_lines(needs, device), *lines[1:]):
        console.print(Text(line), soft_wrap=True)
    print_preparation(plan.preparation, device, card_of(device).peak * share[0], console)


def totals_of(plan: Plan) -> list[str]:
    """Return lines on the jobs done, the cost of the jobs left, and their time."""
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
    basis = f"(from {plural(plan.measured, 'finished job')} of the same kind)"
    if without:
        known = sum(job.seconds or 0.0 for job in plan.left)
        return f"time: {duration(known)} {basis}, and {plural(without, 'job')} of which there is no measurement yet"
    each = f"time: {duration(plan.seconds)} one after the other {basis}"
    if plan.side_by_side is None:
        return f"{each}; how many run side by side is the launcher's to decide"
    if plan.side_by_side == 1:
        return each
    return f"{each}, {duration(plan.wall_seconds)} with {plan.side_by_side} side by side"


def print_status(jobs: Sequence[tuple[Path, JobStatus]], budgets: Sequence[int | None], console: Console) -> None:
    """Print a row a job with its status, and the totals. ``budgets``: groups of each job's training, where known."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("job", "state", ""):
        table.add_column(column, overflow="fold")
    for (folder, status), budget in zip(jobs, budgets, strict=True):
        table.add_row(*(Text(cell) for cell in (folder.name, status.state, detail(status, budget))))
    console.print(table)
    console.print()
    console.print(Text(f"{plural(len(jobs), 'job')}: {totals(status for _, status in jobs)}"), soft_wrap=True)


def detail(status: JobStatus, budget: int | None = None) -> str:
    """Describe a job: since when, how far, why. ``budget``: groups of the training."""
    parts = []
    if status.state == RUNNING and status.since is not None:
        parts.append(f"since {status.since.astimezone():%Y-%m-%d %H:%M:%S}")
    if status.attempts > 1 and status.state != DONE:
        parts.append(f"attempt {status.attempts}")
    if status.step is not None and status.state not in (DONE, FAILED):
        parts.append(f"step {status.step:,}")
    if status.groups is not None and status.state not in (DONE, FAILED):
        parts.append(f"{status.groups:,}{f' of {budget:,}' if budget else ''} groups")
    left = _seconds_left(status, budget)
    if left is not None:
        parts.append(f"about {duration(left)} of training left")
    return ", ".join([*parts, *([status.why] if status.why else [])])


def _seconds_left(status: JobStatus, budget: int | None) -> float | None:
    """Extrapolate the remaining time of a running first attempt; None if not known."""
    if status.state != RUNNING or status.attempts != 1 or not (status.groups and budget and status.since):
        return None
    ran = (datetime.now(UTC) - status.since).total_seconds()
    return ran / status.groups * max(0, budget - status.groups)


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum the values; None if one is not known."""
    known = list(values)
    return None if None in known else sum((value for value in known if value is not None), 0.0)


def _count(number: float | None) -> str:
    return "?" if number is None else f"{number:,.0f}"
