"""Average over the passages, or pairs of passages, of which a teacher says something. Shapes: Q queries of a step."""

import torch
from torch import Tensor


def all_marked(scores_QN: Tensor, mask_QN: Tensor | None) -> Tensor:
    """Return the mask, or one that marks every passage where there is none."""
    return torch.ones_like(scores_QN, dtype=torch.bool) if mask_QN is None else mask_QN


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each query's marked values, then mean over queries; a query without any counts as 0.

    ``values``: (Q, ...) float. ``mask``: the same shape, bool. Each query weighs the same, so that the loss of a step
    is the mean of its queries' losses on any number of devices.
    """
    own = tuple(range(1, values.ndim))
    counts_Q = mask.sum(dim=own).clamp(min=1)
    return (values.masked_fill(~mask, 0.0).sum(dim=own) / counts_Q).mean()
