"""Build the optimiser and the learning-rate schedule of a training from their settings."""

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from experiments.common.errors import ExperimentError
from experiments.config import Optimizer
from experiments.config.kinds import check_kind


def make_optimizer(module: nn.Module, settings: Optimizer, *, fused: bool = True) -> torch.optim.Optimizer:
    """Return an optimiser over the trainable parameters, without decay on biases and normalisation weights (one
    dimension).

    ``fused``: use one kernel for all parameters, where available. It unscales fp16 gradients after they were clipped,
    so it is not for fp16.

    Raises:
        ExperimentError: the optimiser refuses a setting.
    """
    optimizer_class = resolve_name(settings._target_)
    check_kind("optimizer", vars(settings), optimizer_class)
    accepted = inspect.signature(optimizer_class).parameters
    # torch expects tuples, such as AdamW's betas, where a config has lists
    arguments = {n: tuple(value) if isinstance(value, list) else value for n, value in settings.arguments().items()}
    decay = arguments.pop("weight_decay")
    if decay and "weight_decay" not in accepted:
        raise ExperimentError(f"optimizer.weight_decay is {decay}, but {settings._target_} has none: set it to 0")
    if "fused" in accepted:
        arguments.setdefault("fused", fused)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decays = ("weight_decay" in accepted) * ["weight_decay"]
    groups = [
        {"params": [weight for weight in parameters if weight.ndim >= 2], **dict.fromkeys(decays, decay)},
        {"params": [weight for weight in parameters if weight.ndim < 2], **dict.fromkeys(decays, 0.0)},
    ]
    try:
        optimizer: torch.optim.Optimizer = optimizer_class(groups, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ExperimentError(f"optimizer: {settings._target_} refuses its settings: {error}") from error
    return optimizer


def make_schedule(settings: Mapping[str, Any], steps: int) -> Callable[[int], float]:
    """Return the learning-rate factor as a function of the step, for ``steps`` steps; see
    ``experiments.models.schedules``.
    """
    factor = resolve_name(settings["_target_"])
    check_kind("scheduler", settings, factor)
    arguments = {name: value for name, value in settings.items() if name != "_target_"}
    return lambda step: float(factor(step, steps, **arguments))
