"""ListNet: cross-entropy of top-one probabilities. Shapes: Q queries, N passages a group, the positive at index 0."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from experiments.common.errors import ExperimentError


def listnet(scores_QN: Tensor, grade: float = 1.0) -> Tensor:
    """Cross-entropy of the labels' top-one probabilities and the scores', mean over queries.

    ``scores_QN``: float, one group a row. ``grade``: label of the positive, above 0; negatives have 0. The higher it
    is, the closer the loss is to ``lce``, whose target is the positive alone.

    Cao et al. 2007 (ICML, doi 10.1145/1273496.1273513): the probability that a passage is ranked first, section 4.2
    with phi = exp, and the cross-entropy of section 5, with the *labels* as the list to learn from, as there.
    sentence-transformers' ``ListNetLoss`` on these labels. With a teacher's scores in their place it is
    ``kl_divergence`` and the entropy of the teacher, which no gradient sees.

    Raises:
        ExperimentError: ``grade`` is not above 0.
    """
    if not grade > 0:
        raise ExperimentError(f"loss.fn.grade is {grade}: it must be above 0, the label of the negatives")
    labels_QN = torch.zeros_like(scores_QN)
    labels_QN[:, 0] = grade
    return top_one_cross_entropy(scores_QN, labels_QN)


def top_one_cross_entropy(scores_QN: Tensor, wanted_QN: Tensor) -> Tensor:
    """-sum softmax(wanted) log softmax(scores), mean over queries."""
    return F.cross_entropy(scores_QN, wanted_QN.softmax(dim=1))
