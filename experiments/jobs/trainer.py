"""Lightning's trainer, the record of its course, and the choice of weights on dev."""

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor

from experiments.callbacks.checkpoints import AtomicIO, KeepCheckpoints
from experiments.callbacks.progress_bar import ProgressBar
from experiments.config import Experiment
from experiments.job_files.history import COUNTS, FILE, write_history
from experiments.job_files.job_folder import JobFolder
from experiments.jobs.build import uses_gpu
from experiments.losses import diagnostics
from experiments.models.ranker import Ranker
from experiments.tracking.wandb_job import NoTracking, WandbJob

HISTORY_COLUMNS = (*COUNTS, "seconds", "lr", "loss", *diagnostics.NAMES, "dev")
HISTORY_SECONDS = 5.0  # the whole file is written anew, so rows that come faster wait for one another


def make_trainer(
    experiment: Experiment,
    module: Ranker,
    tracking: WandbJob | NoTracking,
    job: JobFolder,
    progress: ProgressBar,
    steps: int,
) -> tuple[pl.Trainer, KeepCheckpoints]:
    """The trainer of a job, and the keeper of its checkpoints, which knows the one to go on from."""
    wanted, monitor, interval = (
        experiment.trainer,
        f"dev/{experiment.measures[0]}",
        steps // experiment.validation.times,
    )
    files = job.checkpoint_files
    checkpoints = KeepCheckpoints(files, monitor, interval, wanted.checkpoint_minutes, files.usable())
    callbacks: list[pl.Callback] = [progress, KeepHistory(job.folder / FILE, wanted.log_every, monitor)]
    if experiment.validation.patience is not None:
        callbacks.append(EarlyStopping(monitor, mode="max", patience=experiment.validation.patience))
    callbacks.append(checkpoints)  # the last: it keeps what the others know
    precision = (
        wanted.precision
        if wanted.precision != "auto"
        else ("bf16-mixed" if uses_gpu(wanted.accelerator) else "32-true")
    )
    with warnings.catch_warnings():
        silence_lightning()
        trainer = pl.Trainer(
            accelerator=wanted.accelerator,
            devices=wanted.devices,
            strategy=wanted.strategy,
            precision=precision,  # type: ignore[arg-type]
            deterministic=wanted.deterministic,
            logger=tracking.logger,
            callbacks=callbacks,
            max_steps=steps,
            max_epochs=-1,
            val_check_interval=interval,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            log_every_n_steps=wanted.log_every,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            plugins=[AtomicIO()],
            default_root_dir=job.folder,
        )
    return trainer, checkpoints


class KeepHistory(pl.Callback):
    """Keeps the course of a training in a file (``experiments.job_files.history``): a row every so many steps, and one
    at each validation.

    ``path``: the file. ``every``: steps. ``monitor``: what Lightning calls the dev measure. The rows, and what was
    summed up since the last one, are part of the checkpoint, and so neither doubled nor lost when a training is taken
    up again. Of several processes the first one's groups are recorded.
    """

    def __init__(self, path: Path, every: int, monitor: str) -> None:
        self.path, self.every, self.monitor = path, every, monitor
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}  # of what was observed since the last row; on the device, to not wait for it
        self._steps = 0
        self._rate = math.nan
        self._written = 0.0

    def state_dict(self) -> dict[str, Any]:
        sums = {name: total.cpu() for name, total in self._sums.items()}
        return {"rows": self.rows, "sums": sums, "steps": self._steps, "rate": self._rate}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self._sums = list(state_dict["rows"]), dict(state_dict["sums"])
        self._steps, self._rate = int(state_dict["steps"]), float(state_dict["rate"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer)  # what another attempt left after its last checkpoint is done again

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Ranker)
        for name in ("loss", *diagnostics.NAMES):
            value = torch.as_tensor(pl_module.observed[name])
            self._sums[name] = self._sums[name].to(value.device) + value if self._steps else value
        self._steps += 1
        self._rate = float(pl_module.observed["lr"])
        if trainer.global_step % self.every == 0:
            self._add_row(trainer, pl_module)
            if time.monotonic() - self._written > HISTORY_SECONDS:
                self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Ranker)
        if self._steps:
            self._add_row(trainer, pl_module)
        self.rows[-1]["dev"] = float(trainer.callback_metrics[self.monitor])
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.rows:
            self._write(trainer)

    def _add_row(self, trainer: pl.Trainer, module: Ranker) -> None:
        spent, sums = module.spent, torch.stack(list(self._sums.values())).tolist()
        self.rows.append(
            {
                "step": trainer.global_step,
                "groups": spent.groups,
                "pairs": spent.pairs,
                "tokens": spent.tokens,
                "seconds": spent.seconds,
                "lr": self._rate,
                **{name: total / self._steps for name, total in zip(self._sums, sums, strict=True)},
            }
        )
        self._steps = 0

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            write_history(self.path, HISTORY_COLUMNS, self.rows)
            self._written = time.monotonic()


def select(experiment: Experiment, module: Ranker, checkpoints: KeepCheckpoints) -> dict[str, Any]:
    """Put the chosen weights into the module; returns what dev said of them.

    Raises:
        ExperimentError: the file of the best weights is damaged.
    """
    measure, found = experiment.measures[0], checkpoints.current
    assert found is not None  # a training ends with a validation
    assert found.best is not None
    if experiment.validation.select == "last":
        return {"selected": "last", f"best {measure}": found.value}
    state = torch.load(checkpoints.files.path_of(found.best), map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    return {"selected": "best", measure: found.value, "step": found.best.step}


def silence_lightning() -> None:
    """Hints that do not apply here: batches are made from cached tokens in the main process, and checkpoints are
    overwritten on purpose.
    """
    for said in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*sync_dist=True.*",
        ".*predict returned None.*",
        ".*val_check_interval.*",
        ".*treespec.*",
    ):
        warnings.filterwarnings("ignore", message=said)
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
