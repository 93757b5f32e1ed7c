"""Which parameters decay, and what any optimiser of torch is given."""

from typing import Any

import pytest
import torch
from torch import nn

from experiments.common.errors import ExperimentError
from experiments.config import Optimizer
from experiments.models.optimizer import make_optimizer


def settings(target: str = "torch.optim.AdamW", **added: Any) -> Optimizer:
    """The settings of an optimiser with arguments beside the declared ones, as OmegaConf sets them."""
    declared = {name: added.pop(name) for name in ("lr", "weight_decay", "clip") if name in added}
    made = Optimizer(_target_=target, **declared)
    vars(made).update(added)
    return made


def test_biases_and_norms_do_not_decay():
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    decayed, spared = make_optimizer(module, settings(weight_decay=0.3)).param_groups
    assert [p.shape for p in decayed["params"]] == [torch.Size([3, 2])]
    assert decayed["weight_decay"] == 0.3
    assert len(spared["params"]) == 3
    assert spared["weight_decay"] == 0.0


def test_any_optimiser_of_torch_gets_the_arguments_that_were_added():
    made = make_optimizer(nn.Linear(2, 3), settings("torch.optim.SGD", lr=0.5, momentum=0.9))
    assert isinstance(made, torch.optim.SGD)
    assert [group["momentum"] for group in made.param_groups] == [0.9, 0.9]
    assert made.param_groups[0]["lr"] == 0.5


def test_a_list_of_a_config_is_the_tuple_that_torch_expects():
    made = make_optimizer(nn.Linear(2, 3), settings(betas=[0.8, 0.99]))
    assert made.param_groups[0]["betas"] == (0.8, 0.99)


def test_decay_is_refused_where_the_optimiser_has_none():
    with pytest.raises(ExperimentError, match=r"weight_decay is 0\.1, but torch\.optim\.Rprop has none: set it to 0"):
        make_optimizer(nn.Linear(2, 3), settings("torch.optim.Rprop", weight_decay=0.1))
    made = make_optimizer(nn.Linear(2, 3), settings("torch.optim.Rprop", weight_decay=0.0))
    assert "weight_decay" not in made.param_groups[0]


def test_a_value_that_the_optimiser_refuses_is_one_line():
    with pytest.raises(ExperimentError, match=r"optimizer: torch\.optim\.SGD refuses its settings: Invalid momentum"):
        make_optimizer(nn.Linear(2, 3), settings("torch.optim.SGD", momentum=-1.0))


def test_the_clip_is_no_argument_of_the_optimiser():
    assert "clip" not in Optimizer(clip=2.0).arguments()
