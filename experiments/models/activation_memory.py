"""Estimate the memory that a step's activations need, and warn before a training that is likely to have too little."""

import logging
import os

import torch
from torch import nn

from experiments.models.memory_estimate import bytes_of_activations

log = logging.getLogger(__name__)


def activation_bytes(network: nn.Module, tokens: int, precision: str) -> float:
    """Estimate the bytes of the activations of ``tokens`` tokens in a network (``bytes_of_activations``)."""
    config = network.config
    layers, hidden = (int(getattr(config, name, 0)) for name in ("num_hidden_layers", "hidden_size"))
    return bytes_of_activations(layers, hidden, tokens, precision)


def memory_of(device: str) -> int | None:
    """Return the bytes of memory of the GPU or of the machine; None if unknown."""
    if device == "gpu":
        return int(torch.cuda.get_device_properties(0).total_memory)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not on every system
        return None


def memory_warning(needed: float, available: int | None, passages: int, queries: int) -> str | None:
    """Return what to lower if a step of ``queries`` lists is likely to need more memory than there is."""
    if available is None or needed <= available:
        return None
    return (
        f"a step of {queries:,} lists of {passages} passages keeps about {needed / 2**30:,.0f} GiB of activations (an "
        f"estimate), more than the {available / 2**30:,.0f} GiB of this device: set batch.checkpoint=true, or lower "
        f"batch.size, negatives.count (the passages of a list less one) or model.max_length"
    )
