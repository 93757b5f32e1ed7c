"""Show Lightning's progress: a live bar with an ETA in a terminal, occasional lines in a log, a table row in a
multirun.
"""

from contextlib import AbstractContextManager
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from experiments.common.progress import Advance, tracked
from experiments.evaluation.measure_names import mean_name


class ProgressBar(Callback):
    """``label``: the job, such as ``lce-n7-bm25-s1``."""

    def __init__(self, label: str) -> None:
        self.label, self.scoring, self._step = label, "scoring", 0
        self._bars: list[tuple[AbstractContextManager[Advance], Advance]] = []
        self._dev = ""

    def _open(self, trainer: Trainer, activity: str, total: int, done: int = 0) -> None:
        if trainer.is_global_zero:
            bar = tracked(activity, total, done, self.label)
            self._bars.append((bar, bar.__enter__()))

    def _advance(self, count: int, note: str = "") -> None:
        if self._bars:
            self._bars[-1][1](count, note)

    def _close(self) -> None:
        if self._bars:
            self._bars.pop()[0].__exit__(None, None, None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        self._open(trainer, "training", trainer.max_steps, self._step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._advance(trainer.global_step - self._step, self._dev)
        self._step = trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("dev/")}
        metrics.pop("dev/ties", None)
        texts = [f"dev {mean_name(name.removeprefix('dev/'))} {value:.3f}" for name, value in metrics.items()]
        self._dev = ", ".join(texts)
        self._advance(0, self._dev)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loader = trainer.predict_dataloaders
        assert loader is not None
        self._open(trainer, self.scoring, loader.dataset.total)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._advance(len(batch) * trainer.world_size)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        while self._bars:
            self._close()


def announce_scoring(trainer: Trainer, scoring: str) -> None:
    """Set the text of the progress bar for the next scoring, such as ``re-ranking bm25``."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ProgressBar):
            callback.scoring = scoring
