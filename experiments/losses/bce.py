"""Binary cross-entropy of single pairs. Shapes: Q queries, N passages a group, the positive at index 0."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name


def bce(scores_QN: Tensor, pos_weight: float | str = 1.0) -> Tensor:
    """Binary cross-entropy of each pair's sigmoid against relevant or not, mean over the pairs of all groups.

    ``scores_QN``: float log-odds, one group a row. ``pos_weight``: weight of a positive pair; ``balance`` is the number
    of negatives, so that both classes weigh the same.

    Nogueira and Cho 2019, equation 1 (arXiv 1901.04085): their code has a two-class softmax, which is this loss on the
    difference of the two logits (``loss=bce_two_class``).
    """
    negatives = scores_QN.shape[1] - 1
    weight = float(negatives) if pos_weight == "balance" else float(pos_weight)
    labels_QN = torch.zeros_like(scores_QN)
    labels_QN[:, 0] = 1.0
    return F.binary_cross_entropy_with_logits(scores_QN, labels_QN, pos_weight=scores_QN.new_tensor(weight))
