"""Keep the rows that W&B took in a training's checkpoint, so that the job's run gets each row once.

A resumed training repeats the steps after its checkpoint; W&B may have lost rows before it, where its service was
killed. See ``experiments.tracking.earlier_rows``.
"""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from experiments.tracking.wandb_job import WandbJob

STATE = "logged_rows"


class LoggedRows(Callback):
    """``tracking``: the job's W&B run, open during the training."""

    def __init__(self, tracking: WandbJob) -> None:
        self.tracking = tracking
        self._restored: list[tuple[int, dict[str, float]]] = []

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        rows = [*self.tracking.rows, *self._due(trainer)]
        checkpoint[STATE] = [{"step": step, "values": values} for step, values in rows]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._restored = [(int(row["step"]), dict(row["values"])) for row in checkpoint.get(STATE, ())]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.tracking.take_up(self._restored)

    def _due(self, trainer: Trainer) -> list[tuple[int, dict[str, float]]]:
        """Return the row of the step just done, if Lightning logs it only after the checkpoint."""
        connector, step = trainer._logger_connector, trainer.global_step - 1  # Lightning counts the rows' steps from 0
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        logged = any(last == step for last, _ in self.tracking.rows[-2:])
        if trainer._results is None or (step + 1) % every or logged:
            return []
        values = {name: float(value) for name, value in connector.metrics["log"].items()}
        return [(step, {**values, "epoch": trainer.current_epoch})] if values else []
