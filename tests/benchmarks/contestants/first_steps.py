"""A callback of Lightning that notes when the first step of each job is done."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from benchmarks.contestants.job_ends import note


class FirstSteps(pl.Callback):
    """Append CPU and wall seconds to a file after a job's first step."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Note the times of this process after the first step."""
        if trainer.global_step == 1:
            note(self.path, "step")
