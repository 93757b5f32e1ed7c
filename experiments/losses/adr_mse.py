"""ADR-MSE: squared errors of approximate ranks, discounted. Shapes: Q queries, N passages a group."""

import torch
from torch import Tensor

from experiments.losses.masked import all_marked, masked_mean


def adr_mse(scores_QN: Tensor, teacher_QN: Tensor, temperature: float = 1.0, mask_QN: Tensor | None = None) -> Tensor:
    """Approximate discounted rank MSE: (rank - approximate rank)^2 / log2(1 + rank), mean over passages and queries.

    ``scores_QN``, ``teacher_QN``: float, one group a row; the rank is the teacher's, 1 for its highest score, and the
    mean of the ranks where it scores passages the same. ``temperature``: divides differences of the student's scores;
    a lower one comes closer to whole ranks. ``mask_QN``: bool, where the teacher has a score; the others have no rank.

    Schlatt et al. 2025 (Rank-DistiLLM, arXiv 2405.07920); in their code (lightning-ir) ``ApproxRankMSE`` with
    ``discount: log2``, which gives equal scores ranks in some order instead of their mean. sentence-transformers'
    ``ADRMSELoss`` with alpha = 1 / ``temperature``.
    """
    known_QN = all_marked(scores_QN, mask_QN)
    rank_QN = mean_ranks(teacher_QN, known_QN)
    error_QN = rank_QN - approximate_ranks(scores_QN, known_QN, temperature)
    return masked_mean(error_QN**2 / torch.log2(1 + rank_QN), known_QN)


def approximate_ranks(scores_QN: Tensor, known_QN: Tensor, temperature: float) -> Tensor:
    """1 + the sum over the other known passages of sigmoid((other - own) / temperature) (Qin et al. 2010, ApproxNDCG).

    ``known_QN``: bool, the passages that are ranked.
    """
    above_QNN = torch.sigmoid((scores_QN[:, None, :] - scores_QN[:, :, None]) / temperature)
    itself_NN = torch.eye(scores_QN.shape[1], dtype=torch.bool, device=scores_QN.device)
    return 1 + above_QNN.masked_fill(itself_NN | ~known_QN[:, None, :], 0.0).sum(dim=2)


def mean_ranks(teacher_QN: Tensor, known_QN: Tensor) -> Tensor:
    """(Q, N) ranks of the known passages by the teacher, 1 for the highest, the mean of their ranks for equal scores.

    ``known_QN``: bool, the passages that are ranked; the others' ranks mean nothing.
    """
    other_QNN, own_QNN, known_QNN = teacher_QN[:, None, :], teacher_QN[:, :, None], known_QN[:, None, :]
    above_QN = ((other_QNN > own_QNN) & known_QNN).sum(dim=2)
    equal_QN = ((other_QNN == own_QNN) & known_QNN).sum(dim=2)  # itself too
    return above_QN.to(teacher_QN.dtype) + (equal_QN.to(teacher_QN.dtype) + 1) / 2
