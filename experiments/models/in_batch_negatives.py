"""Use the passages of a step as negatives of each of its queries.

Shapes: Q queries of a step, N passages per group (the positive at index 0), P distinct passages of a step.
"""

import torch
from torch import Tensor

from experiments.data.batches.text_batches import TextGroupBatch

MASKED_SCORE = -1e4  # far below any score, and finite, as losses need


def with_in_batch(scores_QP: Tensor, batch: TextGroupBatch) -> Tensor:
    """Return the (Q, 1 + P) scores: the positive, then all passages of the step with the relevant ones masked."""
    positive_Q1 = scores_QP.gather(1, batch.place_QN[:, :1])
    others_QP = scores_QP.masked_fill(batch.relevant_QP, MASKED_SCORE)
    others_QP = others_QP.scatter(1, batch.place_QN[:, :1], MASKED_SCORE)  # the positive is in front already
    return torch.cat([positive_Q1, others_QP], dim=1)
