"""Pairwise hinge loss. Shapes: Q queries, N passages a group, the positive at index 0."""

from torch import Tensor


def hinge(scores_QN: Tensor, margin: float = 1.0) -> Tensor:
    """max(0, margin - (positive - negative)), mean over the negatives of all groups.

    ``scores_QN``: float, one group a row. ``margin``: distance above a negative from which the negative stops counting.
    Pradeep et al. 2022 (ECIR) have one negative and a margin of 1. Only differences within a group matter.
    """
    return (margin - (scores_QN[:, :1] - scores_QN[:, 1:])).clamp(min=0).mean()
