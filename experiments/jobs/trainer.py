"""Make Lightning's Trainer with its callbacks and logger from the config, and load the weights chosen on dev."""

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only

from experiments.callbacks.checkpoint_format import read_state
from experiments.callbacks.checkpoints import KeepCheckpoints, SafeIO
from experiments.callbacks.logged_rows import LoggedRows
from experiments.callbacks.stage_profiler import FILE as FILE_OF_PROFILE
from experiments.callbacks.stage_profiler import StageProfiler
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.job_files.history import FILE
from experiments.job_files.job_folder import JobFolder
from experiments.jobs.preemption import ACTIVE
from experiments.jobs.ranks import started_outside
from experiments.models.ranker import Ranker
from experiments.models.training_setup import TrainingSetup, precision_of
from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob

log = logging.getLogger(__name__)

Make = Callable[[str, Mapping[str, Any]], "partial[Any]"]  # see ``experiments.jobs.components.Components``
QUIET = (
    "pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda",
    "lightning_fabric.utilities.distributed",
)  # fmt: skip
UNSUITABLE_HINTS = (
    ".*does not have many workers.*", ".*exists and is not empty.*", ".*LeafSpec.*", ".*sync_dist=True.*",
    ".*predict returned None.*", ".*val_check_interval.*", ".*treespec.*",
)  # fmt: skip


def make_trainer(
    experiment: Experiment,
    make: Make,
    logger: Logger | Literal[False],
    job: JobFolder,
    setup: TrainingSetup,
    label: str,
) -> tuple[pl.Trainer, KeepCheckpoints]:
    """Return the trainer of a job and its checkpoint callback, which knows the checkpoint to resume from.

    Raises:
        ExperimentError: Lightning or a callback refuses an argument.
    """
    callbacks, checkpoints = make_callbacks(experiment, make, job, setup, label)
    arguments = experiment.trainer.settings()
    if (limit := arguments.get("limit_val_batches")) is not None:
        log.warning("trainer.limit_val_batches=%s: dev passages beyond them keep score 0, so dev says little", limit)
    interval = interval_of(experiment, setup)
    if interval is None:
        arguments["limit_val_batches"] = 0
    arguments["precision"] = precision_of(experiment.trainer)
    if experiment.trainer.profile:
        arguments["profiler"] = StageProfiler(job.folder / FILE_OF_PROFILE)
    if arguments["strategy"] in ("auto", "ddp"):
        # encoders have parameters that no step uses, such as BERT's pooler
        several = experiment.trainer.devices > 1
        arguments["strategy"] = DDPStrategy(find_unused_parameters=True) if several else "auto"
    trainer: pl.Trainer = construct(
        "trainer",
        make("trainer", {"enable_model_summary": False, **arguments}),
        logger=logger,
        callbacks=[*rows_of(logger), *callbacks],
        max_steps=setup.steps,
        max_epochs=-1,
        val_check_interval=interval or setup.steps,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        plugins=[SafeIO(), *environment_of(experiment.trainer.devices)],
        default_root_dir=job.folder,
    )
    # Lightning's answer to SIGTERM is an exit with 0, and a broadcast in the middle of a step: see common/stopping.py.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer, checkpoints


def environment_of(devices: int) -> list[ClusterEnvironment]:
    """Return what Lightning has to know of the cluster around it; nothing where it finds out itself.

    Ranks of our own making are no tasks of a cluster. A job that submitit gave to SLURM must not be queued again a
    second time (see ``experiments.jobs.preemption``).
    """
    if devices > 1 and not started_outside():
        return [LightningEnvironment()]
    in_slurm = os.environ.get(ACTIVE) == "slurm" and SLURMEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if in_slurm else []


