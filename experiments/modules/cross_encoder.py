"""The cross-encoder: one network that reads a query and a passage together and gives their pair a score.

Shapes: B pairs of a batch, C logits of a pair (1 or 2), P pairs of a step, Q queries, N passages a group (the positive
at index 0).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from experiments.data.groups import GroupBatch, ScoringBatch
from experiments.data.pairs import TokenBatch
from experiments.evaluation.measures import evaluate, rerank
from experiments.hashing import key_of
from experiments.modules.backbone import quiet
from experiments.modules.compute import CostModel, Spent
from experiments.modules.packing import packed_logits, padded_logits, supports_packing
from experiments.modules.schedule import factor, make_optimizer, warmup_steps
from experiments.retrieval.run import Run
from experiments.schema import Optimizer

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DevSet:
    """What checkpoints are chosen on. ``run``: the first stage's run over the dev queries; ``relevance``: query row ->
    passage row -> grade; ``measure``: the measure, such as RR@10.
    """

    run: Run
    relevance: Mapping[int, Mapping[int, int]]
    measure: str


def choose_layout(network: PreTrainedModel, layout: str, device: str) -> str:
    """``packed`` or ``padded``. ``auto`` packs on a CPU wherever the architecture allows it; elsewhere one attention
    call per pair would leave the device idle, and length-sorted padded batches are used.
    """
    if layout != "auto":
        return layout
    return "packed" if device == "cpu" and supports_packing(network) else "padded"


def score_of(logits_BC: Tensor, rank_by: str = "log_odds") -> Tensor:
    """(B,) fp32 scores of pairs. One logit is the score. Of two classes the score is the log-odds, the second logit
    less the first, or with ``positive_logit`` the second alone.
    """
    logits_BC = logits_BC.float()
    if logits_BC.shape[1] == 1:
        return logits_BC[:, 0]
    return logits_BC[:, 1] - logits_BC[:, 0] if rank_by == "log_odds" else logits_BC[:, 1]


class CrossEncoder(pl.LightningModule):
    """Trains and scores with a Hugging Face sequence-classification network.

    ``loss``: of (Q, N) scores. ``steps``: optimiser steps in all, for the schedule. ``layout``: ``packed`` or
    ``padded`` forward passes. ``recompute``: keep no activations but recompute them in the backward pass. ``dev``: what
    validation measures.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        loss: Loss,
        optimizer: Optimizer,
        *,
        steps: int,
        seed: int,
        layout: str = "padded",
        rank_by: str = "log_odds",
        recompute: bool = False,
        dev: DevSet | None = None,
    ) -> None:
        super().__init__()
        self.network, self.tokenizer, self.loss, self.config = network.train(), tokenizer, loss, optimizer
        self.steps, self.seed, self.layout, self.rank_by, self.recompute, self.dev = (
            steps,
            seed,
            layout,
            rank_by,
            recompute,
            dev,
        )
        self.spent = Spent()
        self.cost = CostModel.of(network)
        self.pad_token_id = int(tokenizer.pad_token_id or 0)
        self.scores_P = torch.empty(0)  # of the pairs of the run being scored
        self._started = 0.0

    def forward(self, tokens: TokenBatch) -> Tensor:
        """(B, C) logits of a batch of pairs."""
        if self.layout == "packed":
            return packed_logits(self.network, tokens)
        return padded_logits(self.network, tokens, self.pad_token_id)

    # --- training

    def group_scores(self, batch: GroupBatch) -> Tensor:
        """(Q, N) scores of groups, whose pairs are scored in length-sorted micro-batches; the graph holds them all, so
        that the gradient is that of the whole batch exactly. Log-odds whatever ``rank_by`` is: the losses are defined
        on them.
        """
        parts = [self._trained_scores(micro) for micro in batch.micro_batches]
        scores_P = torch.cat(parts)
        return torch.empty_like(scores_P).index_copy(0, batch.place_P, scores_P).view(batch.shape_QN)

    def _trained_scores(self, micro: TokenBatch) -> Tensor:
        if self.recompute:
            scores_B: Tensor = checkpoint(lambda tokens: score_of(self(tokens)), micro, use_reentrant=False)
            return scores_B
        return score_of(self(micro))

    def training_step(self, batch: GroupBatch, batch_idx: int) -> Tensor:
        """The loss of a step's groups."""
        # Dropout is seeded by the step: a resumed training goes on as if it had never stopped.
        torch.manual_seed(key_of("dropout", self.seed, batch.step, self.global_rank))
        scores_QN = self.group_scores(batch)
        loss = self.loss(scores_QN)
        self._log_step(batch, scores_QN.detach(), loss.detach())
        return loss

    def _log_step(self, batch: GroupBatch, scores_QN: Tensor, loss: Tensor) -> None:
        computed = sum(self._computed_tokens(micro) for micro in batch.micro_batches)
        flops = sum(self.cost.training(micro.lengths, recomputed=self.recompute) for micro in batch.micro_batches)
        now = time.monotonic()
        tokens_before = self.spent.tokens
        self.spent.count(batch, computed, flops, self.trainer.world_size)
        if self._started:  # from the end of the last step to the end of this forward pass: a whole step's time
            self.spent.seconds += now - self._started
            speed = (self.spent.tokens - tokens_before) / max(now - self._started, 1e-9)
            self.log("train/tokens_per_second", speed)
        self._started = now
        positive_Q, negative_Q = scores_QN[:, 0], scores_QN[:, 1:]
        self.log("train/loss", loss)
        self.log("train/score_margin", (positive_Q - negative_Q.mean(dim=1)).mean())
        self.log("train/positive_on_top", (positive_Q > negative_Q.amax(dim=1)).float().mean())
        self.log("train/lr", self.lr_schedulers().get_last_lr()[0])  # type: ignore[union-attr]
        self.log("train/groups", float(self.spent.groups))
        self.log("train/pairs", float(self.spent.pairs))

    def _computed_tokens(self, micro: TokenBatch) -> int:
        return sum(micro.lengths) if self.layout == "packed" else max(micro.lengths) * len(micro.lengths)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``optimizer.clip`` and log the norm before it; one pass over the gradients does both."""
        limit = self.config.clip if self.config.clip is not None else float("inf")
        self.log("train/gradient_norm", nn.utils.clip_grad_norm_(self.parameters(), limit))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with the configured schedule, stepped every optimiser step."""
        optimizer = make_optimizer(self.network, self.config, fused=self.trainer.precision != "16-mixed")
        warmup = warmup_steps(self.config.warmup, self.steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: factor(self.config.schedule, step, self.steps, warmup, self.config.decay)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Start the clock of the training's seconds."""
        self._started = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was spent so far."""
        checkpoint["spent"] = self.spent.as_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count on from there."""
        spent = dict(checkpoint["spent"])
        spent.pop("padding_waste")
        self.spent = Spent(**spent)

    # --- scoring

    def on_validation_start(self) -> None:
        """Stop the training's clock."""
        if self._started:
            self.spent.seconds += time.monotonic() - self._started

    def on_validation_epoch_start(self) -> None:
        """Make room for the scores of the dev pairs."""
        assert self.dev is not None
        self._begin_scoring(len(self.dev.run.passages.values))

    def validation_step(self, batch: ScoringBatch, batch_idx: int) -> None:
        """Score one batch of dev pairs."""
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the dev measure, such as ``dev/RR@10``, of the re-ranked dev run."""
        assert self.dev is not None
        run, ties = rerank(self.dev.run, self.gathered_scores().numpy(), "dev")
        value = evaluate(run, self.dev.relevance, [self.dev.measure]).mean[self.dev.measure]
        self.log(f"dev/{self.dev.measure}", value, prog_bar=True, rank_zero_only=False)
        self.log("dev/ties", float(ties))

    def on_validation_end(self) -> None:
        """Start the training's clock again."""
        self._started = time.monotonic()

    def on_predict_epoch_start(self) -> None:
        """Make room for the scores of a run's pairs."""
        loader = self.trainer.predict_dataloaders
        assert loader is not None
        self._begin_scoring(loader.dataset.total)

    def predict_step(self, batch: ScoringBatch, batch_idx: int) -> None:
        """Score one batch of a run's pairs."""
        self._score(batch)

    def _begin_scoring(self, pairs: int) -> None:
        self.scores_P = torch.zeros(pairs, dtype=torch.float32)

    def _score(self, batch: ScoringBatch) -> None:
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
        ``CrossEncoder`` gives the same scores for the folder.
        """
        with self._one_logit():
            config = self.network.config
            # sentence-transformers puts a sigmoid on a single logit unless the config names another activation
            config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}
            with quiet():
                self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @contextmanager
    def _one_logit(self) -> Iterator[None]:
        """Fold a head of two classes into the one logit that ranks: its rows' difference, or its second row."""
        name, head = next((n, m) for n, m in reversed(list(self.network.named_modules())) if isinstance(m, nn.Linear))
        if head.out_features == 1:
            yield
            return
        folded = nn.Linear(head.in_features, 1)
        with torch.no_grad():
            first = 1.0 if self.rank_by == "log_odds" else 0.0
            folded.weight.copy_(head.weight[1:] - first * head.weight[:1])
            folded.bias.copy_(head.bias[1:] - first * head.bias[:1])
        parent = self.network.get_submodule(name.rpartition(".")[0])
        labels = self.network.config.num_labels
        setattr(parent, name.rpartition(".")[2], folded)
        self.network.config.num_labels = 1
        try:
            yield
        finally:
            setattr(parent, name.rpartition(".")[2], head)
            self.network.config.num_labels = labels
