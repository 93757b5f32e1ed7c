"""Learning-rate schedules at the points that the papers name."""

import pytest
import torch
from torch import nn

from experiments.config import Optimizer
from experiments.models.optimizer import factor, make_optimizer, warmup_steps


def test_warm_up_is_a_share_or_a_number():
    assert warmup_steps(0.1, 1000) == 100
    assert warmup_steps(3000, 30_000) == 3000
    assert warmup_steps(0, 1000) == 0


def test_warm_up_rises_linearly_from_the_first_step():
    assert [factor("linear", step, 100, 4) for step in range(5)] == [
        pytest.approx(x) for x in (0.2, 0.4, 0.6, 0.8, 1.0)
    ]


def test_linear_falls_to_zero_at_the_end():
    assert factor("linear", 55, 100, 10) == pytest.approx(0.5)
    assert factor("linear", 100, 100, 10) == 0.0


def test_inverse_time_of_pradeep_ends_at_about_053():
    assert factor("inverse_time", 3000, 30_000, 3000) == 1.0
    assert factor("inverse_time", 30_000, 30_000, 3000) == pytest.approx(0.526, abs=5e-4)


def test_constant_stays():
    assert factor("constant", 99, 100, 10) == 1.0


def test_biases_and_norms_do_not_decay():
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    decayed, spared = make_optimizer(module, Optimizer(weight_decay=0.3)).param_groups
    assert [p.shape for p in decayed["params"]] == [torch.Size([3, 2])]
    assert decayed["weight_decay"] == 0.3
    assert len(spared["params"]) == 3
    assert spared["weight_decay"] == 0.0
