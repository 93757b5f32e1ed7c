"""The optimiser and the learning-rate schedule of a training, from their settings."""

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from experiments.common.errors import ExperimentError
from experiments.config import Optimizer


def make_optimizer(module: nn.Module, settings: Optimizer, *, fused: bool = True) -> torch.optim.Optimizer:
    """Return an optimiser over the trainable parameters, without decay on biases and normalisation weights (all
    parameters of one dimension).

    ``fused``: one kernel for all parameters, where the optimiser has one. It unscales fp16 gradients itself, after they
    were clipped: not for those.

    Raises:
        ExperimentError: the optimiser refuses a setting.
    """
    made = resolve_name(settings._target_)
    taken = inspect.signature(made).parameters
    arguments = {name: _tuple(value) for name, value in settings.arguments().items()}
    decay = arguments.pop("weight_decay")
    if decay and "weight_decay" not in taken:
        raise ExperimentError(f"optimizer.weight_decay is {decay}, but {settings._target_} has none: set it to 0")
    if "fused" in taken:
        arguments.setdefault("fused", fused)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decays = ("weight_decay" in taken) * ["weight_decay"]
    groups = [
        {"params": [weight for weight in parameters if weight.ndim >= 2], **dict.fromkeys(decays, decay)},
        {"params": [weight for weight in parameters if weight.ndim < 2], **dict.fromkeys(decays, 0.0)},
    ]
    try:
        optimizer: torch.optim.Optimizer = made(groups, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ExperimentError(f"optimizer: {settings._target_} refuses its settings: {error}") from error
    return optimizer


def _tuple(value: Any) -> Any:
    """Return a list of a config as the tuple that torch expects, such as AdamW's ``betas``."""
    return tuple(value) if isinstance(value, list) else value


def make_schedule(settings: Mapping[str, Any], steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate by step, of ``steps`` in all; see ``experiments.models.schedules``."""
    factor = resolve_name(settings["_target_"])
    arguments = {name: value for name, value in settings.items() if name != "_target_"}
    return lambda step: float(factor(step, steps, **arguments))
