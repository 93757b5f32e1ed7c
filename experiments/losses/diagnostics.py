"""Diagnose training from group scores: margins, how the gradient is spread over negatives, saturation and collapse.

Shapes: Q queries, N passages a group, the positive at index 0, M its negatives.
"""

import torch
from torch import Tensor

SATURATED = 0.01  # a pair whose gradient in BCE is smaller than this teaches next to nothing


@torch.no_grad()
def diagnostics(scores_QN: Tensor, labels_QN: Tensor | None = None) -> dict[str, Tensor]:
    """Return 0-dimensional fp32 tensors by name, without gradient and on the scores' device.

    ``labels_QN``: above 0 for positives, of groups with positives anywhere; None for one at index 0.

    ``margin``: the positive minus the mean of its negatives, mean over queries. ``hardest_margin``: the positive minus
    its highest negative, mean over queries. ``positive_on_top``: share of the queries whose positive is above all
    negatives. ``effective_negatives``: exp(entropy) of the softmax over the negatives alone, mean over queries: from 1
    (one negative has all of the weight) to M (all are alike). ``hardest_share``: the highest negative's share of that
    softmax, which is its share of ``lce``'s gradient on the negatives, mean over queries. ``saturated_bce``: share of
    all pairs whose gradient in ``bce``, |sigmoid(score) - label|, is below .01. ``score_spread``: standard deviation of
    all scores (population), 0 if they have collapsed to one.
    """
    scores_QN = scores_QN.detach().float()
    if labels_QN is not None:
        return _of_lists(scores_QN, labels_QN > 0)
    positive_Q, negative_QM = scores_QN[:, 0], scores_QN[:, 1:]
    hardest_Q = negative_QM.amax(dim=1)
    log_share_QM = negative_QM.log_softmax(dim=1)
    share_QM = log_share_QM.exp()
    labels_QN = torch.zeros_like(scores_QN)
    labels_QN[:, 0] = 1.0
    return {
        "margin": (positive_Q - negative_QM.mean(dim=1)).mean(),
        "hardest_margin": (positive_Q - hardest_Q).mean(),
        "positive_on_top": (positive_Q > hardest_Q).float().mean(),
        "effective_negatives": (-(share_QM * log_share_QM).sum(dim=1)).exp().mean(),
        "hardest_share": share_QM.amax(dim=1).mean(),
        "saturated_bce": ((scores_QN.sigmoid() - labels_QN).abs() < SATURATED).float().mean(),
        "score_spread": scores_QN.std(correction=0),
    }


def _of_lists(scores_QN: Tensor, positive_QN: Tensor) -> dict[str, Tensor]:
    """Return the diagnostics of groups with positives anywhere, of which the best-scored counts.

    A mean over queries leaves out those without a positive, or without a negative; it is NaN if none is left.
    """
    both_Q = positive_QN.any(dim=1) & (~positive_QN).any(dim=1)
    kept_QN, positive_QN, every_QN = scores_QN[both_Q], positive_QN[both_Q], positive_QN
    best_Q = kept_QN.masked_fill(~positive_QN, -torch.inf).amax(dim=1)
    negative_QN = kept_QN.masked_fill(positive_QN, -torch.inf)
    hardest_Q = negative_QN.amax(dim=1)
    mean_Q = kept_QN.masked_fill(positive_QN, 0.0).sum(dim=1) / (~positive_QN).sum(dim=1)
    share_QN = negative_QN.softmax(dim=1)
    return {
        "margin": (best_Q - mean_Q).mean(),
        "hardest_margin": (best_Q - hardest_Q).mean(),
        "positive_on_top": (best_Q > hardest_Q).float().mean(),
        "effective_negatives": torch.special.entr(share_QN).sum(dim=1).exp().mean(),
        "hardest_share": share_QN.amax(dim=1).mean(),
        "saturated_bce": ((scores_QN.sigmoid() - every_QN.float()).abs() < SATURATED).float().mean(),
        "score_spread": scores_QN.std(correction=0),
    }
