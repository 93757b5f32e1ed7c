"""Define the inputs and the result of building a model, and the building steps that all models share."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.compute import INT8, Trainer
from experiments.config.negatives import RUN_ORDER
from experiments.data.batches.groups import Batcher, TrainingGroups
from experiments.data.collection import Collection
from experiments.data.datamodule import RankingData
from experiments.data.labels import Labels
from experiments.data.run import Run
from experiments.data.splits import Split
from experiments.models.activation_memory import activation_bytes, memory_of, memory_warning
from experiments.models.ranker import DevSet, Loss, Ranker
from experiments.pretrained.token_budget import tokens_per_batch

if TYPE_CHECKING:
    from experiments.negatives.run_lists import RunLists
    from experiments.negatives.sampler import NegativeSampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSetup:
    """A LightningModule and its training data."""

    module: Ranker
    data: RankingData
    steps: int
    """Optimiser steps of the budget."""


@dataclass(frozen=True)
class TrainingInputs:
    """The checked inputs of a training."""

    experiment: Experiment
    collection: Collection
    splits: Mapping[str, Split]
    sampler: "NegativeSampler | RunLists"
    never_negative: Mapping[int, NDArray[np.int64]]
    """Training query row -> passages that are never its negatives where groups share negatives."""
    passage_hashes: NDArray[np.uint64] | None
    """Hash of each passage's text, to detect copies of answers; None if copies may be negatives."""
    dev: DevSet
    """The first of the first stages over the dev queries, cut to the validation depth."""
    test: Mapping[str, Run]
    """First stage -> its run over the test queries."""
    candidates: Mapping[str, Run]
    """First stage -> the run that is re-ranked: ``test``, unless gold is injected."""
    loss: Loss
    cache: Cache

    @property
    def device(self) -> str:
        """Device of the training: ``cpu`` or ``gpu``."""
        return "gpu" if uses_gpu(self.experiment.trainer.accelerator) else "cpu"

    @property
    def precision(self) -> str:
        """Precision of the training, as Lightning names it."""
        return precision_of(self.experiment.trainer)

    def tokens_per_batch(self, purpose: str, layout: str) -> int:
        """Return the tokens of one forward pass to ``train`` or to ``score``."""
        wanted = self.experiment.compute.tokens_per_batch
        return getattr(wanted, purpose) or tokens_per_batch(purpose, self.device, layout)

    def _labels(self) -> Labels | None:
        """Return the labels of groups, if the loss reads them or positives are anywhere in a list."""
        of_lists = self.experiment.negatives.draw == RUN_ORDER
        if not of_lists and "labels_QN" not in inspect.signature(self.loss).parameters:
            return None
        return Labels(self.sampler.positives, self.splits["train"].qrels)

    def schedule(self, batcher: Batcher) -> tuple[TrainingGroups, int]:
        """Return the stream of groups and the optimiser steps of the budget. ``batcher``: encodes groups."""
        experiment = self.experiment
        queries = experiment.batch.queries(experiment.negatives.count)
        groups = TrainingGroups(self.sampler, queries, batcher, self._labels())
        steps = experiment.steps()
        if steps is None:  # a budget in tokens: count the tokens of the groups
            steps = tokens = 0
            while tokens < experiment.budget.size:
                tokens += groups.tokens(steps)
                steps += 1
            steps = experiment.whole_steps(steps)
        return groups, steps

    def setup(
        self, make_module: Callable[..., Ranker], batcher: Batcher, scoring: Callable[..., Dataset[Any]]
    ) -> TrainingSetup:
        """Return the module and its data.

        ``make_module``: builds the module from ``loss``, ``optimizer``, ``steps``, ``seed`` and ``dev``. ``batcher``:
        encodes groups. ``scoring``: called with a run, ``rank`` and ``ranks``, returns the batches in which the run is
        scored.
        """
        experiment = self.experiment
        groups, steps = self.schedule(batcher)
        data = RankingData(groups, scoring, self.dev.run, experiment.compute.workers)
        optimizer, seed = experiment.optimization, experiment.seed
        module = make_module(loss=self.loss, optimizer=optimizer, steps=steps, seed=seed, dev=self.dev)
        if experiment.negatives.draw == RUN_ORDER and not experiment.batch.checkpoint:
            devices, queries = experiment.trainer.devices, experiment.batch.queries(experiment.negatives.count)
            self._warn_of_memory(module.network, groups.tokens(0) // devices, queries // devices)
        return TrainingSetup(module, data, steps)

    def _warn_of_memory(self, network: nn.Module, tokens: int, queries: int) -> None:
        """Warn if the activations of a step of lists are likely to need more memory than the device has."""
        needed = activation_bytes(network, tokens, self.precision)
        warning = memory_warning(needed, memory_of(self.device), self.experiment.negatives.count + 1, queries)
        if warning is not None:
            log.warning("%s", warning)


def precision_of(trainer: Trainer) -> str:
    """Return the precision of a training; ``auto`` is bf16 on a GPU and fp32 elsewhere.

    Raises:
        ExperimentError: 8-bit integers are wanted on a GPU.
    """
    if trainer.precision == INT8:
        if uses_gpu(trainer.accelerator):
            raise ExperimentError(f"trainer.precision={INT8} is for a CPU: set trainer=cpu, or trainer.precision=auto")
        return "32-true"
    if trainer.precision == "auto":
        return "bf16-mixed" if uses_gpu(trainer.accelerator) else "32-true"
    return trainer.precision


def uses_gpu(accelerator: str) -> bool:
    """Return whether an accelerator, as Lightning names it, is a GPU on this machine."""
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
