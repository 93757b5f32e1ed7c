"""The passages of a step as negatives of each of its queries.

Shapes: Q queries of a step, N passages a group (the positive at index 0), P distinct passages of a step.
"""

import torch
from torch import Tensor

from experiments.data.batches.text_batches import TextGroupBatch

IMPOSSIBLE = -1e4  # the score of a passage that is no negative: far below any, and finite, as losses need


def with_in_batch(scores_QP: Tensor, batch: TextGroupBatch) -> Tensor:
    """(Q, 1 + P): the positive, then all passages of the step, those that answer the query masked."""
    positive_Q1 = scores_QP.gather(1, batch.place_QN[:, :1])
    others_QP = scores_QP.masked_fill(batch.relevant_QP, IMPOSSIBLE)
    others_QP = others_QP.scatter(1, batch.place_QN[:, :1], IMPOSSIBLE)  # the positive stands in front already
    return torch.cat([positive_Q1, others_QP], dim=1)
