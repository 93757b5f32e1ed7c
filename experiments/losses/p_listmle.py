"""p-ListMLE: position-aware likelihood of a teacher's ranking. Shapes: Q queries, N passages a group."""

import torch
from torch import Tensor

from experiments.losses.masked import all_marked


def p_listmle(scores_QN: Tensor, teacher_QN: Tensor, mask_QN: Tensor | None = None) -> Tensor:
    """Minus the log probability that each passage of the teacher's ranking comes before the ones after it, weighted.

    ``scores_QN``, ``teacher_QN``: float, one group a row; of the teacher only the order counts, and passages that it
    scores the same stay in the group's order. ``mask_QN``: bool, where the teacher has a score; the others are no part
    of the ranking.

    Lan et al. 2014 (UAI, p-ListMLE), with the weight 2^(n - i) - 1 of position i of n, divided by their sum, as in
    sentence-transformers' ``PListMLELoss``: the loss of a long list is not astronomically larger then. The mean over
    queries.
    """
    known_QN = all_marked(scores_QN, mask_QN)
    order_QN = teacher_QN.masked_fill(~known_QN, -torch.inf).argsort(dim=1, descending=True, stable=True)
    ranked_QN, listed_QN = scores_QN.gather(1, order_QN), known_QN.gather(1, order_QN)
    passages = scores_QN.shape[1]
    places_N = torch.arange(passages, device=scores_QN.device)
    # of position i: itself and the positions k after it; a passage outside the ranking has itself, and no weight
    left_QNN = (places_N[:, None] < places_N) & listed_QN[:, None, :] | torch.eye(
        passages, dtype=torch.bool, device=scores_QN.device
    )
    normaliser_QN = ranked_QN[:, None, :].expand_as(left_QNN).masked_fill(~left_QNN, -torch.inf).logsumexp(dim=2)
    return ((normaliser_QN - ranked_QN) * position_weights(listed_QN)).sum(dim=1).mean()


def position_weights(listed_QN: Tensor) -> Tensor:
    """(Q, N) fp32 weights 2^(n - i) - 1 of the positions i = 1 ... n, divided by their sum, and 0 beyond n.

    ``listed_QN``: bool, n positions a query, then the others. Computed as 2^-i - 2^-n, which no list is too long for.
    """
    place_QN = torch.arange(1, listed_QN.shape[1] + 1, device=listed_QN.device, dtype=torch.float32)
    length_Q1 = listed_QN.sum(dim=1, keepdim=True).float()
    weights_QN = (torch.exp2(-place_QN) - torch.exp2(-length_Q1)).clamp(min=0)
    return weights_QN / weights_QN.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
