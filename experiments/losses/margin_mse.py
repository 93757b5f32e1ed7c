"""Margin-MSE: a teacher's margins. Shapes: Q queries, N passages a group, the positive at index 0."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def margin_mse(scores_QN: Tensor, teacher_QN: Tensor) -> Tensor:
    """Mean squared difference of student's and teacher's margins of the positive over each negative, over all groups.

    ``scores_QN``, ``teacher_QN``: float, one group a row. Hofstätter et al. 2020, equation 6 (arXiv 2010.02666), who
    have one negative a query. Only margins are learnt: unchanged by adding a number to all scores of a group.
    """
    margins_QN = scores_QN[:, :1] - scores_QN[:, 1:]
    wanted_QN = teacher_QN[:, :1] - teacher_QN[:, 1:]
    return F.mse_loss(margins_QN, wanted_QN)
