"""InfoNCE with a temperature and several positives. Shapes: Q queries, N passages a group, in any order."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from experiments.common.errors import ExperimentError


def info_nce(scores_QN: Tensor, labels_QN: Tensor, temperature: float = 1.0) -> Tensor:
    """-log(exp(s+/t) / (exp(s+/t) + sum of exp(s-/t))), mean over a group's positives s+, then over queries.

    The sum is over the group's negatives. ``scores_QN``: float, one group a row. ``labels_QN``: above 0 for a positive,
    0 for a negative. ``temperature``: t, above 0. Van den Oord et al. 2018, equation 4 (arXiv 1807.03748), with scores
    for log-densities. As in Khosla et al. 2020, equation 2 (arXiv 2004.11362), the mean over positives is outside the
    logarithm; other than there, a positive competes with the negatives alone and not with the other positives. With one
    positive and a temperature of 1 it is ``lce``. A group without positives or without negatives adds 0.

    Raises:
        ExperimentError: the temperature is not above 0.
    """
    if temperature <= 0:
        raise ExperimentError(f"loss.fn.temperature is {temperature}: it must be above 0")
    scaled_QN, positive_QN = scores_QN / temperature, labels_QN > 0
    lowest = torch.finfo(scaled_QN.dtype).min / 2  # -inf would have no gradient where a group has no negatives
    negatives_Q1 = scaled_QN.masked_fill(positive_QN, lowest).logsumexp(dim=1, keepdim=True)
    terms_QN = F.softplus(negatives_Q1 - scaled_QN).masked_fill(~positive_QN, 0.0)
    return (terms_QN.sum(dim=1) / positive_QN.sum(dim=1).clamp(min=1)).mean()
