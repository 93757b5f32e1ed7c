"""Train a dual encoder: query and passage are encoded separately, and the similarity of their vectors is the score.

The loss is contrastive. It can also learn a cross-encoder's scores of the same groups, or the vectors of one of its
layers (Ananthakrishnan et al. 2025, arXiv 2502.03552).

Shapes: Q queries of a step, N passages per group (the positive at index 0), P distinct passages of a step or pairs of a
run, B texts of a batch, L tokens of the longest, T tokens of all texts, D dimensions.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual name

from experiments.common.errors import ExperimentError
from experiments.config import Optimization
from experiments.data.batches.distillation_batches import DistilBatch
from experiments.data.batches.pairs import TokenBatch
from experiments.data.batches.text_batches import EncodingBatch, Features, TextGroupBatch
from experiments.losses.kl_divergence import kl_divergence
from experiments.losses.margin_mse import margin_mse
from experiments.models.compute_cost import CostModel, Step
from experiments.models.in_batch_negatives import with_in_batch
from experiments.models.ranker import DevSet, Loss
from experiments.models.ranks import gathered
from experiments.models.teacher import Teacher
from experiments.models.text_encoder import TextRanker
from experiments.pretrained.packed_layers import packed_hidden_states

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from experiments.models.dual_encoder.config import DualEncoderConfig


class DualEncoder(TextRanker):
    """Train a ``SentenceTransformer`` on groups, with the losses of the cross-encoders.

    ``settings``: the keys of ``model``; with ``in_batch`` the loss ``lce`` equals sentence-transformers'
    ``MultipleNegativesRankingLoss``. ``teacher``: the cross-encoder, None without distillation. ``layout``: ``packed``
    or ``padded`` forward passes. The others: see ``Ranker``.

    Raises:
        ExperimentError: the teacher lacks the layer, or its vectors have another width.
    """

    network: "SentenceTransformer"

    def __init__(
        self,
        network: "SentenceTransformer",
        loss: Loss,
        optimizer: Optimization,
        *,
        steps: int,
        seed: int,
        settings: "DualEncoderConfig",
        teacher: Teacher | None = None,
        layout: str = "padded",
        dev: DevSet | None = None,
    ) -> None:
        super().__init__(network, loss, optimizer, steps=steps, seed=seed, dev=dev)
        self.settings, self.teacher, self.layout = settings, teacher, layout
        transformer: Any = network[0]
        if teacher is not None and settings.align_layer is not None:
            _check_layer(teacher, settings.align_layer, int(transformer.model.config.hidden_size))
        self.cost = _cost_of(transformer.model)

    def forward(self, features: Features) -> Tensor:
        """Return the (B, D) vectors of texts."""
        pooled: dict[str, Any]
        if self.layout != "padded":
            modules: list[Any] = list(self.network)
            transformer, *after = modules  # the encoder; then pooling and later modules, which work on padded states
            real_BL = features["attention_mask"].bool()
            ids_T = features["input_ids"][real_BL]
            tokens = TokenBatch(ids_T, torch.zeros_like(ids_T), tuple(real_BL.sum(dim=1).tolist()))
            *_, last_TD = packed_hidden_states(transformer.model, tokens, compiled=self.layout == "compiled")
            states_BLD = last_TD.new_zeros(*real_BL.shape, last_TD.shape[1])
            states_BLD[real_BL] = last_TD
            pooled = {"token_embeddings": states_BLD, "attention_mask": features["attention_mask"]}
            for module in after:
                pooled = module(pooled)
        else:
            pooled = self.network(dict(features))
        vectors_BD: Tensor = pooled["sentence_embedding"]
        return vectors_BD

    # --- training

    def objective(self, batch: TextGroupBatch | DistilBatch) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the loss terms, and the (Q, N) scores of the groups."""
        texts = batch.texts if isinstance(batch, DistilBatch) else batch
        queries_QD, passages_PD = self._vectors(texts)
        scores, scores_QN = self._scored(queries_QD, passages_PD, texts)
        total, settings, teacher = self.loss_of(batch, scores), self.settings, self.teacher
        if teacher is None or not isinstance(batch, DistilBatch):
            return total, scores_QN
        if batch.pairs is not None:
            teacher_QN, share = gathered(teacher.scores(batch.pairs)), settings.distil_weight
            if settings.distil == "margin_mse":
                distilled = margin_mse(scores_QN, teacher_QN)
            else:
                distilled = kl_divergence(scores_QN, teacher_QN, settings.distil_temperature)
            if self.logs_step:
                self.log_dict({"train/contrastive_loss": total.detach(), "train/distil_loss": distilled.detach()})
            total = (1 - share) * total + share * distilled
        if batch.alone is not None and settings.align_layer is not None:
            vectors_BD = torch.cat([queries_QD, passages_PD]).float()
            targets_BD = teacher.vectors(batch.alone, settings.align_layer)
            distance = self._mean_distance(1 - F.cosine_similarity(vectors_BD, targets_BD, dim=1), texts)
            if self.logs_step:
                self.log("train/align_loss", distance.detach())
            total = total + settings.align_weight * distance
        return total, scores_QN

    def _mean_distance(self, distances_B: Tensor, texts: TextGroupBatch) -> Tensor:
        """Return the mean over all queries and distinct passages of the step. ``distances_B``: of this rank's texts."""
        queries, passages = texts.relevant_QP.shape
        of_queries, of_passages = distances_B.tensor_split([len(texts.lengths[-1])])
        every = torch.cat([gathered(of_queries), gathered(of_passages, passages)])
        assert len(every) == queries + passages
        return every.mean()

    def scored_groups(self, batch: TextGroupBatch | DistilBatch) -> tuple[Tensor, Tensor]:
        texts = batch.texts if isinstance(batch, DistilBatch) else batch
        return self._scored(*self._vectors(texts), texts)

    def _vectors(self, texts: TextGroupBatch) -> tuple[Tensor, Tensor]:
        """Return the vectors of this rank's queries (Q, D) and passages (P, D)."""
        return self(texts.queries), torch.cat([self(features) for features in texts.passages])

    def _scored(self, queries_QD: Tensor, passages_PD: Tensor, texts: TextGroupBatch) -> tuple[Tensor, Tensor]:
        # Always fp32: bf16 cosines near 1, divided by 0.05, would move in steps of 0.08.
        with torch.autocast(queries_QD.device.type, enabled=False):
            own_QP = gathered(queries_QD.float()) @ passages_PD.float().T * self.settings.scale
            scores_QP = gathered(own_QP.T, texts.relevant_QP.shape[1]).T
        scores_QN = scores_QP.gather(1, texts.place_QN)
        return (with_in_batch(scores_QP, texts) if self.settings.in_batch else scores_QN), scores_QN

    def cost_of(self, batch: TextGroupBatch | DistilBatch) -> Step:
        texts = batch.texts if isinstance(batch, DistilBatch) else batch
        tokens = sum(map(sum, texts.lengths))
        computed = sum(features["input_ids"].numel() for features in (texts.queries, *texts.passages))
        flops = sum(map(self.cost.training, texts.lengths))
        if isinstance(batch, DistilBatch) and self.teacher is not None:
            inputs = [part.micro_batches for part in (batch.pairs, batch.alone) if part is not None]
            flops += sum(self.teacher.cost.forward(micro.lengths) for batches in inputs for micro in batches)
        return Step(texts.own_shape_QN, tokens, computed if self.layout == "padded" else tokens, flops)

    def score_batch(self, batch: EncodingBatch) -> None:
        keys = [(batch.kind, row) for row in batch.rows.tolist()]
        self.encoded |= dict(zip(keys, self(batch.features).float().cpu(), strict=True))

    def query_scores(self, query: int, passages: list[int]) -> Tensor:
        return torch.stack([self.encoded["passages", row] for row in passages]) @ self.encoded["queries", query]


def _check_layer(teacher: Teacher, layer: int, width: int) -> None:
    if layer > teacher.layers:
        raise ExperimentError(f"model.align_layer is {layer}, but the cross-encoder has layers 0 to {teacher.layers}")
    teacher_width = int(teacher.network.config.hidden_size)
    if teacher_width != width:
        raise ExperimentError(
            f"model.align_layer={layer} needs vectors of one width, but the cross-encoder's have {teacher_width} "
            f"dimensions and the dual encoder's {width}: set it to null, or choose a cross-encoder of that width"
        )


def _cost_of(encoder: Any) -> CostModel:
    """Return the cost of an encoder without its pooler, which the vectors do not use."""
    pooler = getattr(encoder, "pooler", None)
    unused = sum(parameter.numel() for parameter in pooler.parameters()) if pooler is not None else 0
    cost = CostModel.of(encoder)
    return replace(cost, weights=cost.weights - unused)
