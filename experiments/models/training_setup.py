"""What a model is built from, and what it is built into; the steps of building that all models share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.data.batches.groups import Batcher, TrainingGroups
from experiments.data.collection import Collection
from experiments.data.datamodule import RankingData
from experiments.data.run import Run
from experiments.data.splits import Split
from experiments.models.ranker import DevSet, Loss, Ranker
from experiments.pretrained.token_budget import tokens_per_batch

if TYPE_CHECKING:
    from experiments.negatives.sampler import NegativeSampler


@dataclass(frozen=True)
class TrainingSetup:
    """A LightningModule and the data that it trains on."""

    module: Ranker
    data: RankingData
    steps: int
    """Optimiser steps of the budget."""


@dataclass(frozen=True)
class TrainingInputs:
    """All that a training needs, checked."""

    experiment: Experiment
    collection: Collection
    splits: Mapping[str, Split]
    sampler: "NegativeSampler"
    never_negative: Mapping[int, NDArray[np.int64]]
    """Training query row -> the passages that are no negatives of it where groups share their negatives."""
    passage_hashes: NDArray[np.uint64] | None
    """Hash of each passage's text, by which copies of answers are known; None if copies may be negatives."""
    dev: DevSet
    """The first of the first stages over the dev queries, cut to the validation depth."""
    test: Mapping[str, Run]
    """Each first stage over the test queries."""
    candidates: Mapping[str, Run]
    """What of ``test`` is re-ranked: the same unless gold is injected."""
    loss: Loss
    cache: Cache

    @property
    def device(self) -> str:
        """Where the training runs: ``cpu`` or ``gpu``."""
        return "gpu" if uses_gpu(self.experiment.trainer.accelerator) else "cpu"

    def tokens_per_batch(self, purpose: str, layout: str) -> int:
        """Return the tokens of one forward pass to ``train`` or to ``score``."""
        wanted = self.experiment.compute.tokens_per_batch
        return getattr(wanted, purpose) or tokens_per_batch(purpose, self.device, layout)

    def setup(
        self, make_module: Callable[[int], Ranker], batcher: Batcher, scoring: Callable[..., Dataset[Any]]
    ) -> TrainingSetup:
        """Return a module and its data.

        ``make_module``: makes the module of a number of optimiser steps. ``batcher``: what it reads of groups.
        ``scoring``: of a run and the keywords ``rank`` and ``ranks``, the batches in which the run is scored.

        Raises:
            ExperimentError: a step cannot be shared by the devices.
        """
        experiment, devices = self.experiment, self.experiment.trainer.devices
        queries = experiment.batch.queries(experiment.negatives.count)
        if queries % devices:
            raise ExperimentError(f"a step has {queries} queries, which {devices} devices cannot share evenly")
        groups = TrainingGroups(self.sampler, queries, batcher)
        steps = steps_for(experiment, groups)
        data = RankingData(groups, scoring, self.dev.run, experiment.compute.workers)
        return TrainingSetup(make_module(steps), data, steps)


def uses_gpu(accelerator: str) -> bool:
    """Return whether an accelerator, as Lightning names it, is a GPU on this machine."""
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def steps_for(experiment: Experiment, groups: TrainingGroups) -> int:
    """Return the optimiser steps of the budget; those of a budget in tokens are counted on the groups themselves."""
    known = experiment.steps()
    if known is not None:
        return known
    steps = spent = 0
    while spent < experiment.budget.size:
        spent += groups.tokens(steps)
        steps += 1
    return experiment.whole_steps(steps)
