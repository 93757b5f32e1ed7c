"""BCE calibrated for negative sampling. Shapes: Q queries, N passages a group, the positive at index 0."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from experiments.common.errors import ExperimentError


def gbce(scores_QN: Tensor, t: float = 0.75, candidates: int = 100) -> Tensor:
    """Binary cross-entropy with the positive's probability raised to the power beta, mean over the pairs of all groups.

    ``scores_QN``: float log-odds, one group a row. ``t``: how much of the overconfidence from negative sampling to
    correct, from 0 (none: ``bce``) to 1 (all: beta is alpha). ``candidates``: number of passages that negatives are
    drawn from; alpha is the drawn share, at most 1.

    Petrov and Macdonald 2023 (gSASRec, arXiv 2308.07192); for cross-encoders Petrov, MacAvaney and Macdonald 2024
    (arXiv 2403.20222), with t of .75. As log(sigmoid^beta) = beta log(sigmoid), no score is too large.

    Raises:
        ExperimentError: ``t`` is not from 0 to 1, or ``candidates`` below 1.
    """
    beta = power(scores_QN.shape[1] - 1, t, candidates)
    positive_Q = beta * F.logsigmoid(scores_QN[:, 0])
    negative_QN = F.logsigmoid(-scores_QN[:, 1:])
    return -torch.cat([positive_Q[:, None], negative_QN], dim=1).mean()


def power(negatives: int, t: float, candidates: int) -> float:
    """beta = alpha (t (1 - 1/alpha) + 1/alpha), which is 1 - t (1 - alpha), with alpha = negatives / candidates."""
    if not 0 <= t <= 1:
        raise ExperimentError(f"loss.fn.t is {t}: it must be from 0 (binary cross-entropy) to 1")
    if candidates < 1:
        raise ExperimentError(f"loss.fn.candidates is {candidates}: it must be at least 1, as negatives.depth is")
    alpha = min(1.0, negatives / candidates)
    return 1 - t * (1 - alpha)
