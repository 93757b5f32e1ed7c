"""LambdaLoss: pairwise losses, each weighted by the nDCG that ordering the pair would gain.

Shapes: Q queries, N passages a group, the positive at index 0, M its negatives.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from experiments.common.errors import ExperimentError

SCHEMES = ("ndcg_loss2", "lambda_rank", "ndcg_loss2++")


def lambda_loss(scores_QN: Tensor, scheme: str = "ndcg_loss2", sigma: float = 1.0, mu: float = 10.0) -> Tensor:
    """-weight log2 sigmoid(sigma (positive - negative)), sum over the negatives of a group, mean over queries.

    ``scores_QN``: float, one group a row; grades are 1 for the positive and 0 for the rest, so the ideal DCG and the
    difference of two gains are 1. ``scheme``: the weights (see ``weights``). ``sigma``: factor of differences. ``mu``:
    ``ndcg_loss2++`` is ``lambda_rank`` + mu ``ndcg_loss2``.

    Wang et al. 2018 (CIKM, doi 10.1145/3269206.3271784), with base-2 logarithms as there. sentence-transformers'
    ``LambdaLoss`` takes the mean over pairs instead of the sum: with M negatives this is M times as much.

    Raises:
        ExperimentError: there is no such scheme.
    """
    weights_QM = weights(ranks(scores_QN.detach()), scheme, mu)
    difference_QM = scores_QN[:, :1] - scores_QN[:, 1:]
    return (weights_QM * F.softplus(-sigma * difference_QM)).sum(dim=1).mean() / math.log(2)


def weights(ranks_QN: Tensor, scheme: str, mu: float) -> Tensor:
    """(Q, M) fp32 weights of positive-negative pairs by their ranks.

    With D(r) = log2(1 + r): ``lambda_rank`` is |1/D(r) - 1/D(r')|, the effect of swapping the two (LambdaRank);
    ``ndcg_loss2`` is |1/D(d) - 1/D(d + 1)| with d = |r - r'|, a tighter bound of nDCG; ``ndcg_loss2++``: see ``mu``.

    Raises:
        ExperimentError: there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise ExperimentError(f"loss.fn.scheme is {scheme!r}: it must be one of {', '.join(SCHEMES)}")
    positive_Q1, negative_QM = ranks_QN[:, :1], ranks_QN[:, 1:]
    apart_QM = (positive_Q1 - negative_QM).abs()
    by_distance_QM = discount(apart_QM) - discount(apart_QM + 1)
    by_swap_QM = (discount(positive_Q1) - discount(negative_QM)).abs()
    if scheme == "ndcg_loss2":
        return by_distance_QM
    return by_swap_QM if scheme == "lambda_rank" else by_swap_QM + mu * by_distance_QM


def discount(ranks: Tensor) -> Tensor:
    """1 / log2(1 + rank), of ranks from 1."""
    return 1 / torch.log2(1.0 + ranks)


def ranks(scores_QN: Tensor) -> Tensor:
    """(Q, N) int64 ranks within a group, 1 for the highest score; equal scores are ranked in their order."""
    order_QN = scores_QN.argsort(dim=1, descending=True, stable=True)
    places_QN = torch.arange(1, scores_QN.shape[1] + 1, device=scores_QN.device).expand_as(order_QN)
    return torch.empty_like(order_QN).scatter(1, order_QN, places_QN)
