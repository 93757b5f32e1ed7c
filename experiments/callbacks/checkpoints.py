"""Checkpoints of a training: one at each validation, one now and then in between, one when the training is stopped.

Lightning's own ``ModelCheckpoint`` writes ``last.ckpt`` only with a new best and forgets the best when the folder has
moved. Here the state, the last and the best are kept apart from folders (``experiments.job_files.checkpoint_files``).
The place in the training that a checkpoint holds is worked out from its step alone, so that one may be written anywhere
between two optimiser steps and the training goes on to the same end.
"""

import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from experiments.common.cache import sync_folder
from experiments.common.checks import at_least
from experiments.job_files.checkpoint_files import CheckpointFolder, Generation, Saved
from experiments.models.ranker import Ranker

log = logging.getLogger(__name__)


class AtomicIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, and reads tensors, numbers and texts alone: nothing is unpickled."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write to a temporary file, see it onto the disk, and rename it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
        sync_folder(path.parent)


class KeepCheckpoints(pl.Callback):
    """Writes the checkpoints of a training and chooses the best one on dev; the last of a trainer's callbacks.

    ``monitor``: what Lightning calls the dev measure. ``interval``: steps between validations. ``resumed``: the
    generation that the training goes on from. ``minutes``: how much work may be lost to a kill; a checkpoint is also
    written at each validation and when the job is told to stop. ``current``: the newest generation.
    The first process of several writes, the others wait for it.
    """

    def __init__(
        self,
        files: CheckpointFolder,
        monitor: str,
        interval: int,
        resumed: Generation | None,
        minutes: float = 5.0,
    ) -> None:
        at_least("callbacks.checkpoint.minutes", minutes, 0)
        self.files, self.monitor, self.interval, self.minutes = files, monitor, interval, minutes
        self.current, self._serial = resumed, files.next_serial()
        self._between_steps = False  # whether the weights are those after a whole number of steps
        self._validated: int | None = None  # the step of the last validation
        self._saved_at = time.monotonic()

    @property
    def resumed_from(self) -> Path | None:
        """The file that the training goes on from, if there is one."""
        return self.files.folder / self.current.last.file if self.current is not None else None

    # --- when

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._between_steps, self._saved_at = True, time.monotonic()
        self._spent = replace(_ranker(pl_module).spent)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._spent = replace(_ranker(pl_module).spent)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self._between_steps = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._between_steps = True
        self._spent = replace(_ranker(pl_module).spent)
        due = time.monotonic() - self._saved_at >= 60 * self.minutes or trainer.received_sigterm
        if trainer.strategy.broadcast(due) if trainer.world_size > 1 else due:
            self._save(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        finish_place(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        value = float("-inf") if value != value else value
        self._validated = trainer.global_step
        best = self.current.value if self.current is not None else None
        self._save(trainer, value if best is None or value > best else None)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keep the steps that were done since the last checkpoint, unless the exception came amid an optimiser step. Of
        several processes one may fail alone: they keep what they have.
        """
        done = self.current.last.step if self.current is not None else 0
        if not self._between_steps or trainer.world_size > 1 or trainer.global_step <= done:
            return
        _ranker(pl_module).spent = self._spent  # without the step that came to nothing
        try:
            self._save(trainer)
        except Exception as error:  # the training stops for another reason, which is the one to be said
            log.warning("no checkpoint could be written (%s): the job goes on from step %s", error, done)

    # --- what

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        step = trainer.global_step
        pending = step % self.interval == 0 and self._validated != step
        checkpoint["loops"] = {"fit_loop": place(trainer, step, self.interval, pending)}
        checkpoint["stopped"] = trainer.should_stop  # by EarlyStopping, which does not look again after a resume

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        trainer.should_stop = bool(checkpoint["stopped"])

    def _save(self, trainer: pl.Trainer, value: float | None = None) -> None:
        """Write the state as the last; as the best too if ``value`` is given."""
        step = trainer.global_step
        name = f"{self._serial:06d}-step-{step}.ckpt"
        trainer.save_checkpoint(self.files.folder / name, weights_only=False)
        saved: Saved = trainer.strategy.broadcast(self.files.described(name, step) if trainer.is_global_zero else None)  # type: ignore[assignment]
        before, self._serial = self.current, self._serial + 1
        if value is not None:
            generation = Generation(saved, saved, value)
        else:
            generation = Generation(saved, before.best, before.value) if before is not None else Generation(saved)
        if trainer.is_global_zero:
            self.files.record(generation, before)
        self.current, self._saved_at = generation, time.monotonic()


def _ranker(module: pl.LightningModule) -> Ranker:
    assert isinstance(module, Ranker)
    return module


def place(trainer: pl.Trainer, step: int, interval: int, pending: bool) -> dict[str, Any]:
    """The state of Lightning's fit loop after ``step`` steps of the one endless epoch that all trainings have.

    ``interval``: steps between validations. ``pending``: a validation is due at this step and has not ended: it is the
    first thing to be done.
    """
    steps = {"ready": step, "completed": step}
    batches = {**steps, "started": step, "processed": step}
    # With its last step done Lightning would take the training to have ended: see `finish_place`
    taken = {"ready": step, "completed": step - 1 if pending and step == trainer.max_steps else step}
    at_validation = step % interval == 0
    nothing = {"ready": 0, "completed": 0, "started": 0, "processed": 0}
    begun = {"ready": 1, "completed": 0, "started": 1, "processed": 0}
    loop = "epoch_loop."
    return {
        **trainer.fit_loop.state_dict(),
        # Lightning counts one more where it goes on at a validation, done or not
        f"{loop}state_dict": {"_batches_that_stepped": step - 1 if at_validation else step},
        f"{loop}batch_progress": {"total": batches, "current": batches, "is_last_batch": False},
        f"{loop}scheduler_progress": {"total": steps, "current": steps},
        f"{loop}automatic_optimization.optim_progress": {
            "optimizer": {
                "step": {"total": taken, "current": taken},
                "zero_grad": {"total": {**steps, "started": step}, "current": {**steps, "started": step}},
            }
        },
        f"{loop}val_loop.batch_progress": {
            "total": begun if pending else nothing,
            "current": nothing,
            "is_last_batch": False,
        },
        "epoch_progress": {"total": begun, "current": begun},
    }


def finish_place(trainer: pl.Trainer) -> None:
    """Count the step that ``place`` held back so that the last validation of a training can be made up for."""
    loop = trainer.fit_loop.epoch_loop
    loop.automatic_optimization.optim_progress.optimizer.step.total.completed = loop.batch_progress.total.completed
