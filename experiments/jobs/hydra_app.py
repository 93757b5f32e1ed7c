"""Connect Hydra with the experiments: check all jobs before the first one, run them, and report how they ended."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common import disk, stopping
from experiments.common.cache import write_atomic, write_json
from experiments.common.errors import ExperimentError
from experiments.common.importing import importing
from experiments.config import Experiment
from experiments.config.compose import check, explain, plain
from experiments.config.files import take_user_folder
from experiments.config.grid import rows_of
from experiments.config.help import help_text
from experiments.config.identity import job_hash, job_name, short_name
from experiments.config.loader import CachedLoader
from experiments.config.measures import check_selection
from experiments.config.overrides import check_choices, readable
from experiments.evaluation.measure_names import mean_name
from experiments.job_files.files import GRID, TABLE
from experiments.job_files.live_status import INTERRUPTED, LiveStatus
from experiments.job_files.status import FAILED, note_failure
from experiments.jobs.check_jobs import check_jobs
from experiments.jobs.gpu_lock import gpu_of_its_own
from experiments.jobs.launch_control import LaunchControl
from experiments.jobs.multirun_display import BASIC, JOBLIB, ShownMultirun
from experiments.jobs.multirun_job import refuse, saying, told_by
from experiments.jobs.preemption import queued_again_when_preempted
from experiments.jobs.prerequisite_stage import asked_for, needed_by, put_first
from experiments.jobs.prerequisites import run_prerequisite
from experiments.jobs.ranks import end_outside, follows
from experiments.jobs.ray_launcher import register

log = logging.getLogger(__name__)

GOES_ON = "the same command goes on from here"
# Errors of joblib, of submitit and of ``ray_launcher`` for a worker that ended before its job.
LOST = ("TerminatedWorkerError", "UncompletedJobError", "LostJobError")

_multirun = ShownMultirun()


def entry(main: Callable[[], Any]) -> None:
    """Call a Hydra main. An error that the user can fix is one message on stderr and exit code 2; others keep their
    traceback. A stopped job exits with 128 + the signal's number.
    """
    # Hydra then raises its errors instead of printing them.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    logging.getLogger("matplotlib.font_manager").setLevel(logging.WARNING)  # says that it cached the fonts
    disk.note_log_errors()
    try:
        sys.argv[1:] = map(readable, take_user_folder(sys.argv[1:]))
        check_choices(sys.argv[1:])
        if {"-h", "--help"} & set(sys.argv[1:]):
            print(help_text(sys.modules[main.__module__].__doc__ or ""), end="")
            return
        if follows():  # torchrun started it beside the first process, which does all else
            with importing("pytorch_lightning"):
                from experiments.jobs.follower import follow

            with stopping.handled(to_exit=True):
                follow()
            return
    except ExperimentError as error:
        _exit(str(error))
    with stopping.handled(to_exit=True):
        _run_to_end(main)


def _run_to_end(main: Callable[[], Any]) -> None:
    jobs: list[LiveStatus] = []
    try:
        try:
            main()
        finally:
            jobs += _multirun.end()
            end_outside()
        stopping.check()
        if any(job.state == INTERRUPTED for job in jobs):  # a worker that was told to stop, and not this process
            _interrupted(128 + signal.SIGTERM)
    except (ExperimentError, HydraException, OmegaConfBaseException) as error:
        if any(job.state == FAILED for job in jobs):  # each was named above
            raise SystemExit(2) from None
        _exit(explain(error))
    except (yaml.YAMLError, UnicodeDecodeError) as error:  # a file of the user's own configuration
        _exit(explain(error))
    except KeyboardInterrupt:
        _interrupted(128 + signal.SIGINT)
    except stopping.Stopped as end:
        _interrupted(end.code)
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning raises its own for one that was raised
            _interrupted(128 + signal.SIGINT)
        raise
    except Exception as error:
        if (number := stopping.received()) is not None:  # what the end of the workers has led to
            _interrupted(128 + number)
        if type(error).__name__ in LOST:
            print(f"error: a worker was killed, often for want of memory: {GOES_ON}", file=sys.stderr)
        elif type(error).__name__ == "FailedJobError":  # submitit's, with what sbatch says
            _exit(f"the jobs could not be submitted: {str(error).strip().splitlines()[-1]}")
        elif not any(job.state == FAILED for job in jobs):
            if (line := disk.reason(error, _multirun.study)) is not None:  # of Hydra's own files
                _exit(line)
            raise
        raise SystemExit(1) from None


class QuietJobReturn(JobReturn):
    """The outcome of a job. Hydra's own class prints the overrides of a failed job before it raises the error."""

    @property  # type: ignore[misc]  # nothing sets it after the job
    def return_value(self) -> Any:
        """Return the job's value, or raise its error."""
        if self.status == JobStatus.FAILED:
            raise self._return_value
        return self._return_value


def _interrupted(code: Any) -> NoReturn:
    print(f"interrupted: {GOES_ON}", file=sys.stderr)
    raise SystemExit(code) from None


