"""Serve training groups from any step on, and the batches for scoring a run, as a LightningDataModule."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from experiments.data.batches.groups import StepStream, TrainingGroups
from experiments.data.run import Run


class RankingData(pl.LightningDataModule):
    """Hand a trainer its batches. The trainer's rank selects them, so Lightning needs no distributed sampler.

    ``groups``: the training stream. ``scoring``: called with a run, ``rank`` and ``ranks``, returns the batches to
    score. ``dev``: the first stage's run over the dev queries. ``workers``: loading processes; 0 suffices for cached
    tokens.
    """

    def __init__(
        self, groups: TrainingGroups, scoring: Callable[..., Dataset[Any]], dev: Run, workers: int = 0
    ) -> None:
        super().__init__()
        self.groups, self.scoring, self.dev, self.workers = groups, scoring, dev, workers

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def train_dataloader(self) -> DataLoader[Any]:
        """Yield the steps from the trainer's on, so that a resumed training continues at the checkpoint's step."""
        start = self.trainer.global_step if self.trainer is not None else 0
        return self._loader(StepStream(self.groups, start, *self._place()))

    def val_dataloader(self) -> DataLoader[Any]:
        return self.run_loader(self.dev)

    def run_loader(self, run: Run, place: tuple[int, int] | None = None) -> DataLoader[Any]:
        rank, ranks = place or self._place()
        return self._loader(self.scoring(run, rank=rank, ranks=ranks))

    def _loader(self, dataset: Dataset[Any]) -> DataLoader[Any]:
        return DataLoader(dataset, batch_size=None, num_workers=self.workers, persistent_workers=self.workers > 0)
