"""Move tensors to a device."""

import torch
from torch import Tensor


def moved_tensor(value: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. A GPU fetches it from pinned memory, so that nobody waits for the work before."""
    if device.type != "cuda" or value.is_cuda:
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)
