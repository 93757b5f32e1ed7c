"""Share the training of all rankers: the loss over groups, the optimiser, cost counting, and validation on dev queries.

Shapes: Q queries of a step, N passages per group (the positive at index 0), P pairs of a run.
"""

import inspect
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of
from experiments.common.text import first_line
from experiments.config import Optimization
from experiments.data.run import Run
from experiments.evaluation.measures import evaluate, rerank
from experiments.losses.diagnostics import diagnostics
from experiments.models.compute_cost import Spent, Step
from experiments.models.memory_guard import free, ran_out, too_little
from experiments.models.optimizer import make_optimizer, make_schedule
from experiments.models.ranks import summed

log = logging.getLogger(__name__)
# (Q, N) scores, the teacher's (Q, N) scores if there is a teacher, and labels_QN if it takes them -> loss
Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class DevSet:
    """Data on which checkpoints are chosen.

    ``run``: the first stage's run over the dev queries. ``relevance``: query row -> passage row -> grade. ``measure``:
    such as RR@10.
    """

    run: Run
    relevance: Mapping[int, Mapping[int, int]]
    measure: str


class Ranker(pl.LightningModule, ABC):
    """A network that scores the passages of a query, trained on groups.

    ``network``: the trained network. ``loss``: a function of (Q, N) scores. ``optimizer``: optimiser and schedule
    settings. ``steps``: optimiser steps in all. ``dev``: the validation data. ``observed``: learning rate, loss and
    diagnostics of the last step, on its device. ``spared``: whether an allocation has failed, and the steps since then
    take less memory. A subclass implements the abstract methods.
    """

    spares = False  # whether the kind of ranker can take less memory for the same gradient

    def __init__(
        self, network: nn.Module, loss: Loss, optimizer: Optimization, *, steps: int, seed: int, dev: DevSet | None
    ) -> None:
        super().__init__()
        self.network, self.loss, self.config = network.train(), loss, optimizer
        self.steps, self.seed, self.dev = steps, seed, dev
        self.takes_labels = "labels_QN" in inspect.signature(loss).parameters
        self.spent = Spent()
        self.observed: dict[str, Tensor | float] = {}
        self.spared = False
        self._started = 0.0

    # --- implemented by each kind of ranker

    @abstractmethod
    def scored_groups(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the scores that the loss reads, the positive at index 0, and the (Q, N) scores of the groups.

        Both are of the whole step, from every rank.
        """

    def objective(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the quantity to minimise (by default the loss of the scores), and the (Q, N) scores of the groups."""
        scores, scores_QN = self.scored_groups(batch)
        return self.loss_of(batch, scores), scores_QN

    def loss_of(self, batch: Any, *scores: Tensor, **masked: Tensor) -> Tensor:
        """Return the loss of scores, and of the teacher's if given, with the labels of the batch if it takes any.

        ``masked``: where the teacher has a value, as ``mask_QN``.

        Without labels the positive is at index 0, as where the passages of a step are negatives of each other.
        """
        if not self.takes_labels:
            return self.loss(*scores, **masked)
        labels_QN = getattr(batch, "labels_QN", None)
        if labels_QN is None or labels_QN.shape != scores[0].shape:
            labels_QN = torch.zeros_like(scores[0])
            labels_QN[:, 0] = 1.0
        return self.loss(*scores, **masked, labels_QN=labels_QN)

    @abstractmethod
    def cost_of(self, batch: Any) -> Step:
        """Return what a step costs this rank."""

    @abstractmethod
    def begin_scoring(self, pairs: int) -> None:
        """Prepare for the scores of a run of ``pairs`` pairs."""

    @abstractmethod
    def score_batch(self, batch: Any) -> None:
        """Process one batch of a run."""

    @abstractmethod
    def gathered_scores(self) -> Tensor:
        """Return the (P,) fp32 scores of all pairs of the run, from every rank."""

    @property
    def windows_P(self) -> NDArray[np.int64] | None:  # noqa: N802 - the suffix is the shape's
        """The number of windows in which each pair of the run was read; None where each was read once."""
        return None

    def finish_training(self) -> None:
        """Bring the network into the form in which it is exported and probed, after the last step."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Save the network in a sentence-transformers format, with the same scores."""

    # --- training

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        # Dropout is seeded by the step, so that a resumed training equals an uninterrupted one.
        _seed(key_of("dropout", self.seed, batch.step, self.global_rank), self.device)
        loss, scores_QN = self.objective(batch)
        self._observe(batch, scores_QN.detach(), loss.detach())
        return loss

    def _observe(self, batch: Any, scores_QN: Tensor, loss: Tensor) -> None:
        """Count the cost of the step, compute diagnostics, and log both where the logger takes a row."""
        logged: dict[str, Tensor | float] = {}
        now = time.monotonic()
        cost = self.cost_of(batch)
        self.spent.count(cost)
        if self._started:  # from the end of the last step to the end of this forward pass: a whole step's time
            self.spent.seconds += now - self._started
            logged["tokens_per_second"] = cost.tokens * self.trainer.world_size / max(now - self._started, 1e-9)
        self._started = now
        rate = self.lr_schedulers().get_last_lr()[0]  # type: ignore[union-attr]
        labels_QN = getattr(batch, "labels_QN", None)
        self.observed = {"lr": float(rate), "loss": loss, **diagnostics(scores_QN, labels_QN)}
        if self.logs_step:
            total = self.total_spent()
            logged |= self.observed | {"groups": float(total.groups), "pairs": float(total.pairs)}
            self.log_dict({f"train/{name}": value for name, value in logged.items()})

    @property
    def logs_step(self) -> bool:
        """Whether the logger takes a row at this step; at others a value would cost Lightning a millisecond."""
        if self._trainer is None:  # a step outside of a training
            return False
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return (self.trainer.global_step + 1) % every == 0

    def total_spent(self) -> Spent:
        """Return the costs of all ranks, which must all call this."""
        return self.spent.over_ranks(lambda values: summed(values, self.device))

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Do a step; if memory does not suffice for its gradient, again with less, and so from then on."""
        assert optimizer_closure is not None
        super().optimizer_step(epoch, batch_idx, optimizer, partial(self._within_memory, optimizer_closure))

    def _within_memory(self, closure: Callable[[], Any]) -> Any:
        """Compute loss and gradient.

        Raises:
            ExperimentError: memory does not suffice, and no more can be spared.
        """
        spent = replace(self.spent)
        try:
            return closure()
        except Exception as error:
            if not ran_out(error):
                raise
            if self.spared or not self.spares or self.trainer.world_size > 1:  # other ranks would wait for this one
                raise too_little(self.device, error, recomputes=self.spares and not self.spared) from error
            self.spared = True
            log.warning(
                "step %d does not fit into memory (%s): from here on passes are half as large and activations are "
                "recomputed, for the same gradient",
                self.trainer.global_step + 1,
                first_line(error),
            )
        free(self.device)  # here, as the error above holds the tensors of its attempt
        self.spent = spent
        return self._within_memory(closure)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``optimizer.clip`` and log the norm before it, in one pass over the gradients."""
        limit = float("inf") if self.config.optimizer.clip is None else self.config.optimizer.clip
        norm = _clip(list(self.parameters()), limit)
        if self.logs_step:
            self.log("train/gradient_norm", norm)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = make_optimizer(self.network, self.config.optimizer, fused=self.trainer.precision != "16-mixed")
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, make_schedule(self.config.scheduler, self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        self._started = time.monotonic()

    def on_train_end(self) -> None:
        self.spent = self.total_spent()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["spent"] = self.total_spent().as_dict()
        checkpoint["spared"] = self.spared

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the costs so far from a checkpoint, and whether memory was too little.

        Raises:
            ExperimentError: its weights are of other shapes than the model's.
        """
        own = {name: weight.shape for name, weight in self.state_dict().items()}
        for name, weight in checkpoint["state_dict"].items():
            if name in own and weight.shape != own[name]:
                raise ExperimentError(
                    f"this job's checkpoint has {name} of shape {tuple(weight.shape)}, and its model of "
                    f"{tuple(own[name])}: another version wrote it; delete the folder of the job to train it anew"
                )
        self.spared = checkpoint.get("spared", False)
        spent = Spent(**{name: total for name, total in checkpoint["spent"].items() if name != "padding_waste"})
        self.spent = spent.of_another_rank() if self.global_rank else spent

    # --- validation

    def on_validation_start(self) -> None:
        if self._started:  # validation is not training time
            self.spent.seconds += time.monotonic() - self._started

    def on_validation_epoch_start(self) -> None:
        assert self.dev is not None
        self.begin_scoring(len(self.dev.run.passages.values))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.score_batch(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the dev measure, such as ``dev/RR@10``, of the re-ranked dev run."""
        assert self.dev is not None
        run, ties = rerank(self.dev.run, self.gathered_scores().numpy(), "dev")
        value = evaluate(run, self.dev.relevance, [self.dev.measure]).mean[self.dev.measure]
        self.log(f"dev/{self.dev.measure}", value, prog_bar=True, rank_zero_only=False)
        self.log("dev/ties", float(ties))

    def on_validation_end(self) -> None:
        self._started = time.monotonic()


def _clip(parameters: list[nn.Parameter], limit: float) -> Tensor:
    """Scale the gradients down to a norm of ``limit``; returns the norm before it.

    On a GPU it would take longer to wait for the norm than to multiply by 1.
    """
    norm: Tensor = nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None])
    if norm.device.type != "cpu" or not norm <= limit:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def _seed(seed: int, device: torch.device) -> None:
    """Seed the random numbers of a device. On a CPU ``torch.manual_seed`` would also note the call, with a traceback of
    two milliseconds, for devices that may be used later.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
