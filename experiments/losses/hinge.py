"""Pairwise hinge loss: the positive a margin above each negative.

Shapes: Q queries, N passages a group, the positive at index 0.
"""

from torch import Tensor


def hinge(scores_QN: Tensor, margin: float = 1.0) -> Tensor:
    """max(0, margin - (positive - negative)), mean over the negatives of all groups.

    ``scores_QN``: float, one group a row. ``margin``: how far above a negative the positive must stand for the negative
    to stop counting. Pradeep et al. 2022 (ECIR), who have one negative and a margin of 1. Unchanged by adding a
    number to all scores of a group and by the order of its negatives.
    """
    return (margin - (scores_QN[:, :1] - scores_QN[:, 1:])).clamp(min=0).mean()
