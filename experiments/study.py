"""A study as a whole: what it will cost, run it, where it stands, mend it, verify it.

``python -m experiments.study plan sweeps=quickstart``. Jobs are launched by Hydra's own multirun, as
``python -m experiments.train -m`` launches them, so that its launchers and overrides work as ever.
"""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.files import SWEEPS
from experiments.config.grid import Grid, compose_grid
from experiments.config.overrides import readable
from experiments.job_files.status import DONE, FAILED
from experiments.studies.jobs import ListedJob, jobs_in, jobs_of, launch_jobs, plan_of, saved_overrides
from experiments.studies.plan import print_plan, print_status, totals_of

compose.register()

COMMANDS = ("plan", "run", "status", "rerun-failed", "verify")
LAUNCHING = ("run", "rerun-failed")
OF_FOLDERS = ("status", "rerun-failed", "verify")
UNFOLDED = 1000  # columns where there is no screen: what is piped is not folded
HELP = """\
A study is a sweep or a grid of overrides, as experiments.train -m takes them; the last three commands also take the
folder of one that was run.

  plan          the jobs, what each costs, where it stands; nothing is run
  run           run what is not done, then the report
  status        which jobs are done, running, interrupted, failed (and why), missing
  rerun-failed  run only the jobs that failed or were interrupted
  verify        score the saved runs again; any difference is an error

  python -m experiments.study plan sweeps=quickstart seed=1,2 scale=mini
  python -m experiments.study run quickstart --fail-fast
  python -m experiments.study run loss=bce,lce negatives.count=1,3 study=my_grid hydra/launcher=joblib
  python -m experiments.study verify outputs/quickstart
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and a line."""
        print(f"error: {message} (python -m experiments.study --help)", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 1 if a job failed or has drifted, 2 for what the user can mend, 128 +
    the signal's number if it was stopped.
    """
    parser = _Parser(
        prog="python -m experiments.study", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument("study", nargs="*", help="Hydra's overrides, sweeps=NAME or NAME for a sweep, or a folder")
    parser.add_argument("--fail-fast", action="store_true", help="start no further job once one has failed")
    parser.add_argument("--no-report", action="store_true", help="run: no report at the end")
    options = parser.parse_intermixed_args(arguments)
    try:
        if options.fail_fast and options.command not in LAUNCHING:
            raise ExperimentError(f"--fail-fast is for {' and '.join(LAUNCHING)}, not for {options.command}")
        if options.no_report and options.command != "run":
            raise ExperimentError(f"--no-report is for run, not for {options.command}")
        return _run_command(options)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run_command(options: argparse.Namespace) -> int:
    folder = folder_in(options.study, options.command)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    if folder is not None:
        if options.command == "status":
            return status(jobs_in(folder), console)
        if options.command == "verify":
            return verify(jobs_in(folder), console)
        return rerun_folder(folder, options.fail_fast, console)
    overrides = [override_of(one) for one in options.study]
    if not overrides:
        raise ExperimentError(f"{options.command} what? Name a sweep ({', '.join(sweeps())}) or give overrides")
    grid = compose_grid(overrides)
    if options.command == "plan":
        print_plan(plan_of(grid), console)
        return 0
    if options.command == "run":
        return run(overrides, grid, options.fail_fast, not options.no_report, console)
    jobs = jobs_of(grid)
    if options.command == "status":
        return status(jobs, console)
    if options.command == "verify":
        return verify(jobs, console)
    return rerun(overrides, jobs, options.fail_fast, console)


def run(overrides: Sequence[str], grid: Grid, fail_fast: bool, report: bool, console: Console) -> int:
    """Launch the jobs of a grid, say where they stand then, and report; returns the exit code."""
    for line in totals_of(plan_of(grid)):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    code = launch_jobs(overrides, [job.folder for job in jobs_of(grid)], fail_fast=fail_fast)
    jobs = jobs_of(grid)
    code = _after(code, jobs, console)
    if code < 128 and report:
        studies = {job.folder.parent for job in jobs if job.status.state == DONE and job.number is not None}
        for study in sorted(studies):
            from experiments import report as reports

            console.print()
            code = max(code, reports.main([str(study)]))
    return code


def status(jobs: Sequence[ListedJob], console: Console) -> int:
    """Print where jobs stand; returns 0."""
    print_status([(job.folder, job.status) for job in jobs], [job.budget for job in jobs], console)
    return 0


def rerun(overrides: Sequence[str], jobs: Sequence[ListedJob], fail_fast: bool, console: Console) -> int:
    """Launch those jobs of a grid that failed or were interrupted; returns the exit code."""
    wanted = [job.folder for job in jobs if job.status.needs_rerun and job.number is not None]
    if not wanted:
        console.print("nothing to rerun: no job has failed or was interrupted")
        return 0
    code = launch_jobs(overrides, wanted, only=True, fail_fast=fail_fast)
    return _after(code, [job.looked_at_again() for job in jobs], console)


def rerun_folder(study: Path, fail_fast: bool, console: Console) -> int:
    """Launch the jobs of a folder that failed or were interrupted, by their own overrides; returns the exit code."""
    jobs = jobs_in(study)
    wanted = [job.folder for job in jobs if job.status.needs_rerun]
    if not wanted:
        console.print("nothing to rerun: no job has failed or was interrupted")
        return 0
    code = 0
    for overrides, folders in saved_overrides(wanted):
        code = max(code, launch_jobs(overrides, folders, only=True, fail_fast=fail_fast))
        if code >= 128 or (code and fail_fast):
            break
    return _after(code, jobs_in(study), console)


def verify(jobs: Sequence[ListedJob], console: Console) -> int:
    """Verify what is done; returns 1 if anything differs."""
    from experiments.studies.current_inputs import InputLoader
    from experiments.studies.verify import summary, verify_job

    done = [job for job in jobs if job.status.state == DONE]
    if len(done) < len(jobs):
        console.print(f"{len(jobs) - len(done)} of {len(jobs)} jobs are not done, and not verified", markup=False)
    if not done:
        raise ExperimentError("there is nothing to verify: no job is done")
    opener, found = InputLoader(), []
    for job in done:
        found.append(verify_job(job.folder, opener))
        for line in found[-1].differences:
            console.print(line, markup=False, soft_wrap=True)
    console.print(summary(found), markup=False, soft_wrap=True)
    return int(any(one.differences for one in found))


def folder_in(study: Sequence[str], command: str) -> Path | None:
    """The folder that a command is about, if it names one.

    Raises:
        ExperimentError: it is no folder, stands beside something else, or the command takes none.
    """
    folders = [
        text for text in study if text not in sweeps() and (Path(text).is_dir() or ("/" in text and "=" not in text))
    ]
    if not folders:
        return None
    if command not in OF_FOLDERS:
        raise ExperimentError(f"{command} takes a sweep or overrides, not a folder ({folders[0]})")
    if len(study) > 1:
        raise ExperimentError(f"{folders[0]} is a folder: give it alone, or overrides without it")
    return Path(folders[0])


def override_of(argument: str) -> str:
    """An argument as Hydra takes it: ``sweeps=x`` and ``x`` stand for ``+sweeps=x``.

    Raises:
        ExperimentError: it is neither an override nor the name of a sweep.
    """
    name = argument.removeprefix("+").removeprefix("sweeps=") if argument.startswith(("sweeps=", "+sweeps=")) else None
    if name is None and ("=" in argument or argument.startswith("~")):
        return readable(argument)
    name = argument if name is None else name
    if name in sweeps():
        return f"+sweeps={name}"
    near = get_close_matches(name, sweeps(), 1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ExperimentError(
        f"there is no sweep {name!r}: {meant}There are {', '.join(sweeps())}; overrides are key=value"
    )


def sweeps() -> list[str]:
    """The names of the sweeps."""
    return sorted(path.stem for path in SWEEPS.glob("*.yaml"))


def _after(code: int, jobs: Sequence[ListedJob], console: Console) -> int:
    """Say where jobs stand after a launch that ended with a code; returns the exit code."""
    console.print()
    status(jobs, console)
    failed = any(job.status.state == FAILED for job in jobs)
    return 1 if failed and code < 128 else code


if __name__ == "__main__":
    sys.exit(main())
