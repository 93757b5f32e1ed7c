"""Kullback-Leibler divergence from a teacher's ranking. Shapes: Q queries, N passages a group."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def kl_divergence(scores_QN: Tensor, teacher_QN: Tensor, temperature: float = 1.0) -> Tensor:
    """KL divergence of a group's softmax from the teacher's: sum of teacher's p log(p / q), mean over queries.

    ``scores_QN``, ``teacher_QN``: float, one group a row. ``temperature``: divides both first; a higher one gives the
    order of the less likely passages more weight. Multiplying the result by its square keeps the gradient's size about
    the same (Hinton et al. 2015, section 2, arXiv 1503.02531).
    """
    log_q_QN = F.log_softmax(scores_QN / temperature, dim=1)
    log_p_QN = F.log_softmax(teacher_QN / temperature, dim=1)
    return F.kl_div(log_q_QN, log_p_QN, reduction="batchmean", log_target=True) * temperature**2
