"""Learning-rate schedules as pure functions of the step, and the optimiser that the recipes share."""

import math

import torch
from torch import nn

from experiments.config import Optimizer


def warmup_steps(warmup: float, steps: int) -> int:
    """``warmup`` below 1 is a share of all steps, rounded; 1 or more is a number of steps."""
    return round(warmup * steps) if warmup < 1 else math.floor(warmup)


def factor(schedule: str, step: int, steps: int, warmup: int, decay: float = 1.0) -> float:
    """What the peak learning rate is multiplied with at a step (0 is the first of ``steps``).

    It rises linearly over ``warmup`` steps. After that: ``linear`` falls to 0 at the end (Nogueira 2019, Gao 2021),
    ``constant`` stays, and ``inverse_time`` is 1 / (1 + decay * (step - warmup) / steps) (Pradeep 2022: 3,000 of 30,000
    steps of warm-up, about 0.53 at the end with decay 1).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "linear":
        return max(0.0, (steps - step) / max(1, steps - warmup))
    if schedule == "inverse_time":
        return 1.0 / (1.0 + decay * (step - warmup) / steps)
    return 1.0


def make_optimizer(module: nn.Module, config: Optimizer, *, fused: bool = True) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, without decay on biases and normalisation weights (all of one dimension).

    ``fused``: one kernel for all parameters. It unscales fp16 gradients itself, after they were clipped: not for those.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=(config.betas[0], config.betas[1]), eps=config.eps, fused=fused
    )
