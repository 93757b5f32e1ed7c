"""Between Hydra and the experiments: checks before the first job, jobs, and how they end."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from experiments import progress
from experiments.composition import check, explain, job_before, jobs_before, make_parts, plain, roles_of
from experiments.errors import ExperimentError
from experiments.schema import Experiment
from experiments.store import write_atomic
from experiments.studies.identity import job_name
from experiments.studies.records import TABLE

log = logging.getLogger(__name__)

JOBS = "EXPERIMENTS_JOBS"  # how many jobs the multirun has; in the environment, so that parallel workers know it too


def entry(main: Callable[[], Any]) -> None:
    """Call a Hydra main; what the user can mend is one message on stderr and exit code 2, anything else keeps its
    traceback.
    """
    # Hydra then raises what it would print, so that it can be said better here.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    try:
        main()
    except (ExperimentError, HydraException, OmegaConfBaseException) as error:
        _exit(explain(error))


def run(config: DictConfig) -> float:
    """Check a composed config and run its job; returns the headline measure on the first of the first stages.

    Raises:
        ExperimentError: something that the user gave cannot be used.
    """
    hydra = HydraConfig.get()
    experiment = check(config)
    label = ""
    if hydra.mode is not None and hydra.mode.name == "MULTIRUN":
        progress.side_by_side = not str(hydra.launcher._target_).endswith("BasicLauncher")
        label = f"[{hydra.job.num + 1}/{os.environ.get(JOBS, '?')}] {job_name(plain(config)).rpartition('-')[0]}"
    metrics = run_with_needs(experiment, plain(config), label)
    found = metrics["test"].get(experiment.first_stage[0])  # empty in all but the first process of a DDP training
    return float(found[experiment.measures[0]]) if found else float("nan")


def parts_of(experiment: Experiment, chain: tuple[str, ...] = ()) -> Any:
    """The parts of an experiment; a retriever that needs a model of its own gets it trained first. ``chain``: the jobs
    that wait for this one.
    """
    return make_parts(experiment, partial(train_before, experiment, chain=chain))


def train_before(parent: Experiment, key: str, job: str, chain: tuple[str, ...] = ()) -> Path:
    """Run the job that an experiment needs done first, unless it is done, and return the folder of its model; of
    several processes that ask for it one runs it and the others wait.
    """
    from filelock import FileLock

    experiment, config = job_before(key, job, parent, chain)
    folder = Path(experiment.outputs) / experiment.study / job_name(config)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        log.info("%s: %s is trained first, unless it is there already: %s", key, experiment.model.kind, folder)
        run_with_needs(experiment, config, experiment.model.kind, (*chain, job))
    return folder / "model"


def run_with_needs(
    experiment: Experiment, config: dict[str, Any], label: str, chain: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run a job, and before it those that train what it needs; returns its metrics."""
    from experiments.studies.experiment import run_job

    dual = experiment.model.dual_encoder
    if "model.dual_encoder.job" in jobs_before(experiment):
        folder = train_before(experiment, "model.dual_encoder.job", str(dual.job), chain)
        found = replace(dual, cross_encoder=str(folder), job=None)
        experiment = replace(experiment, model=replace(experiment.model, dual_encoder=found))
    return run_job(experiment, config, parts_of(experiment, chain), label)


class Checks(Callback):
    """Looks at every job of a run or multirun before the first one starts, and stops there if one cannot work."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the one job."""
        _check_or_exit({"": config})

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every job of the grid, as far as it is known beforehand (an optimising sweeper chooses as it goes)."""
        grid = _grid(config)
        os.environ[JOBS] = str(len(grid)) if grid else "?"
        loader = GlobalHydra.instance().config_loader()
        jobs: dict[str, DictConfig] = {}
        shared = set.intersection(*map(set, grid)) if len(grid) > 1 else set()
        for number, overrides in enumerate(grid, 1):
            where = f"job {number} ({' '.join(one for one in overrides if one not in shared)}): "
            try:
                jobs[where] = loader.load_sweep_config(config, overrides)
            except (HydraException, OmegaConfBaseException) as error:
                _exit(where + explain(error))
        _check_or_exit(jobs)
        _keep_table(config)


def _keep_table(config: DictConfig) -> None:
    """Write the sweep's table beside its jobs, where the report finds it."""
    if config.get("table") is not None:
        path = Path(str(config.outputs)) / str(config.study) / TABLE
        write_atomic(path, OmegaConf.to_yaml(config.table, resolve=True))


def _grid(config: DictConfig) -> list[list[str]]:
    if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
        return []
    params = config.hydra.sweeper.params or {}
    arguments = [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    parsed = OverridesParser.create().parse_overrides(arguments)
    (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in jobs]


def _check_or_exit(jobs: Mapping[str, DictConfig]) -> None:
    """``jobs``: what a message calls a job -> its config."""
    seen: set[str] = set()
    for where, config in jobs.items():
        try:
            experiment = check(config)
            for make, what in (
                (make_parts, (experiment.data, experiment.retrievers, roles_of(experiment))),
                (_check_jobs_before, (experiment.data, jobs_before(experiment))),
                (_locate_package, experiment.backbone),
            ):
                if repr(what) not in seen:  # a grid repeats its parts: each is looked at once
                    seen.add(repr(what))
                    make(experiment)
        except (ExperimentError, HydraException, OmegaConfBaseException) as error:
            _exit(where + explain(error))


def _check_jobs_before(experiment: Experiment, chain: tuple[str, ...] = ()) -> None:
    for key, job in jobs_before(experiment).items():
        before, _ = job_before(key, job, experiment, chain)
        make_parts(before)
        _locate_package(before)
        _check_jobs_before(before, (*chain, job))


def _locate_package(experiment: Experiment) -> None:
    from experiments.modules.backbone import locate

    if experiment.backbone.package is not None:
        locate(experiment.backbone)


def _exit(message: str) -> NoReturn:
    # Hydra turns exceptions of callbacks into warnings; leaving the process is the one way to stop from there.
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)
