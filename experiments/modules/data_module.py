"""The LightningDataModule: training groups from any step on, and the pairs of a run for scoring."""

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from experiments.data.groups import GroupBatch, RunPairs, ScoringBatch, StepStream, TrainingGroups
from experiments.data.pairs import PairEncoder
from experiments.retrieval.run import Run


class RerankingData(pl.LightningDataModule):
    """Hands a trainer its batches; which rank gets which follows from the trainer, so no sampler of Lightning's is
    needed.

    ``groups``: the training stream. ``encoder``: joins pairs. ``dev``: the first stage's run over the dev queries.
    ``score_tokens``: tokens of a scoring batch. ``workers``: loading processes; joining cached tokens is cheap, so none
    is the default.
    """

    def __init__(
        self, groups: TrainingGroups, encoder: PairEncoder, dev: Run, score_tokens: int, workers: int = 0
    ) -> None:
        super().__init__()
        self.groups, self.encoder, self.dev, self.score_tokens, self.workers = (
            groups,
            encoder,
            dev,
            score_tokens,
            workers,
        )

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def train_dataloader(self) -> DataLoader[GroupBatch]:
        """The steps from the trainer's on: after a resume the stream goes on where the checkpoint stopped."""
        start = self.trainer.global_step if self.trainer is not None else 0
        return self._loader(StepStream(self.groups, start, *self._place()))

    def val_dataloader(self) -> DataLoader[ScoringBatch]:
        """The dev pairs."""
        return self.run_loader(self.dev)

    def run_loader(self, run: Run, place: tuple[int, int] | None = None) -> DataLoader[ScoringBatch]:
        """The pairs of any run."""
        return self._loader(RunPairs(run, self.encoder, self.score_tokens, *(place or self._place())))

    def _loader(self, dataset: StepStream | RunPairs) -> DataLoader:  # type: ignore[type-arg]
        return DataLoader(dataset, batch_size=None, num_workers=self.workers, persistent_workers=self.workers > 0)
