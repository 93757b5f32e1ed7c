"""Localized contrastive estimation: the softmax cross-entropy of a group.

Shapes: Q queries, N passages a group, the positive at index 0.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def lce(scores_QN: Tensor) -> Tensor:
    """Minus the log of the softmax probability of the positive within its group, mean over queries.

    ``scores_QN``: float, one group a row. Gao, Dai and Callan 2021, equation 4 (arXiv 2101.08751). Unchanged by adding
    a number to all scores of a group and by the order of its negatives; with one negative it is ``softplus(-(s_pos -
    s_neg))``.
    """
    target_Q = torch.zeros(len(scores_QN), dtype=torch.long, device=scores_QN.device)
    return F.cross_entropy(scores_QN, target_Q)
