"""The mean of the weights of the last steps is what is validated and kept."""

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from experiments.callbacks.average_last_steps import AverageLastSteps
from experiments.common.errors import ExperimentError


class Counter(pl.LightningModule):
    """One weight: the number of steps done."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def step(self) -> None:
        with torch.no_grad():
            self.weight += 1


def validated(share: float, steps: int) -> list[float]:
    """The weight that a validation sees after each step of a training whose weight is 1, 2, 3 ..."""
    callback, model = AverageLastSteps(share), Counter()
    trainer: Any = SimpleNamespace(max_steps=steps, global_step=0)
    callback.setup(trainer, model, "fit")
    found = []
    for trainer.global_step in range(1, steps + 1):
        model.step()
        callback.on_train_batch_end(trainer, model, None, None, 0)
        callback.on_validation_epoch_start(trainer, model)
        found.append(model.weight.item())
        callback.on_validation_epoch_end(trainer, model)
        assert model.weight.item() == trainer.global_step, "the training goes on from its own weights"
    callback.on_train_end(trainer, model)
    assert model.weight.item() == found[-1], "the average is kept"
    return found


def test_the_weights_themselves_and_then_the_mean_of_the_last_half():
    assert validated(0.5, 6) == [1.0, 2.0, 3.0, 4.0, 4.5, 5.0]


def test_a_small_share_is_one_step():
    assert validated(0.01, 4) == [1.0, 2.0, 3.0, 4.0]


def test_all_steps():
    assert validated(1.0, 3) == [1.0, 1.5, 2.0]


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_refuses_a_share_that_is_none(share: float):
    with pytest.raises(ExperimentError, match=f"callbacks.weight_averaging.share is {share}"):
        AverageLastSteps(share)
