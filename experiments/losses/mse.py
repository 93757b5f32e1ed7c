"""Pointwise MSE: a teacher's scores themselves. Shapes: Q queries, N passages a group."""

from torch import Tensor

from experiments.losses.masked import all_marked, masked_mean


def mse(scores_QN: Tensor, teacher_QN: Tensor, mask_QN: Tensor | None = None) -> Tensor:
    """Squared difference of student's and teacher's scores, mean over a group's passages, then over queries.

    ``scores_QN``, ``teacher_QN``: float, one group a row. ``mask_QN``: bool, where the teacher has a score; None for
    everywhere. The level of the scores is learnt too: adding a number to the student's alone changes the loss. It is
    sentence-transformers' ``MSELoss``, by which the Ettin re-rankers were trained on a larger one's scores.
    """
    return masked_mean((scores_QN - teacher_QN) ** 2, all_marked(scores_QN, mask_QN))
