"""Share a step between the processes (ranks) of one training, so that its loss and gradient are those of one process.

Each rank scores its own groups. The scores are gathered, so that every rank computes the loss of the whole step. The
gradient of what a rank gave is the sum over the ranks that used it; all have the same loss, so that is ``ranks`` times
the gradient of one process, and the mean over ranks that DDP takes is the gradient itself.

Shapes: R ranks, Q rows of all of them, B of one.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def ranks() -> int:
    """Return the number of processes of this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Gather(torch.autograd.Function):
    """Stack the (B, ...) tensors of all ranks, of one shape, to (B, R, ...)."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(found, own.contiguous())
        return torch.stack(found, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        summed_BR = gradients[0].contiguous()
        dist.all_reduce(summed_BR)
        return summed_BR[:, dist.get_rank()]


def gathered(own: Tensor, count: int | None = None) -> Tensor:
    """Return the rows (Q, ...) of all ranks, in turns: the first of each rank, the second of each, and so on.

    ``own``: rows (B, ...) of this rank. ``count``: Q, where it is no multiple of R, so that the last ranks have one row
    less than the first, or none that counts; None if all have as many. Gradients go back to the rank of each row.
    """
    number = ranks()
    if number == 1:
        return own
    if count is None:
        rows = len(own)
        count = rows * number
    else:
        rows = -(-count // number)
        own = torch.cat([own, own.new_zeros(rows - len(own), *own.shape[1:])]) if len(own) < rows else own[:rows]
    stacked: Tensor = _Gather.apply(own)  # type: ignore[no-untyped-call]
    return stacked.flatten(0, 1)[:count]


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Return each value summed over the ranks. ``device``: on which they exchange numbers."""
    if ranks() == 1:
        return list(values)
    totals = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(totals)
    return [float(total) for total in totals.tolist()]


def summed_tensor(own: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor summed over the ranks. ``device``: on which they exchange numbers."""
    if ranks() == 1:
        return own
    total = own.to(device, copy=True)  # summed in place
    dist.all_reduce(total)
    return total.cpu()
