"""Write checkpoints of a training: at each validation, at a time interval, and when the training is stopped.

Lightning's ``ModelCheckpoint`` keeps the last state only with a new best and loses the best when the folder moves. Here
state, last and best do not depend on the folder (``experiments.job_files.checkpoint_files``). The position in the
training follows from the step alone, so a checkpoint between any two optimiser steps resumes to the same end.
"""

import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from experiments.callbacks.checkpoint_format import SUFFIX, read_state, write_state
from experiments.common import stopping
from experiments.common.checks import at_least
from experiments.job_files.checkpoint_files import CheckpointFolder, Generation, Saved
from experiments.models.ranker import Ranker

log = logging.getLogger(__name__)


class SafeIO(CheckpointIO):
    """Read and write checkpoints without pickles: ``experiments.callbacks.checkpoint_format``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        write_state(Path(path), checkpoint)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_state(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class KeepCheckpoints(Callback):
    """Write the checkpoints of a training and choose the best on dev; must be a trainer's last callback.

    ``monitor``: Lightning's name of the dev measure. ``interval``: steps between validations, None for no validation;
    the last step is kept then. ``resumed``: the
    generation to resume from. ``minutes``: longest work lost to a kill; a checkpoint is also written at each validation
    and on a stop signal. ``current``: the newest generation. The first process writes, the others wait.
    """

    def __init__(
        self,
        files: CheckpointFolder,
        monitor: str,
        interval: int | None,
        resumed: Generation | None,
        minutes: float = 5.0,
    ) -> None:
        at_least("callbacks.checkpoint.minutes", minutes, 0)
        self.files, self.monitor, self.interval, self.minutes = files, monitor, interval, minutes
        self.current, self._serial = resumed, files.next_serial()
        self._between_steps = False  # whether no optimiser step is under way
        self._validated: int | None = None  # step of the last validation
        self._saved_at = time.monotonic()

    @property
    def resumed_from(self) -> Path | None:
        """The checkpoint file to resume from, if any."""
        return self.files.folder / self.current.last.file if self.current is not None else None

    # --- when to save

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._between_steps, self._saved_at = True, time.monotonic()
        self._spent = replace(_ranker(pl_module).spent)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._spent = replace(_ranker(pl_module).spent)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._between_steps = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._between_steps = True
        self._spent = replace(_ranker(pl_module).spent)
        told = stopping.received() is not None
        due = told or time.monotonic() - self._saved_at >= 60 * self.minutes
        due = due or (self.interval is None and trainer.global_step == trainer.max_steps)
        if trainer.world_size > 1:  # the first process decides for all
            due, told = trainer.strategy.broadcast((due, told))
        if due:
            self._save(trainer)
        if told:
            stopping.end()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Count the step that `fit_loop_state` held back for the last validation of a training.
        loop = trainer.fit_loop.epoch_loop
        loop.automatic_optimization.optim_progress.optimizer.step.total.completed = loop.batch_progress.total.completed

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.world_size == 1:  # the validation is made up for
            stopping.check()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics[self.monitor])
        value = -math.inf if math.isnan(value) else value
        self._validated = trainer.global_step
        best = self.current.value if self.current is not None else None
        self._save(trainer, value if best is None or value > best else None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keep the steps since the last checkpoint, unless the exception interrupted an optimiser step, or one process
        of several may have failed alone.
        """
        done = self.current.last.step if self.current is not None else 0
        if not self._between_steps or trainer.world_size > 1 or trainer.global_step <= done:
            return
        _ranker(pl_module).spent = self._spent  # without the failed step
        try:
            self._save(trainer)
        except Exception as error:  # the original exception is the one to report
            log.warning("no checkpoint could be written (%s): the job resumes from step %s", error, done)

    # --- the contents

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        step = trainer.global_step
        pending = self.interval is not None and step % self.interval == 0 and self._validated != step
        checkpoint["loops"] = {"fit_loop": fit_loop_state(trainer, step, self.interval, pending)}
        checkpoint["stopped"] = trainer.should_stop  # by EarlyStopping, which does not check again after a resume

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        trainer.should_stop = bool(checkpoint["stopped"])

    def _save(self, trainer: Trainer, value: float | None = None) -> None:
        """Write the state as the last; as the best too if ``value`` is given."""
        with stopping.shielded():
            self._save_whole(trainer, value)

    def _save_whole(self, trainer: Trainer, value: float | None) -> None:
        step = trainer.global_step
        name = f"{self._serial:06d}-step-{step}{SUFFIX}"
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


def _ranker(module: LightningModule) -> Ranker:
    assert isinstance(module, Ranker)
    return module


def fit_loop_state(trainer: Trainer, step: int, interval: int | None, pending: bool) -> dict[str, Any]:
    """Return the state of Lightning's fit loop after ``step`` steps of one endless epoch.

    ``interval``: steps between validations, None for none. ``pending``: a validation is due at this step and runs
    first after a resume.
    """
    steps = {"ready": step, "completed": step}
    batches = {**steps, "started": step, "processed": step}
    # Lightning would end the training if its last step counted as done: see `on_validation_start`
    counted = {"ready": step, "completed": step - 1 if pending and step == trainer.max_steps else step}
    nothing = {"ready": 0, "completed": 0, "started": 0, "processed": 0}
    begun = {"ready": 1, "completed": 0, "started": 1, "processed": 0}
    val_total, loop = begun if pending else nothing, "epoch_loop."
    return {
        **trainer.fit_loop.state_dict(),
        # Lightning counts one more when it resumes at a validation, done or not
        f"{loop}state_dict": {"_batches_that_stepped": step - 1 if interval and step % interval == 0 else step},
        f"{loop}batch_progress": {"total": batches, "current": batches, "is_last_batch": False},
        f"{loop}scheduler_progress": {"total": steps, "current": steps},
        f"{loop}automatic_optimization.optim_progress": {
            "optimizer": {
                "step": {"total": counted, "current": counted},
                "zero_grad": {"total": {**steps, "started": step}, "current": {**steps, "started": step}},
            }
        },
        f"{loop}val_loop.batch_progress": {"total": val_total, "current": nothing, "is_last_batch": False},
        "epoch_progress": {"total": begun, "current": begun},
    }
