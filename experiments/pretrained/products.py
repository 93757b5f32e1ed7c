"""Multiply matrices by oneDNN on processors of AMD with AVX-512 of full width, as torch's MKL keeps to AVX2 there.

A core of an EPYC of the fifth generation does 100 GFLOP/s by MKL and 230 by oneDNN (180 for the slope of the weights).
Everywhere else, and for small products, this is torch's own product: AMD's fourth generation takes two steps for 512
bits, and has not been measured. The choice depends on the processor and the shapes alone, so that numbers do not change
from run to run; the two differ in the order of their sums.

Shapes: N rows, I inputs and O outputs of a layer.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEAST = 2_000_000  # multiplications from which on oneDNN saves more than the 15 us that it takes for each call
PROCESSOR = Path("/proc/cpuinfo")  # of Linux
FULL_WIDTH = "avx512_vp2intersect"  # an instruction that AMD has had since its fifth generation


@cache
def by_onednn() -> bool:
    """Return whether this machine multiplies by oneDNN."""
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and PROCESSOR.exists()
        and {"AuthenticAMD", FULL_WIDTH} <= set(PROCESSOR.read_text(encoding="utf-8", errors="replace").split())
    )


def multiply_fast(network: nn.Module) -> None:
    """Let the linear layers of a network multiply by ``linear``. Their weights, names and hooks stay as they are."""
    if by_onednn():
        for layer in network.modules():
            if type(layer) is nn.Linear:
                layer.__class__ = FastLinear


class FastLinear(nn.Linear):
    """A linear layer that multiplies by ``linear``."""

    def forward(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.weight, self.bias)


def linear(inputs: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """Return the (..., O) outputs of (..., I) inputs, with gradients, as ``torch.nn.functional.linear`` does."""
    if not _is_for_onednn(inputs, weight_OI):
        return nn.functional.linear(inputs, weight_OI, bias_O)
    outputs_NO: Tensor = _Linear.apply(inputs.reshape(-1, inputs.shape[-1]), weight_OI, bias_O)  # type: ignore[no-untyped-call]
    return outputs_NO.view(*inputs.shape[:-1], len(weight_OI))


def _is_for_onednn(inputs: Tensor, weight_OI: Tensor) -> bool:
    return (
        inputs.device.type == "cpu"
        and inputs.dtype == weight_OI.dtype == torch.float32
        and inputs.numel() * len(weight_OI) >= LEAST
        and by_onednn()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs_NI, weight_OI)
        return _product(inputs_NI, weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_NO: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs_NI, weight_OI = ctx.saved_tensors
        slope_NO = slope_NO.contiguous()  # that of a sum is one number, expanded
        of_inputs, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(slope_NO, weight_OI.T) if of_inputs else None,
            _product(slope_NO.T, inputs_NI.T) if of_weight else None,
            slope_NO.sum(0) if of_bias else None,
        )


def _product(left_NI: Tensor, right_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    product_NO: Tensor = torch.ops.mkldnn._linear_pointwise(left_NI, right_OI, bias_O, "none", [], "")
    return product_NO