def make_callbacks(
    experiment: Experiment, make: Make, job: JobFolder, setup: TrainingSetup, label: str
) -> tuple[list[pl.Callback], KeepCheckpoints]:
    """Return the callbacks of a job, the checkpoint callback last since it saves the state of the others.

    The framework's own callbacks get every value that their constructors name; others get ``monitor`` and ``mode``.
    """
    monitor, files = f"dev/{experiment.measures[0]}", job.checkpoint_files
    own = {
        "monitor": monitor,
        "interval": interval_of(experiment, setup),
        "files": files,
        "resumed": files.usable(),
        "path": job.folder / FILE,
        "label": label,
    }
    callbacks: list[pl.Callback] = []
    for name, settings in experiment.callbacks.items():
        if settings is not None:
            made = make(f"callbacks.{name}", settings)
            given = left_out(made, own) if is_own(made) else monitor_of(made, monitor)
            callbacks.append(construct(f"callbacks.{name}", made, **given))
    checkpoints = [callback for callback in callbacks if isinstance(callback, KeepCheckpoints)]
    if len(checkpoints) != 1:
        raise ExperimentError("callbacks.checkpoint must be experiments.callbacks.checkpoints.KeepCheckpoints, once")
    others = [callback for callback in callbacks if callback is not checkpoints[0]]
    return [*others, checkpoints[0]], checkpoints[0]


def interval_of(experiment: Experiment, setup: TrainingSetup) -> int | None:
    """Return the steps from one validation to the next; None if there are no validations."""
    return setup.steps // experiment.validation.times if experiment.validation.times else None


def monitor_of(made: "partial[Any]", monitor: str) -> dict[str, str]:
    """Return ``monitor``, and ``mode`` max, for a callback that takes a monitor and has none in its settings."""
    given = left_out(made, {"monitor": monitor, "mode": "max"})
    return given if "monitor" in given else {}


def make_logger(
    settings: Mapping[str, Any] | None, make: Make, identity: RunIdentity, study: Path, folder: Path
) -> Logger | Literal[False]:
    """Return the logger of a job; False for none, and in all but the first process.

    ``study``: the folder that W&B keeps its records in. ``folder``: the job's, in which other loggers write.

    Raises:
        ExperimentError: the logger's package is not installed, or it refuses a setting.
    """
    if settings is None or getattr(rank_zero_only, "rank", 0) != 0:
        return False
    made = make("logger", settings)
    given = {"identity": identity, "folder": study} if is_own(made) else {"save_dir": folder}
    logger: Logger = construct("logger", made, **left_out(made, given))
    return logger


def tracking_of(logger: Logger | Literal[False]) -> WandbJob | NoTracking:
    """Return the tracking of tables, summaries and run files: W&B's, or none for any other logger."""
    tracking: WandbJob | NoTracking = getattr(logger, "tracking", NoTracking())
    return tracking


def rows_of(logger: Logger | Literal[False]) -> list[pl.Callback]:
    """Return the callback that keeps the rows of W&B's logger in the checkpoints; none for any other logger."""
    tracking = tracking_of(logger)
    return [LoggedRows(tracking)] if isinstance(tracking, WandbJob) else []


def is_own(made: "partial[Any]") -> bool:
    """Return whether a class is from this package or derived from one."""
    return any(base.__module__.startswith("experiments.") for base in getattr(made.func, "__mro__", ()))


def left_out(made: "partial[Any]", values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a class takes by name and that its settings leave out."""
    taken = inspect.signature(made.func).parameters
    return {name: value for name, value in values.items() if name in taken and name not in made.keywords}


def construct(key: str, made: "partial[Any]", **given: Any) -> Any:
    """Make an object from its class and settings; ``key``: where they are in the config.

    Raises:
        ExperimentError: the class refuses them.
    """
    try:
        return made(**given)
    except (TypeError, ValueError, MisconfigurationException, ModuleNotFoundError) as error:
        name = getattr(made.func, "__name__", made.func)
        raise ExperimentError(f"{key}: {name} cannot be made: {' '.join(str(error).split())}") from error


def select(experiment: Experiment, module: Ranker, checkpoints: KeepCheckpoints) -> dict[str, Any]:
    """Load the chosen weights into the module; returns its dev measure and step.

    Raises:
        ExperimentError: the file of the best weights is damaged.
    """
    measure, newest = experiment.measures[0], checkpoints.current
    assert newest is not None  # a training ends with a checkpoint
    if experiment.validation.select == "last":
        return {"selected": "last", **({f"best {measure}": newest.value} if newest.best is not None else {})}
    assert newest.best is not None  # validation.times is above 0
    module.load_state_dict(read_state(checkpoints.files.path_of(newest.best), only="state_dict")["state_dict"])
    return {"selected": "best", measure: newest.value, "step": newest.best.step}


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Drop hints that do not apply: batches are made from cached tokens, and checkpoints are overwritten on purpose."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for hint in UNSUITABLE_HINTS:
            warnings.filterwarnings("ignore", message=hint)
        yield
