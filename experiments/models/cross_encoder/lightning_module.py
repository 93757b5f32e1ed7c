"""Train the cross-encoder: one network reads query and passage together and scores the pair.

Shapes: B pairs of a batch, C logits of a pair (1 or 2), P pairs of a step or a run, W windows of a run's pairs (P of
them where each pair is read once), Q queries, N passages per group (the positive at index 0), V words.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from experiments.config import Optimization
from experiments.data.batches.pair_batches import GroupBatch, RunPairs, ScoringBatch
from experiments.data.batches.pairs import TokenBatch
from experiments.data.batches.scored_pairs import ScoredPairs
from experiments.models.compact_vocabulary import compact_vocabulary, whole_vocabulary
from experiments.models.compute_cost import CostModel, Step
from experiments.models.cross_encoder.export import PairCut, export_pairs
from experiments.models.memory_guard import scored_within_memory
from experiments.models.packed_forward import logits_of, score_of
from experiments.models.ranker import DevSet, Loss, Ranker
from experiments.models.ranks import gathered, summed_tensor
from experiments.pretrained.padding import settle_padding


class CrossEncoder(Ranker):
    """Train and score with a Hugging Face sequence-classification network.

    ``layout``: ``packed``, ``compiled`` or ``padded`` passes. ``recompute``: recompute activations in the backward pass
    instead of keeping them. ``cut``: maximum lengths for the export. ``teacher_cost``: of the model whose scores of the
    groups are in the batches; None without one. ``words_V``: the words that pairs may have, whose embeddings alone are
    trained; None for all. The others: see ``Ranker``.

    Raises:
        ExperimentError: network and tokenizer have no padding token.
    """

    network: PreTrainedModel
    spares = True

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        loss: Loss,
        optimizer: Optimization,
        *,
        steps: int,
        seed: int,
        layout: str = "padded",
        rank_by: str = "log_odds",
        recompute: bool = False,
        cut: PairCut | None = None,
        teacher_cost: CostModel | None = None,
        words_V: NDArray[np.bool_] | None = None,
        dev: DevSet | None = None,
    ) -> None:
        super().__init__(network, loss, optimizer, steps=steps, seed=seed, dev=dev)
        self.tokenizer, self.layout, self.rank_by, self.recompute = tokenizer, layout, rank_by, recompute
        self.cut, self.teacher_cost = cut, teacher_cost
        self.cost = CostModel.of(network)
        settle_padding(network, tokenizer, f"the backbone {network.name_or_path!r}")
        if words_V is not None:
            compact_vocabulary(network, words_V)
        self.scores_W = torch.empty(0)  # of the run being scored
        self.scored: ScoredPairs | None = None  # its pairs, where they are read in windows

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Return the (B, C) logits of pairs."""
        return logits_of(self.network, tokens, self.layout)

    def group_scores(self, batch: GroupBatch) -> Tensor:
        """Return the (Q, N) log-odds of this rank's groups, on which the losses are defined whatever ``rank_by`` is.

        Pairs are scored in length-sorted micro-batches in one graph, so the gradient is that of the whole batch.
        """
        scores_P = torch.cat([self._trained_scores(micro) for micro in self._passes(batch)])
        return torch.empty_like(scores_P).index_copy(0, batch.place_P, scores_P).view(batch.shape_QN)

    def scored_groups(self, batch: GroupBatch) -> tuple[Tensor, Tensor]:
        scores_QN = gathered(self.group_scores(batch))
        return scores_QN, scores_QN

    def objective(self, batch: GroupBatch) -> tuple[Tensor, Tensor]:
        """Return the loss, with the teacher's values if the batch has them, and the (Q, N) scores of the groups."""
        if batch.teacher_QN is None:
            return super().objective(batch)
        scores_QN = gathered(self.group_scores(batch))
        masked = {} if batch.mask_QN is None else {"mask_QN": batch.mask_QN}
        return self.loss_of(batch, scores_QN, batch.teacher_QN, **masked), scores_QN

    def _passes(self, batch: GroupBatch) -> tuple[TokenBatch, ...]:
        """Return the pairs of each forward pass: of half of a micro-batch where memory was too little for all."""
        if not self.spared:
            return batch.micro_batches
        return tuple(half for micro in batch.micro_batches for half in micro.halves())

    def _trained_scores(self, micro: TokenBatch) -> Tensor:
        if self.recompute or self.spared:
            scores_B: Tensor = checkpoint(lambda tokens: score_of(self(tokens)), micro, use_reentrant=False)
            return scores_B
        return score_of(self(micro))

    def cost_of(self, batch: GroupBatch) -> Step:
        lengths, recomputed = [micro.lengths for micro in self._passes(batch)], self.recompute or self.spared
        tokens = sum(map(sum, lengths))
        padded = sum(max(micro) * len(micro) for micro in lengths)
        flops = sum(self.cost.training(micro, recomputed=recomputed) for micro in lengths)
        if self.teacher_cost is not None:  # also of scores from the cache, so that jobs compare
            flops += self.teacher_cost.forward(batch.teacher_lengths)
        return Step(batch.shape_QN, tokens, padded if self.layout == "padded" else tokens, flops)

    def on_predict_epoch_start(self) -> None:
        self._begin_run(self.trainer.predict_dataloaders)

    def predict_step(self, batch: ScoringBatch, batch_idx: int) -> None:
        self.score_batch(batch)

    def on_validation_epoch_start(self) -> None:
        self._begin_run(self.trainer.val_dataloaders)

    def _begin_run(self, loader: Any) -> None:
        """Prepare for the scores of a loader's run, whose pairs may be read in windows."""
        run: RunPairs = loader.dataset
        self.begin_scoring(run.total)
        self.scored = run.pairs

    def begin_scoring(self, pairs: int) -> None:
        self.scores_W = torch.zeros(pairs, dtype=torch.float32)
        self.scored = None

    def score_batch(self, batch: ScoringBatch) -> None:
        scores_B = scored_within_memory(lambda tokens: score_of(self(tokens), self.rank_by), batch.tokens)
        self.scores_W[batch.places_B] = scores_B

    def gathered_scores(self) -> Tensor:
        """Return the (P,) fp32 scores of all pairs, of windows the best; each rank scored its own texts and has zeros
        elsewhere.
        """
        scores_W = summed_tensor(self.scores_W, self.device)
        return scores_W if self.scored is None else torch.from_numpy(self.scored.best(scores_W.numpy()))

    @property
    def windows_P(self) -> NDArray[np.int64] | None:  # noqa: N802 - the suffix is the shape's
        return self.scored.counts_P if self.scored is not None else None

    def finish_training(self) -> None:
        whole_vocabulary(self.network)

    def export(self, folder: Path) -> None:
        export_pairs(self.network, self.tokenizer, folder, self.rank_by, self.cut)
