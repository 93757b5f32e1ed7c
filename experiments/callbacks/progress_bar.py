"""Lightning's progress, shown as all other work's is: a live bar with an ETA in a terminal, a line now and then in a
log.
"""

from contextlib import AbstractContextManager
from typing import Any

import pytorch_lightning as pl

from experiments.common.progress import Advance, tracked
from experiments.models.ranker import Ranker


class ProgressBar(pl.Callback):
    """``label``: the job, such as ``[3/6] lce n=7``. ``groups``: groups of the whole training."""

    def __init__(self, label: str, groups: int) -> None:
        self.label, self.groups, self.scoring = label, groups, "scoring"
        self._bars: list[tuple[AbstractContextManager[Advance], Advance]] = []
        self._dev = ""

    def _open(self, trainer: pl.Trainer, what: str, total: int, done: int = 0) -> None:
        if trainer.is_global_zero:
            bar = tracked(f"{self.label} {what}", total, done)
            self._bars.append((bar, bar.__enter__()))

    def _advance(self, count: int, note: str = "") -> None:
        if self._bars:
            self._bars[-1][1](count, note)

    def _close(self) -> None:
        if self._bars:
            self._bars.pop()[0].__exit__(None, None, None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Ranker)
        self._open(trainer, "training", self.groups, pl_module.spent.groups)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._advance(batch.shape_QN[0] * trainer.world_size, self._dev)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        found = {
            name: value
            for name, value in trainer.callback_metrics.items()
            if name.startswith("dev/") and name != "dev/ties"
        }
        self._dev = ", ".join(f"{name} {float(value):.3f}" for name, value in found.items())
        self._advance(0, self._dev)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loader = trainer.predict_dataloaders
        assert loader is not None
        self._open(trainer, self.scoring, loader.dataset.total)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._advance(len(batch) * trainer.world_size)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        while self._bars:
            self._close()


def announce_scoring(trainer: pl.Trainer, scoring: str) -> None:
    """Name what the trainer scores next, such as ``re-ranking bm25``, on its progress bar if it has one."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ProgressBar):
            callback.scoring = scoring
