"""Settings of Lightning's Trainer and of speed.

Only the trainer's arguments outside ``INCIDENTAL_TRAINER_ARGUMENTS`` are part of a job's identity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError, shown
from experiments.config.keys import check_moved
from experiments.config.part import OpenPart

INT8 = "int8-dynamic"  # a precision of re-ranking
# Trainer arguments that do not change results. Every other one, such as precision, is part of the job's identity.
INCIDENTAL_TRAINER_ARGUMENTS = (
    "_target_", "accelerator", "devices", "num_nodes", "strategy", "deterministic", "benchmark", "log_every_n_steps",
    "profiler", "profile", "detect_anomaly", "enable_model_summary", "inference_mode",
    "reload_dataloaders_every_n_epochs", "enable_autolog_hparams",
)  # fmt: skip
# Callbacks that record a training and do not change it.
INCIDENTAL_CALLBACKS = ("checkpoint", "history", "progress")

# Arguments of Lightning's Trainer that this framework sets itself -> the key to use instead.
SET_BY = {
    "max_steps": "budget.size",
    "min_steps": "budget.size",
    "max_epochs": "budget.size",
    "min_epochs": "budget.size",
    "max_time": "budget.size",
    "limit_train_batches": "budget.size",
    "accumulate_grad_batches": "batch.size",
    "overfit_batches": "data.queries.train",
    "limit_test_batches": "data.queries.test",
    "limit_predict_batches": "data.queries.test",
    "fast_dev_run": "+debug=one_step",
    "barebones": "+debug=one_step",
    "val_check_interval": "validation.times",
    "check_val_every_n_epoch": "validation.times",
    "num_sanity_val_steps": "validation.times",
    "gradient_clip_val": "optimizer.clip",
    "gradient_clip_algorithm": "optimizer.clip",
    "logger": "logger",
    "callbacks": "callbacks",
    "enable_checkpointing": "callbacks.checkpoint",
    "enable_progress_bar": "callbacks.progress",
    "default_root_dir": "outputs",
    "use_distributed_sampler": "trainer.devices",
    "plugins": "trainer.precision or trainer.strategy",
}


@dataclass
class TokensPerBatch:
    """Tokens of one forward pass; null for the value that measured fastest on the kind of device."""

    train: int | None = None
    """In training, at least 16; a step is split into as many passes as it needs."""
    score: int | None = None
    """When candidates are re-ranked and texts are encoded, at least 16."""

    def __post_init__(self) -> None:
        at_least("compute.tokens_per_batch.train", self.train, 16)
        at_least("compute.tokens_per_batch.score", self.score, 16)


@dataclass
class Compute:
    """The framework's own settings of speed; no part of a job's identity."""

    threads: int | None = None
    """Threads of torch on a CPU; null for torch's default."""
    workers: int = 0
    """Processes that prepare batches; 0 prepares them in the main process, which is fast enough for cached tokens."""
    layout: str = "auto"
    """Forward passes without padding (``packed``) or with it (``padded``); ``auto`` packs where the architecture allows
    it, on a CPU and in 16 bits on a GPU with flash attention, but for the training of a ColBERT, which is padded unless
    this is ``packed``. ``compiled`` packs and compiles the layers on such a GPU, which takes a minute at the start and
    makes every step shorter."""
    tokens_per_batch: TokensPerBatch = field(default_factory=TokensPerBatch)
    """Tokens of one forward pass, in training and in scoring."""

    def __post_init__(self) -> None:
        at_least("compute.threads", self.threads, 1)
        at_least("compute.workers", self.workers, 0)
        one_of("compute.layout", self.layout, ("auto", "packed", "compiled", "padded"))


