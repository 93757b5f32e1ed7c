"""Average the weights of the last steps of a training (stochastic weight averaging)."""

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from experiments.common.errors import ExperimentError


class AverageLastSteps(WeightAveraging):
    """Validate and keep the mean of the weights after each of the last steps; before them, the weights themselves.

    ``share``: of all steps, above 0 and at most 1. Izmailov et al. 2018 (arXiv 1803.05407). Lightning's
    ``StochasticWeightAveraging`` averages from epoch to epoch, and a training here is one epoch.

    Raises:
        ExperimentError: the share is out of range.
    """

    def __init__(self, share: float = 0.25) -> None:
        if not 0 < share <= 1:
            raise ExperimentError(f"callbacks.weight_averaging.share is {share}: it must be above 0 and at most 1")
        self.share = share
        self._before = 0  # steps before the averaged ones
        super().__init__(multi_avg_fn=self._average)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._before = trainer.max_steps - max(1, round(self.share * trainer.max_steps))
        super().setup(trainer, pl_module, stage)

    def _average(self, means: list[Tensor], weights: list[Tensor], steps: Tensor | int) -> None:
        """Move the means to include the weights after ``steps`` earlier steps."""
        averaged = max(0, int(steps) - self._before)
        if means[0].is_floating_point():
            torch._foreach_lerp_(means, weights, 1 / (averaged + 1))
        else:
            torch._foreach_copy_(means, weights)
