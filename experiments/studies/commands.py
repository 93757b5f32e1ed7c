"""Carry out the commands of ``experiments.study``: run a study, show its status, rerun failed jobs, verify, keep it.

Each returns the exit code: 0, 1 if a job failed or differs from its saved results, 128 + the number of a signal.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from experiments.common.errors import ExperimentError
from experiments.common.text import plural
from experiments.config.grid import Grid
from experiments.job_files.archive import keep_study, place_of
from experiments.job_files.status import CHANGED, DONE, FAILED, UNREADABLE
from experiments.jobs.launch_control import LaunchControl
from experiments.jobs.multirun_display import show_ended
from experiments.studies.finished import finished_before
from experiments.studies.jobs import (
    ListedJob,
    checked_entries,
    jobs_in,
    launch_jobs,
    listed,
    plan_of,
    saved_overrides,
)
from experiments.studies.plan import print_status, totals_of

NOTHING_TO_RERUN = "nothing to rerun: no job has failed or was interrupted"


def run(overrides: Sequence[str], grid: Grid, fail_fast: bool, console: Console) -> tuple[int, list[Path]]:
    """Launch the jobs of a grid and print what is left; returns the exit code and the studies with results.

    Nothing is launched if it would do nothing: all jobs are done, from the inputs of today.
    """
    entries = checked_entries(grid)
    plan = plan_of(grid, entries=entries)
    for line in totals_of(plan):
        console.print(line, markup=False)
    console.print()
    done_before = None if plan.left else finished_before(grid, entries)
    if done_before is not None:
        show_ended(done_before)
        for parent in {entry.folder.parent for entry in entries}:
            LaunchControl.clear_abandoned(parent)
        code = 0
    else:
        code = launch_jobs(overrides, [entry.folder for entry in entries], fail_fast=fail_fast)
    jobs = listed(entries)
    done = {job.folder.parent for job in jobs if job.status.state == DONE and job.number is not None}
    return _print_end(code, jobs, console), sorted(done)


def status(jobs: Sequence[ListedJob], console: Console) -> int:
    """Print the status of jobs; returns 0."""
    print_status([(job.folder, job.status) for job in jobs], [job.budget for job in jobs], console)
    return 0


def rerun(overrides: Sequence[str], jobs: Sequence[ListedJob], fail_fast: bool, console: Console) -> int:
    """Launch the failed and interrupted jobs of a grid; returns the exit code."""
    wanted = _launched(job for job in jobs if job.status.needs_rerun)
    if not wanted:
        console.print(NOTHING_TO_RERUN)
        return 0
    code = launch_jobs(overrides, wanted, only=True, fail_fast=fail_fast)
    return _print_end(code, [job.looked_at_again() for job in jobs], console)


def _launched(jobs: Iterable[ListedJob]) -> list[Path]:
    """Return the folders of the jobs that a launch has to name, each once, so that these jobs run."""
    return list(dict.fromkeys(job.launched for job in jobs if job.launched is not None))


def rerun_folder(study: Path, fail_fast: bool, console: Console) -> int:
    """Launch the failed and interrupted jobs of a folder by their own overrides; returns the exit code."""
    wanted = _launched(job for job in jobs_in(study) if job.status.needs_rerun)
    if not wanted:
        console.print(NOTHING_TO_RERUN)
        return 0
    code = 0
    for overrides, folders in saved_overrides(wanted):
        code = max(code, launch_jobs(overrides, folders, only=True, fail_fast=fail_fast))
        if code >= 128 or (code and fail_fast):
            break
    return _print_end(code, jobs_in(study), console)


def verify(jobs: Sequence[ListedJob], console: Console) -> int:
    """Rescore the saved runs of jobs, or recompute the means of archived ones; returns 1 if anything differs."""
    from experiments.studies.current_inputs import InputLoader
    from experiments.studies.verify import summary, verify_job
    from experiments.studies.verify_archive import verify_archived_job

    done = [job for job in jobs if job.status.state in (DONE, UNREADABLE)]
    if len(done) < len(jobs):
        console.print(f"{len(jobs) - len(done)} of {len(jobs)} jobs are not done, and not verified", markup=False)
    if not done:
        raise ExperimentError("there is nothing to verify: no job is done")
    loader, verified = InputLoader(), []
    for job in done:
        archived = place_of(job.folder.parent) != job.folder.parent
        verified.append((verify_archived_job if archived else verify_job)(job.folder, loader))
        for line in verified[-1].differences:
            console.print(line, markup=False, soft_wrap=True)
    console.print(summary(verified), markup=False, soft_wrap=True)
    return int(any(job.differences for job in verified))


def keep(study: Path, to: Path, runs: bool, console: Console) -> int:
    """Write the archive of a study and print its path and size, and the jobs that it lacks; returns 0."""
    kept = keep_study(study, to, runs)
    for name, state in kept.left_out.items():
        console.print(f"not kept, since it is {state}: {name}", markup=False, soft_wrap=True)
    size = f"{plural(len(kept.jobs), 'job')}, {kept.bytes / 1000:,.0f} kB"
    console.print(f"{kept.path}: {size}", markup=False, soft_wrap=True)
    return 0


def _print_end(code: int, jobs: Sequence[ListedJob], console: Console) -> int:
    """Print what is left to do after a launch; returns the exit code. The launch itself reports failures."""
    others = [job for job in jobs if job.status.state not in (DONE, CHANGED, FAILED)]
    if others:
        console.print()
        status(others, console)
    for folder in sorted({str(job.folder.parent) for job in jobs if job.status.needs_rerun}):
        console.print(f"\nto run what failed again: python -m experiments.study rerun-failed {folder}", soft_wrap=True)
    failed = any(job.status.state == FAILED for job in jobs)
    return 1 if failed and code < 128 else code
