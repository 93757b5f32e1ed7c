"""Localized contrastive estimation. Shapes: Q queries, N passages a group, the positive at index 0."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def lce(scores_QN: Tensor) -> Tensor:
    """Softmax cross-entropy of a group: minus the log probability of its positive, mean over queries.

    ``scores_QN``: float, one group a row. Gao, Dai and Callan 2021, equation 4 (arXiv 2101.08751). Only differences
    within a group matter; with one negative it is ``softplus(-(positive - negative))``.
    """
    target_Q = torch.zeros(len(scores_QN), dtype=torch.long, device=scores_QN.device)
    return F.cross_entropy(scores_QN, target_Q)
