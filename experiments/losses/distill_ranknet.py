"""DistillRankNET: RankNet over all pairs that a teacher orders. Shapes: Q queries, N passages a group."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from experiments.losses.masked import all_marked, masked_mean


def distill_ranknet(scores_QN: Tensor, teacher_QN: Tensor, sigma: float = 1.0, mask_QN: Tensor | None = None) -> Tensor:
    """log(1 + exp(-sigma (better - worse))), mean over a group's pairs that the teacher orders, then over queries.

    ``scores_QN``, ``teacher_QN``: float, one group a row; of the teacher only the order counts, and passages that it
    scores the same are no pair. ``sigma``: factor of differences. ``mask_QN``: bool, where the teacher has a score;
    None for everywhere.

    Sun et al. 2023 (RankGPT, arXiv 2304.09542), Schlatt et al. 2025 (Rank-DistiLLM, arXiv 2405.07920). Their codes take
    the mean over the pairs of all queries at once, which is the same if every group has as many pairs.
    sentence-transformers' ``RankNetLoss`` does so too, by default with base-2 logarithms: 1 / log 2 times as much.
    """
    known_QN = all_marked(scores_QN, mask_QN)
    ordered_QNN = (teacher_QN[:, :, None] > teacher_QN[:, None, :]) & known_QN[:, :, None] & known_QN[:, None, :]
    return masked_mean(F.softplus(-sigma * (scores_QN[:, :, None] - scores_QN[:, None, :])), ordered_QNN)
