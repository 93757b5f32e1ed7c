"""The cross-encoder: one network that reads a query and a passage together and gives their pair a score.

Shapes: B pairs of a batch, C logits of a pair (1 or 2), P pairs of a step or a run, Q queries, N passages a group (the
positive at index 0).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from experiments.config import Optimization
from experiments.data.batches.pair_batches import GroupBatch, ScoringBatch
from experiments.data.batches.pairs import TokenBatch
from experiments.models.compute_cost import CostModel, Step
from experiments.models.cross_encoder.export import PairCut, export_pairs
from experiments.models.packed_forward import logits_of, score_of
from experiments.models.ranker import DevSet, Loss, Ranker
from experiments.pretrained.padding import settle_padding

if TYPE_CHECKING:
    from experiments.models.teacher import Teacher


class CrossEncoder(Ranker):
    """Trains and scores with a Hugging Face sequence-classification network.

    ``layout``: ``packed`` or ``padded`` forward passes. ``recompute``: keep no activations but recompute them in the
    backward pass. ``cut``: how pairs are cut, for the export; None leaves it unsaid. ``teacher``: a trained
    cross-encoder whose scores of the groups the loss is given too; None if the loss takes none. The others: see
    ``Ranker``.

    Raises:
        ExperimentError: network and tokenizer have no padding token.
    """

    network: PreTrainedModel

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
        teacher: "Teacher | None" = None,
        dev: DevSet | None = None,
    ) -> None:
        super().__init__(network, loss, optimizer, steps=steps, seed=seed, dev=dev)
        self.tokenizer, self.layout, self.rank_by, self.recompute = tokenizer, layout, rank_by, recompute
        self.cut, self.teacher = cut, teacher
        self.cost = CostModel.of(network)
        settle_padding(network, tokenizer, f"the backbone {network.name_or_path!r}")
        self.scores_P = torch.empty(0)  # of the pairs of the run being scored

    def forward(self, tokens: TokenBatch) -> Tensor:
        """(B, C) logits of a batch of pairs."""
        return logits_of(self.network, tokens, self.layout)

    # --- training

    def group_scores(self, batch: GroupBatch) -> Tensor:
        """(Q, N) scores of groups, whose pairs are scored in length-sorted micro-batches; the graph holds them all, so
        that the gradient is that of the whole batch exactly. Log-odds whatever ``rank_by`` is: the losses are defined
        on them.
        """
        parts = [self._trained_scores(micro) for micro in batch.micro_batches]
        scores_P = torch.cat(parts)
        return torch.empty_like(scores_P).index_copy(0, batch.place_P, scores_P).view(batch.shape_QN)

    def scored_groups(self, batch: GroupBatch) -> tuple[Tensor, Tensor]:
        """The (Q, N) scores of the groups, twice: the loss is taken of nothing else."""
        scores_QN = self.group_scores(batch)
        return scores_QN, scores_QN

    def objective(self, batch: GroupBatch) -> tuple[Tensor, Tensor]:
        """The loss, of the teacher's scores too if there is a teacher, and the (Q, N) scores of the groups."""
        if self.teacher is None:
            return super().objective(batch)
        scores_QN = self.group_scores(batch)
        teacher_QN = self.teacher.scores(batch.teacher or batch)
        return self.loss(scores_QN, teacher_QN), scores_QN

    def _trained_scores(self, micro: TokenBatch) -> Tensor:
        if self.recompute:
            scores_B: Tensor = checkpoint(lambda tokens: score_of(self(tokens)), micro, use_reentrant=False)
            return scores_B
        return score_of(self(micro))

    def cost_of(self, batch: GroupBatch) -> Step:
        """Tokens and computed tokens of a step's pairs, and operations, those of the teacher's pass included."""
        lengths = [micro.lengths for micro in batch.micro_batches]
        packed = self.layout == "packed"
        flops = sum(self.cost.training(some, recomputed=self.recompute) for some in lengths)
        if self.teacher is not None:
            read = (batch.teacher or batch).micro_batches
            flops += sum(self.teacher.cost.forward(micro.lengths) for micro in read)
        return Step(
            shape_QN=batch.shape_QN,
            tokens=sum(map(sum, lengths)),
            computed_tokens=sum(sum(some) if packed else max(some) * len(some) for some in lengths),
            flops=flops,
        )

    # --- scoring

    def on_predict_epoch_start(self) -> None:
        """Make room for the scores of a run's pairs."""
        loader = self.trainer.predict_dataloaders
        assert loader is not None
        self.begin_scoring(loader.dataset.total)

    def predict_step(self, batch: ScoringBatch, batch_idx: int) -> None:
        """Score one batch of a run's pairs."""
        self.score_batch(batch)

    def begin_scoring(self, pairs: int) -> None:
        """Make room for the scores of a run's pairs."""
        self.scores_P = torch.zeros(pairs, dtype=torch.float32)

    def score_batch(self, batch: ScoringBatch) -> None:
        """Score one batch of pairs."""
        self.scores_P[batch.places_B] = score_of(self(batch.tokens), self.rank_by).cpu()

    def gathered_scores(self) -> Tensor:
        """(P,) fp32 scores of all pairs just scored: each rank scored its own and left zeros at the others'."""
        if not torch.distributed.is_initialized():
            return self.scores_P
        scores_P = self.scores_P.to(self.device, copy=True)  # reduced in place
        torch.distributed.all_reduce(scores_P)
        return scores_P.cpu()

    # --- export

    def export(self, folder: Path) -> None:
        """Save the network in Hugging Face format with one logit, the ranking score; sentence-transformers'
        ``CrossEncoder`` gives the same scores for the folder. See ``export_pairs``.
        """
        export_pairs(self.network, self.tokenizer, folder, self.rank_by, self.cut)
