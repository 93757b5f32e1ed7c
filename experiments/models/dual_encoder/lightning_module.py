"""Train a dual encoder: query and passage are encoded separately, and the similarity of their vectors is the score.

The loss is contrastive. It can also learn a cross-encoder's scores of the same groups, or the vectors of one of its
layers (Ananthakrishnan et al. 2025, arXiv 2502.03552).

Shapes: Q queries of a step, N passages per group (the positive at index 0), P distinct passages of a step or pairs of a
run, B texts of a batch, L tokens of the longest, T tokens of all texts, D dimensions.
"""

from dataclasses import replace
from pathlib import Path
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
from experiments.models.packed_forward import packed_hidden_states
from experiments.models.ranker import DevSet, Loss, Ranker
from experiments.models.teacher import Teacher
from experiments.pretrained.source import quiet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from experiments.models.dual_encoder.config import DualEncoderConfig


class DualEncoder(Ranker):
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
        self._encoded: dict[tuple[str, int], Tensor] = {}  # (kind, row) -> vector, for the run being scored

    def forward(self, features: Features) -> Tensor:
        """Return the (B, D) vectors of texts."""
        if self.layout == "packed":
            return self._packed(features)
        vectors_BD: Tensor = self.network(dict(features))["sentence_embedding"]
        return vectors_BD

    def _packed(self, features: Features) -> Tensor:
        """Encode without padding, then apply the network's own pooling and later modules."""
        modules: list[Any] = list(self.network)
        transformer, *after = modules
        real_BL = features["attention_mask"].bool()
        ids_T = features["input_ids"][real_BL]
        tokens = TokenBatch(ids_T, torch.zeros_like(ids_T), tuple(real_BL.sum(dim=1).tolist()))
        *_, last_TD = packed_hidden_states(transformer.model, tokens)
        states_BLD = last_TD.new_zeros(*real_BL.shape, last_TD.shape[1])
        states_BLD[real_BL] = last_TD
        pooled: dict[str, Any] = {"token_embeddings": states_BLD, "attention_mask": features["attention_mask"]}
        for module in after:
            pooled = module(pooled)
        vectors_BD: Tensor = pooled["sentence_embedding"]
        return vectors_BD

    # --- training

    def objective(self, batch: TextGroupBatch | DistilBatch) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the loss terms, and the (Q, N) scores of the groups."""
        texts = batch.texts if isinstance(batch, DistilBatch) else batch
        queries_QD, passages_PD = self._vectors(texts)
        scores, scores_QN = self._scored(queries_QD, passages_PD, texts)
        total, share = self.loss(scores), self.settings.distil_weight
        if isinstance(batch, DistilBatch) and batch.pairs is not None:
            distilled = self._distilled(batch, scores_QN)
            self.log("train/contrastive_loss", total.detach())
            self.log("train/distil_loss", distilled.detach())
            total = (1 - share) * total + share * distilled
        if isinstance(batch, DistilBatch) and batch.alone is not None:
            apart = self._apart(batch, torch.cat([queries_QD, passages_PD]))
            self.log("train/align_loss", apart.detach())
            total = total + self.settings.align_weight * apart
        return total, scores_QN

    def scored_groups(self, batch: TextGroupBatch | DistilBatch) -> tuple[Tensor, Tensor]:
        """Return the scores that the loss reads (with in-batch negatives), and the (Q, N) scores of the groups."""
        texts = batch.texts if isinstance(batch, DistilBatch) else batch
        return self._scored(*self._vectors(texts), texts)

    def _vectors(self, texts: TextGroupBatch) -> tuple[Tensor, Tensor]:
        """Return the vectors of the queries (Q, D) and of the passages (P, D)."""
        return self(texts.queries), torch.cat([self(features) for features in texts.passages])

    def _scored(self, queries_QD: Tensor, passages_PD: Tensor, texts: TextGroupBatch) -> tuple[Tensor, Tensor]:
        # Always fp32: bf16 cosines near 1, divided by 0.05, would move in steps of 0.08.
        with torch.autocast(queries_QD.device.type, enabled=False):
            scores_QP = queries_QD.float() @ passages_PD.float().T * self.settings.scale
        scores_QN = scores_QP.gather(1, texts.place_QN)
        return (with_in_batch(scores_QP, texts) if self.settings.in_batch else scores_QN), scores_QN

    def _distilled(self, batch: DistilBatch, scores_QN: Tensor) -> Tensor:
        """Return the distance of the scaled scores to the teacher's scores."""
        assert self.teacher is not None
        assert batch.pairs is not None
        teacher_QN = self.teacher.scores(batch.pairs)
        if self.settings.distil == "margin_mse":
            return margin_mse(scores_QN, teacher_QN)
        return kl_divergence(scores_QN, teacher_QN, self.settings.distil_temperature)

    def _apart(self, batch: DistilBatch, vectors_PD: Tensor) -> Tensor:
        """Return 1 minus the cosine to the teacher's vector of the same text, averaged over queries and passages."""
        assert self.teacher is not None
        assert batch.alone is not None
        assert self.settings.align_layer is not None
        targets_PD = self.teacher.vectors(batch.alone, self.settings.align_layer)
        return (1 - F.cosine_similarity(vectors_PD.float(), targets_PD, dim=1)).mean()

    def cost_of(self, batch: TextGroupBatch | DistilBatch) -> Step:
        """Return the tokens of a step's texts, and the operations including the teacher's passes."""
        texts = batch.texts if isinstance(batch, DistilBatch) else batch
        tokens = sum(map(sum, texts.lengths))
        computed = sum(features["input_ids"].numel() for features in (texts.queries, *texts.passages))
        flops = sum(map(self.cost.training, texts.lengths))
        if isinstance(batch, DistilBatch) and self.teacher is not None:
            inputs = [part.micro_batches for part in (batch.pairs, batch.alone) if part is not None]
            flops += sum(self.teacher.cost.forward(micro.lengths) for batches in inputs for micro in batches)
        return Step(texts.shape_QN, tokens, tokens if self.layout == "packed" else computed, flops)

    # --- scoring

    def begin_scoring(self, pairs: int) -> None:
        """Drop the vectors of the previous run."""
        self._encoded = {}

    def score_batch(self, batch: EncodingBatch) -> None:
        """Encode a batch of texts of the run."""
        keys = [(batch.kind, row) for row in batch.rows.tolist()]
        self._encoded |= dict(zip(keys, self(batch.features).float().cpu(), strict=True))

    def gathered_scores(self) -> Tensor:
        """Return the (P,) fp32 similarities of the dev run's pairs."""
        assert self.dev is not None
        run = self.dev.run
        scores = [
            torch.stack([self._encoded["passages", row] for row in run.passages[i].tolist()])
            @ self._encoded["queries", int(query)]
            for i, query in enumerate(run.queries)
        ]
        self._encoded = {}
        return torch.cat(scores)

    def export(self, folder: Path) -> None:
        """Save the encoder in ``SentenceTransformer`` format, with its maximum lengths and similarity."""
        with quiet():
            self.network.save_pretrained(str(folder), create_model_card=False)


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
