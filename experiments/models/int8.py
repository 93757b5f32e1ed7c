"""Compute linear layers in 8-bit integers, for scoring on a CPU: three times as fast, at a small change of the scores.

Weights are rounded once, a scale for each output; activations at every call, a scale for all of them ("dynamic
quantisation", Jacob et al. 2018, arXiv 1712.05877). Everything else, and what a layer hands on, stays fp32.

Shapes: O outputs and I inputs of a layer.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from experiments.config.compute import INT8
from experiments.models.packed_forward import read_by_packing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LARGEST = 127  # of a signed 8-bit integer, used symmetrically


class Int8Linear(nn.Module):
    """A linear layer whose weights and inputs are rounded to 8 bits."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight_OI = layer.weight.detach().float()
        scales_O = (weight_OI.abs().amax(dim=1) / LARGEST).clamp_min(torch.finfo(torch.float32).tiny).double()
        zeros_O = torch.zeros(len(weight_OI), dtype=torch.int64)
        bias_O = layer.bias.detach().float() if layer.bias is not None else None
        with warnings.catch_warnings():  # a later version of torch will take weights and scales apart
            warnings.filterwarnings("ignore", message=".*quantized tensor creation.*")
            rounded_OI = torch.quantize_per_channel(weight_OI, scales_O, zeros_O, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(rounded_OI, bias_O)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the (..., O) fp32 outputs of (..., I) inputs, which keep 7 bits: with 8, sums of two products would
        overflow the 16 bits that CPUs without VNNI add them in.
        """
        outputs: Tensor = torch.ops.quantized.linear_dynamic(inputs, self.packed, reduce_range=True)
        return outputs


def scoring_in(precision: str, network: Any) -> AbstractContextManager[None]:
    """Return the context in which a network scores: ``int8-dynamic`` in 8-bit integers, any other as it trained."""
    return in_int8(network) if precision == INT8 else nullcontext()


@contextmanager
def in_int8(network: "PreTrainedModel") -> Iterator[None]:
    """Let a cross-encoder compute its linear layers in 8 bits within the ``with`` block.

    Those whose weights a packed pass reads itself stay as they are.
    """
    kept = read_by_packing(network)
    replaced = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and not any(layer is one for one in kept)
    }
    for name, layer in replaced.items():
        network.set_submodule(name, Int8Linear(layer))
    try:
        yield
    finally:
        for name, layer in replaced.items():
            network.set_submodule(name, layer)
