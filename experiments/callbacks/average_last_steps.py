"""Average the weights of the last steps of a training (stochastic weight averaging)."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging

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
        super().__init__()

    @property
    def begun(self) -> bool:
        """Whether there is an average yet."""
        return self._average_model is not None and int(self._average_model.n_averaged) > 0

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and step_idx >= self._before

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._before = trainer.max_steps - max(1, round(self.share * trainer.max_steps))
        super().setup(trainer, pl_module, stage)

    # Until the average begins, Lightning's callback would put the first weights in the place of the current ones.

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.begun:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.begun:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.begun:
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.begun:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