@dataclass(eq=False, repr=False)
class Trainer(OpenPart):
    """Arguments of Lightning's Trainer. Any other one can be added, such as ``+trainer.profiler=simple``, unless the
    framework sets it itself."""

    _target_: str = "pytorch_lightning.Trainer"
    """The class: Lightning's, or a subclass of it."""
    accelerator: str = "auto"
    """Kind of device: ``auto`` (the GPU if there is one, else the CPU), ``cpu``, ``gpu`` or another of Lightning's."""
    devices: int = 1
    """Number of devices of one training; of several, each has a process of its own and a part of every step."""
    strategy: Any = "auto"
    """How several devices share a training: ``auto``, ``ddp``, or one of Lightning's by ``_target_``."""
    precision: str = "auto"
    """``32-true``, ``bf16-mixed``, ``16-mixed``, or ``auto``: bf16-mixed on a GPU, else 32-true. ``int8-dynamic``
    trains in 32-true on a CPU and re-ranks the test queries in 8-bit integers. Part of the identity of a job."""
    deterministic: bool = True
    """Compute the same numbers on every run, at some cost of speed on a GPU."""
    log_every_n_steps: int = 4
    """Steps from one row of the training curve, and of the logger, to the next."""
    profile: bool = False
    """Leave ``profile.tsv`` in the job's folder: the seconds of each stage, from assembling batches to scoring."""

    def __post_init__(self) -> None:
        if self.precision in ("bf16-true", "16-true"):
            raise ExperimentError(
                f"trainer.precision={self.precision} would keep the weights in half precision, where most steps of "
                f"AdamW are rounded away: set trainer.precision={self.precision.replace('true', 'mixed')}"
            )
        one_of("trainer.precision", self.precision, ("auto", "32-true", "bf16-mixed", "16-mixed", INT8))
        at_least("trainer.devices", self.devices, 1)
        at_least("trainer.log_every_n_steps", self.log_every_n_steps, 1)

    def settings(self) -> dict[str, Any]:
        """Return ``_target_`` and every argument of it, which ``profile`` is not."""
        return {name: value for name, value in super().settings().items() if name != "profile"}

    def check(self) -> None:
        """Refuse arguments that have moved or that the framework sets itself, and processes that end with a stage."""
        by_class = isinstance(self.strategy, Mapping) and self.strategy.get("_target_")
        if not by_class and not (isinstance(self.strategy, str) and self.strategy.strip()):
            raise ExperimentError(
                f"trainer.strategy is {shown(self.strategy)}: it must be auto, ddp, another name of Lightning's, "
                f"or its class by trainer.strategy._target_"
            )
        named = self.strategy if isinstance(self.strategy, str) else str(self.strategy.get("start_method", ""))
        if any(way in named for way in ("spawn", "fork", "notebook")):
            raise ExperimentError(
                f"trainer.strategy={named} starts processes that end with the training, before the model is chosen and "
                f"measured: set trainer.strategy=ddp"
            )
        for name in self.added():
            check_moved(f"trainer.{name}")
            if name in SET_BY:
                raise ExperimentError(f"trainer.{name} is set by the framework: use {SET_BY[name]} instead")


def check_callbacks(callbacks: Mapping[str, Any]) -> None:
    """Raise ExperimentError for a callback without a class, a missing checkpoint callback, or averaging by epochs."""
    for name, settings in callbacks.items():
        if settings is None and name != "checkpoint":
            continue
        target = settings.get("_target_") if isinstance(settings, Mapping) else None
        if not target:
            added = f": add +callbacks.{name}._target_=... or set callbacks=early_stopping"
            raise ExperimentError(f"callbacks.{name} has no _target_, the class of the callback{added}")
        if str(target).endswith(".StochasticWeightAveraging"):
            raise ExperimentError(
                f"callbacks.{name}: StochasticWeightAveraging averages from epoch to epoch, and a training here is one "
                f"epoch of budget.size: choose callbacks=average_last_steps (or weight_averaging, a running average)"
            )
    if "checkpoint" not in callbacks:
        raise ExperimentError("callbacks.checkpoint is missing: it keeps the weights that dev chooses")


def check_logger(logger: Any) -> None:
    """Raise ExperimentError for a logger without ``_target_``, or with a ``mode`` that W&B does not have."""
    if logger is None:
        return
    if not isinstance(logger, Mapping) or "_target_" not in logger:
        raise ExperimentError("logger has no _target_, the class of the logger: choose a file of conf/logger")
    one_of("logger.mode", logger.get("mode", "auto"), ("auto", "online", "offline", "disabled"))
