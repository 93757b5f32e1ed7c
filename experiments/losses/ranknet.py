"""RankNet: logistic loss of pairs. Shapes: Q queries, N passages a group, the positive at index 0."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def ranknet(scores_QN: Tensor, sigma: float = 1.0) -> Tensor:
    """log(1 + exp(-sigma (positive - negative))), mean over the negatives of all groups.

    ``scores_QN``: float, one group a row. ``sigma``: factor of differences, the inverse of a temperature. Burges et al.
    2005 (ICML, section 3), with a target probability of 1; sigma as in Burges 2010 (MSR-TR-2010-82, section 2). With
    one negative and sigma 1 it is ``lce``. Only differences within a group matter.
    """
    return F.softplus(-sigma * (scores_QN[:, :1] - scores_QN[:, 1:])).mean()
