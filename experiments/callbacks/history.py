"""Record the training curve in the job's folder, whatever the logger."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from experiments.job_files.history import DIAGNOSTICS, write_history
from experiments.models.ranker import Ranker

HISTORY_SECONDS = 5.0  # the whole file is written each time, so frequent rows wait


class HistoryCallback(Callback):
    """Write the training curve (``experiments.job_files.history``): a row every ``trainer.log_every_n_steps`` steps,
    and one at each validation.

    ``path``: the file. ``monitor``: Lightning's name of the dev measure. Rows and current sums are part of the
    checkpoint, so a resumed training neither doubles nor loses them. The rows are of all ranks; the first one writes.
    """

    def __init__(self, path: Path, monitor: str) -> None:
        self.path, self.monitor = path, monitor
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}  # since the last row; on the device, to not wait for it
        self._steps = 0
        self._rate = math.nan
        self._written = 0.0

    def state_dict(self) -> dict[str, Any]:
        sums = {name: total.cpu() for name, total in self._sums.items()}
        return {"rows": self.rows, "sums": sums, "steps": self._steps, "rate": self._rate}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self._sums = list(state_dict["rows"]), dict(state_dict["sums"])
        self._steps, self._rate = int(state_dict["steps"]), float(state_dict["rate"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)  # drops rows that an interrupted attempt wrote after its last checkpoint

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Ranker)
        for name in ("loss", *DIAGNOSTICS):
            value = torch.as_tensor(pl_module.observed[name])
            self._sums[name] = self._sums[name].to(value.device) + value if self._steps else value
        self._steps += 1
        self._rate = float(pl_module.observed["lr"])
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.global_step % every == 0:
            self._add_row(trainer, pl_module)
            if time.monotonic() - self._written > HISTORY_SECONDS:
                self._write(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Ranker)
        if self._steps:
            self._add_row(trainer, pl_module)
        self.rows[-1]["dev"] = float(trainer.callback_metrics[self.monitor])
        self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self.rows:
            self._write(trainer)

    def _add_row(self, trainer: Trainer, module: Ranker) -> None:
        spent, sums = module.total_spent(), torch.stack(list(self._sums.values())).tolist()
        totals = {name: getattr(spent, name) for name in ("groups", "pairs", "tokens", "seconds")}
        means = {name: total / self._steps for name, total in zip(self._sums, sums, strict=True)}
        self.rows.append({"step": trainer.global_step, **totals, "lr": self._rate, **means})
        self._steps = 0

    def _write(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            write_history(self.path, self.rows)
            self._written = time.monotonic()
