"""Plan, rehearse, run, look at, repair, verify, keep a whole study: ``python -m experiments.study plan quickstart``.

Jobs are launched by Hydra's multirun, so that its launchers and overrides work as in ``experiments.train -m``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from experiments.common import stopping
from experiments.common.allocator import look_for_cycles_rarely
from experiments.common.disk import explained
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.files import sweep_names, take_user_folder
from experiments.config.grid import compose_grid
from experiments.config.overrides import readable
from experiments.job_files.archive import as_given, place_of, study_folder
from experiments.studies import commands
from experiments.studies.jobs import jobs_in, jobs_of, plan_of
from experiments.studies.plan import print_plan

compose.register()

COMMANDS = ("plan", "rehearse", "run", "status", "rerun-failed", "verify", "keep")
LAUNCHING = ("run", "rerun-failed")
OF_FOLDERS = ("status", "rerun-failed", "verify", "keep")
RESULTS = Path("sweeps", "results")  # where archives are kept
DEVICE = "device="  # of plan: the card to estimate hours on
UNFOLDED = 1000  # columns of piped output, so that it is not folded
HELP = """\
A study is a sweep or a grid of overrides, as experiments.train -m takes them. The last four commands also take the
folder of one that was run; status and verify its archive too.

  plan          the jobs, what each costs, where it stands; nothing is run. With device=a100 also hours and memory
                of that card, what is done before (reading, BM25, vectors), disk and downloads
  rehearse      walk every distinct job for two steps and ten queries, with the real data and models; keeps no results
  run           run what is not done, then the report
  status        which jobs are done, running, interrupted, failed (and why), missing
  rerun-failed  run only the jobs that failed or were interrupted
  verify        score the saved runs again; any difference is an error
  keep          write the results into one small file, sweeps/results/<study>.zip, which report and verify read

  python -m experiments.study plan sweeps=quickstart seed=1,2 scale=mini
  python -m experiments.study run quickstart --fail-fast
  python -m experiments.study run loss=bce,lce negatives.count=1,3 study=my_grid hydra/launcher=joblib
  python -m experiments.study verify outputs/quickstart
  python -m experiments.study keep outputs/quickstart --to sweeps/results

--config-dir FOLDER adds a folder of your own files, in the shape of conf/ (my_conf/sweeps/my_study.yaml).
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line instead of the usage and a line."""
        print(f"error: {message} (python -m experiments.study --help)", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 for a user error, else as ``experiments.studies.commands``."""
    parser = _Parser(
        prog="python -m experiments.study", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument("study", nargs="*", help="Hydra's overrides, sweeps=NAME or NAME for a sweep, or a folder")
    parser.add_argument("--fail-fast", action="store_true", help="start no further job once one has failed")
    parser.add_argument("--no-report", action="store_true", help="run: no report at the end")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help=f"keep: the archive's folder (default: {RESULTS})")
    parser.add_argument("--runs", action="store_true", help="keep: with the re-ranked runs, so that verify scores them")
    try:
        options = parser.parse_intermixed_args(take_user_folder(sys.argv[1:] if arguments is None else arguments))
        if options.fail_fast and options.command not in LAUNCHING:
            raise ExperimentError(f"--fail-fast is for {' and '.join(LAUNCHING)}, not for {options.command}")
        if options.no_report and options.command != "run":
            raise ExperimentError(f"--no-report is for run, not for {options.command}")
        if (options.to or options.runs) and options.command != "keep":
            raise ExperimentError(f"--to and --runs are for keep, not for {options.command}")
        look_for_cycles_rarely()
        with stopping.handled(to_exit=True), explained():
            return _run_command(options)
    except ExperimentError as error:
        print(f"error: {as_given(error)}", file=sys.stderr)
        return 2
    except stopping.Stopped as end:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return int(end.code or 1)


def _run_command(options: argparse.Namespace) -> int:
    folder = folder_in(options.study, options.command)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    if folder is not None:
        return _run_on_folder(options, folder, console)
    device = next((text.partition("=")[2] for text in options.study if text.startswith(DEVICE)), None)
    if device is not None and options.command != "plan":
        raise ExperimentError(f"{DEVICE}{device} is for plan: a job's device is trainer=cpu or trainer=gpu")
    overrides = [override_of(argument) for argument in options.study if not argument.startswith(DEVICE)]
    if not overrides:
        raise ExperimentError(f"{options.command} what? Name a sweep ({', '.join(sweep_names())}) or give overrides")
    grid = compose_grid(overrides)
    if options.command == "plan":
        print_plan(plan_of(grid, device), console)
        return 0
    if options.command == "rehearse":
        from experiments.studies.rehearse import rehearse  # imports what jobs import

        return rehearse(grid, console)
    if options.command == "run":
        code, studies = commands.run(overrides, grid, options.fail_fast, console)
        if not options.no_report and code < 128:
            from experiments import report

            for study in studies:
                console.print()
                code = max(code, report.main([str(study)]))
        return code
    if options.command == "keep":
        raise ExperimentError("keep takes the folder of a study that was run, such as outputs/quickstart")
    jobs = jobs_of(grid)
    if options.command == "status":
        return commands.status(jobs, console)
    if options.command == "verify":
        return commands.verify(jobs, console)
    return commands.rerun(overrides, jobs, options.fail_fast, console)


def _run_on_folder(options: argparse.Namespace, place: Path, console: Console) -> int:
    """Carry out a command on a study's folder or archive."""
    folder = study_folder(place)
    if options.command == "status":
        return commands.status(jobs_in(folder), console)
    if options.command == "verify":
        return commands.verify(jobs_in(folder), console)
    if place_of(folder) != folder:
        raise ExperimentError(f"{options.command} takes the folder of a study, not an archive ({place})")
    if options.command == "keep":
        return commands.keep(folder, options.to or RESULTS, options.runs, console)
    return commands.rerun_folder(folder, options.fail_fast, console)


def folder_in(study: Sequence[str], command: str) -> Path | None:
    """Return the folder or archive that the arguments name, if any.

    Raises:
        ExperimentError: something else is given with it, or the command takes none.
    """
    others = [text for text in study if text not in sweep_names()]
    # os.path: an override may be longer than any path, for which Path.exists raises an error
    folders = [text for text in others if os.path.exists(text) or ("/" in text and "=" not in text)]
    if not folders:
        return None
    if command not in OF_FOLDERS:
        raise ExperimentError(f"{command} takes a sweep or overrides, not a folder ({folders[0]})")
    if len(study) > 1:
        raise ExperimentError(f"{folders[0]} is a folder: give it alone, or overrides without it")
    return Path(folders[0])


def override_of(argument: str) -> str:
    """Return an argument as Hydra takes it: ``+sweeps=x`` for ``sweeps=x`` and ``x``.

    Raises:
        ExperimentError: it is neither an override nor the name of a sweep.
    """
    name = argument.removeprefix("+").removeprefix("sweeps=") if argument.startswith(("sweeps=", "+sweeps=")) else None
    if name is None and ("=" in argument or argument.startswith("~")):
        return readable(argument)
    name = argument if name is None else name
    if name in sweep_names():
        return f"+sweeps={name}"
    near = get_close_matches(name, sweep_names(), 1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ExperimentError(
        f"there is no sweep {name!r}: {meant}There are {', '.join(sweep_names())}; overrides are key=value"
    )


if __name__ == "__main__":
    sys.exit(main())
