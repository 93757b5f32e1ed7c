"""Train ColBERT (late interaction): each query token is matched with its most similar passage token.

score(q, p) = sum over the tokens i of q of the maximum over the tokens j of p of q_i . p_j (Khattab and Zaharia 2020,
eq. 3).

Shapes: Q queries of a step, N passages per group (the positive at index 0), P distinct passages of a step or pairs of a
run.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from experiments.config import Optimization
from experiments.data.batches.text_batches import EncodingBatch, Features, TextGroupBatch
from experiments.models.compute_cost import CostModel, Step
from experiments.models.in_batch_negatives import with_in_batch
from experiments.models.ranker import DevSet, Loss
from experiments.models.ranks import gathered
from experiments.models.text_encoder import TextRanker

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder


class ColBERT(TextRanker):
    """Train a ``MultiVectorEncoder`` on groups, with the losses of the cross-encoders.

    ``in_batch``: use the other groups' passages as negatives, except those judged relevant; with the loss ``lce`` this
    is sentence-transformers' ``MultiVectorMultipleNegativesRankingLoss``. ``scale``: factor on scores before the loss,
    the inverse of the temperature. ``layout``: ``packed`` if the network computes without padding. The others: see
    ``Ranker``.
    """

    network: "MultiVectorEncoder"

    def __init__(
        self,
        network: "MultiVectorEncoder",
        loss: Loss,
        optimizer: Optimization,
        *,
        steps: int,
        seed: int,
        in_batch: bool = True,
        scale: float = 1.0,
        layout: str = "padded",
        dev: DevSet | None = None,
    ) -> None:
        super().__init__(network, loss, optimizer, steps=steps, seed=seed, dev=dev)
        self.in_batch, self.scale, self.layout = in_batch, scale, layout
        transformer: Any = network[0]
        self.cost = CostModel.of(transformer.model)

    def forward(self, features: Features, task: str) -> tuple[Tensor, Tensor]:
        """Return the token vectors (B, L, D) of texts, and which tokens count (B, L). ``task``: query or document."""
        output = self.network(dict(features), task=task)
        return output["token_embeddings"], output["attention_mask"].bool()

    def scored_groups(self, batch: TextGroupBatch) -> tuple[Tensor, Tensor]:
        from sentence_transformers.util.similarity import maxsim

        own, own_mask = self(batch.queries, "query")
        queries, query_mask = map(gathered, _padded(own, own_mask, batch.longest_query))
        columns = []
        for features in batch.passages:
            passages, passage_mask = self(features, "document")
            columns.append(maxsim(queries, passages, a_mask=query_mask, b_mask=passage_mask))
        of_share_QP = torch.cat(columns, dim=1) * self.scale  # all queries, the passages of this rank
        scores_QP = gathered(of_share_QP.T, batch.relevant_QP.shape[1]).T
        scores_QN = scores_QP.gather(1, batch.place_QN)
        return (with_in_batch(scores_QP, batch) if self.in_batch else scores_QN), scores_QN

    def cost_of(self, batch: TextGroupBatch) -> Step:
        tokens = sum(map(sum, batch.lengths))
        padded = sum(features["input_ids"].numel() for features in (batch.queries, *batch.passages))
        flops = sum(map(self.cost.training, batch.lengths))
        return Step(batch.own_shape_QN, tokens, tokens if self.layout == "packed" else padded, flops)

    def score_batch(self, batch: EncodingBatch) -> None:
        embeddings, mask = self(batch.features, "query" if batch.kind == "queries" else "document")
        for row, tokens, counts in zip(batch.rows.tolist(), embeddings, mask, strict=True):
            self.encoded[batch.kind, row] = tokens[counts].float().cpu()

    def query_scores(self, query: int, passages: list[int]) -> Tensor:
        tokens = [self.encoded["passages", passage] for passage in passages]
        similarity = self.encoded["queries", query] @ torch.cat(tokens).T
        starts = np.cumsum([0, *map(len, tokens[:-1])])
        return torch.from_numpy(np.maximum.reduceat(similarity.numpy(), starts, axis=1).sum(axis=0))


def _padded(vectors_BLD: Tensor, mask_BL: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return vectors and mask with as many places as the longest query of the step has tokens."""
    missing = length - vectors_BLD.shape[1]
    if missing <= 0:
        return vectors_BLD, mask_BL
    pad = torch.nn.functional.pad
    return pad(vectors_BLD, (0, 0, 0, missing)), pad(mask_BL, (0, missing))