def run(config: DictConfig) -> float:
    """Check a composed config and run its job; returns the first measure on the first of the first stages.

    In the stage before a multirun's jobs it runs a prerequisite of the job instead (see ``prerequisite_stage``). A job
    that its launch refuses (see ``LaunchControl``) writes nothing and returns NaN.

    Raises:
        ExperimentError: a setting or a file cannot be used.
    """
    with importing("pytorch_lightning"):
        from experiments.jobs.whole_job import run_whole_job

    hydra = HydraConfig.get()
    in_multirun = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
    first = asked_for(config) if in_multirun else None
    settings = plain(config) if first is None else first.config
    folder = Path(str(config.outputs)) / str(config.study) / job_name(settings) if first is None else first.folder
    launch = LaunchControl.of(os.environ) if in_multirun else None
    refusal = launch.refusal(folder.name, prerequisite=first is not None) if launch is not None else None
    if launch is not None and refusal is not None:
        refuse(launch, hydra.job.num + 1, short_name(settings), refusal)
        return float("nan")
    number, launcher = hydra.job.num + 1 if in_multirun else 1, str(hydra.launcher._target_) if in_multirun else BASIC
    side_by_side = not launcher.endswith(BASIC)
    try:
        with (
            stopping.handled(),
            told_by(launch if side_by_side else None),
            saying(launch, number, short_name(settings), folder) as job,
        ):
            experiment = _checked(config) if first is None else first.experiment
            try:
                with (
                    disk.explained(folder),
                    queued_again_when_preempted(job.queue_again),
                    gpu_of_its_own(experiment.trainer, side_by_side),
                ):
                    if first is None:
                        metrics, _ = run_whole_job(experiment, settings)
                    else:
                        metrics = run_prerequisite(first.key, experiment, settings)
            except Exception as error:
                note_failure(folder, error, job_hash(settings))
                stopping.check()
                raise
            value = _headline(metrics, experiment)
            job.score = f"test {mean_name(experiment.measures[0])} {value:.3f}"
    except stopping.Stopped:
        if launcher.endswith(JOBLIB):  # which would kill the other workers
            return float("nan")
        raise
    return value


def _headline(metrics: Mapping[str, Any], experiment: Experiment) -> float:
    """Return the first measure on the first of the first stages; NaN in all but the first process of DDP."""
    means = metrics["test"].get(experiment.first_stage[0])
    return float(means[experiment.measures[0]]) if means else float("nan")


def _checked(config: DictConfig) -> Experiment:
    experiment = check(config)
    if experiment.checkpoint is not None:
        raise ExperimentError(
            "checkpoint is read by experiments.probe only; to train from those weights set backbone=local "
            f"backbone.path={experiment.checkpoint}"
        )
    check_selection(experiment)
    return experiment


class Checks(Callback):
    """Checks every job of a run or multirun before the first one starts, and exits if one cannot work."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the one job."""
        _multirun.study = _study_of(config)
        trained = config.hydra.job.name in ("train", "evaluate")  # and not a first stage, a probe or an audit
        _or_exit(lambda: check_jobs({"": config}, trained, networks=trained))
        _or_exit(lambda: _keep_table(config))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every known job of the grid that its launch lets start; show the table."""
        _multirun.study = _study_of(config)
        _compose_jobs_from_kept_files()
        _or_exit(lambda: register(config.hydra.launcher))
        _or_exit(lambda: self._check_grid(config))
        _or_exit(lambda: _keep_table(config))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep Hydra from writing a line of its own for a job that failed."""
        job_return.__class__ = QuietJobReturn

    def _check_grid(self, config: DictConfig) -> None:
        study = _study_of(config)
        rows, launch = rows_of(config), LaunchControl.of(config.hydra.job.env_set)
        names = [job_name(row.plain) for row in rows]
        may_start = [launch is None or launch.refusal(name) is None for name in names]
        starting = [(name, row) for name, row, may in zip(names, rows, may_start, strict=True) if may]
        experiments = check_jobs({row.where: row for _, row in starting}, networks=True)
        if launch is None or not launch.narrows:
            write_json(study / GRID, names)
        # All overrides of the only job of a grid vary: its name says more.
        labels = [row.varying if len(rows) > 1 else short_name(row.plain) for row in rows]
        labels = [label if may else "" for label, may in zip(labels, may_start, strict=True)]
        needed = []
        if config.hydra.job.name == "train":
            overrides = (row.overrides for _, row in starting)
            needed = needed_by(zip((name for name, _ in starting), overrides, experiments, strict=True))
        first, launcher = [prerequisite.label for prerequisite in needed], str(config.hydra.launcher._target_)
        launch = _multirun.begin(launch, study, labels, first, launcher)
        if needed:
            put_first(needed, launch, config)


def _study_of(config: DictConfig) -> Path:
    return Path(str(config.outputs)) / str(config.study)


def _compose_jobs_from_kept_files() -> None:
    """Let Hydra's launcher compose each job from files that were read and merged once."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    hydra.config_loader = CachedLoader(hydra.config_loader.get_search_path())


def _keep_table(config: DictConfig) -> None:
    """Write the sweep's table next to its jobs, for the report."""
    if config.get("table") is not None:
        write_atomic(_study_of(config) / TABLE, OmegaConf.to_yaml(config.table, resolve=True))


def _or_exit(work: Callable[[], Any]) -> None:
    try:
        with disk.explained(_multirun.study):
            work()
    except ExperimentError as error:
        _exit(str(error))


def _exit(message: str) -> NoReturn:
    # Hydra turns exceptions of callbacks into warnings; only exiting stops it.
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)
