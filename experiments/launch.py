"""Between Hydra and the experiments: the typed schema, names of folders, checks before the first job, parts made from
their YAML.
"""

import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationToMissingValueError,
    OmegaConfBaseException,
)

from experiments import progress
from experiments.errors import ExperimentError
from experiments.evaluation import measures
from experiments.schema import Experiment
from experiments.studies.identity import job_name

log = logging.getLogger(__name__)

JOBS = "EXPERIMENTS_JOBS"  # how many jobs the multirun has; in the environment, so that parallel workers know it too


def entry(main: Callable[[], Any]) -> None:
    """Call a Hydra main; what the user can mend is one message on stderr and exit code 2, anything else keeps its
    traceback.
    """
    os.environ.setdefault(
        "HYDRA_FULL_ERROR", "1"
    )  # Hydra then raises what it would print, so that it can be said better here
    try:
        main()
    except (ExperimentError, HydraException, OmegaConfBaseException) as error:
        _exit(explain(error))


def explain(error: BaseException) -> str:
    """One clear message: which key or option is wrong, and which there are."""
    cause = error.__cause__
    if isinstance(error, InstantiationException) and isinstance(cause, ExperimentError):
        return str(cause)
    if isinstance(error, InterpolationToMissingValueError):
        key = str(error.msg or error).splitlines()[0].rpartition(" ")[2]
        return f"{key} must be given: add {key}=... to the command"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        parent = cause.parent_node
        known = ", ".join(sorted(str(key) for key in parent)) if isinstance(parent, DictConfig) else "none"
        where = cause.full_key.rpartition(".")[0]
        return f"there is no key {cause.full_key}; {f'the keys of {where}' if where else 'the keys'} are {known}"
    said = str(error).split("\nConfig search path:")[0].strip()
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return f"{cause.full_key}: {str(cause.msg or cause).splitlines()[0]}"
    return said.removeprefix("In 'config': ").replace("\n\t", " ").replace("\n\n", ". ")


def register() -> None:
    """Make the schema and the resolvers known to Hydra; in every process that imports ``experiments.train``."""
    ConfigStore.instance().store(name="experiment_schema", node=Experiment)
    OmegaConf.register_new_resolver("job_name", lambda *, _root_: job_name(plain(_root_)), replace=True)


def settings_of(config: DictConfig) -> DictConfig:
    """The experiment's part of a composed config, without Hydra's own."""
    settings = config.copy()
    OmegaConf.set_struct(settings, False)
    settings.pop("hydra", None)
    return settings


def plain(config: DictConfig) -> dict[str, Any]:
    """The experiment's part of a composed config, resolved, as plain dictionaries and lists."""
    resolved = OmegaConf.to_container(settings_of(config), resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def check(config: DictConfig) -> Experiment:
    """The config as typed objects, every range checked and every part's settings compared with what the part takes.

    Raises:
        ExperimentError: the message names the key, and what is allowed.
    """
    settings = settings_of(config)
    missing = sorted(str(key) for key in OmegaConf.missing_keys(settings))
    if missing:
        raise ExperimentError(f"{', '.join(missing)} must be given: add {missing[0]}=... to the command")
    experiment = OmegaConf.to_object(settings)
    assert isinstance(experiment, Experiment)
    _check_part("data.source", experiment.data.source)
    _check_part("loss", experiment.loss)
    for name, part in experiment.retrievers.items():
        _check_part(f"retrievers.{name}", part)
    measures.parse(experiment.measures)
    return experiment


# Keys that stand beside a part's own settings and are not passed to it.
LABELS = {"loss": ("name", "logits")}


def _settings(key: str, part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping) or "_target_" not in part:
        raise ExperimentError(f"{key} has no _target_: choose one of the files of its group in conf/")
    return {name: value for name, value in part.items() if name not in LABELS.get(key, ())}


def _check_part(key: str, part: Any) -> None:
    settings = _settings(key, part)
    try:
        target = get_object(settings["_target_"])
    except Exception as error:  # Hydra raises many kinds; each means that the name leads nowhere
        raise ExperimentError(f"{key}._target_: {settings['_target_']} cannot be imported ({error})") from error
    given = {name for name in settings if not name.startswith("_")}
    taken = set(inspect.signature(target).parameters)
    unknown = sorted(given - taken)
    if unknown:
        raise ExperimentError(
            f"{key}.{unknown[0]} does not exist: {settings['_target_']} takes {', '.join(sorted(taken))}"
        )


def make_parts(experiment: Experiment) -> Any:
    """The data source, the retrievers that a role names, and the loss, instantiated."""
    from experiments.studies.preparation import Parts

    named = {experiment.negatives.source, *experiment.first_stage}
    return Parts(
        source=instantiate(_settings("data.source", experiment.data.source)),
        retrievers={
            name: instantiate(_settings(f"retrievers.{name}", experiment.retrievers[name])) for name in sorted(named)
        },
        loss=instantiate(_settings("loss", experiment.loss)),
    )


def run(config: DictConfig) -> float:
    """Check a composed config and run its job; returns the headline measure on the first of the first stages.

    Raises:
        ExperimentError: something that the user gave cannot be used.
    """
    from experiments.studies.experiment import run_job

    hydra = HydraConfig.get()
    experiment = check(config)
    label = ""
    if hydra.mode is not None and hydra.mode.name == "MULTIRUN":
        progress.side_by_side = not str(hydra.launcher._target_).endswith("BasicLauncher")
        label = f"[{hydra.job.num + 1}/{os.environ.get(JOBS, '?')}] {job_name(plain(config)).rpartition('-')[0]}"
    metrics = run_job(experiment, plain(config), make_parts(experiment), label)
    found = metrics["test"].get(experiment.first_stage[0])  # empty in all but the first process of a DDP training
    return float(found[experiment.measures[0]]) if found else float("nan")


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
                (make_parts, (experiment.data, experiment.retrievers)),
                (_locate_package, experiment.backbone),
            ):
                if repr(what) not in seen:  # a grid repeats its parts: each is looked at once
                    seen.add(repr(what))
                    make(experiment)
        except (ExperimentError, HydraException, OmegaConfBaseException) as error:
            _exit(where + explain(error))


def _locate_package(experiment: Experiment) -> None:
    from experiments.modules.backbone import locate

    if experiment.backbone.package is not None:
        locate(experiment.backbone)


def _exit(message: str) -> NoReturn:
    # Hydra turns exceptions of callbacks into warnings; leaving the process is the one way to stop from there.
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)
