"""Compose and open a job of this project, as ``experiments.jobs.run_job`` does, for what is timed of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from benchmarks.contestants.collection import collection_of
from benchmarks.harness.child import Stopwatch, Timing
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.config import Experiment, compose
from experiments.data.collection import Collection, open_collection
from experiments.data.run import Run
from experiments.job_files.job_folder import JobFolder
from experiments.jobs.components import Components
from experiments.jobs.prepare import prepare
from experiments.jobs.prerequisites import train_prerequisites
from experiments.jobs.threads import set_threads
from experiments.jobs.trainer import make_trainer, quiet_lightning
from experiments.models.int8 import scoring_in
from experiments.models.training_setup import TrainingInputs, TrainingSetup


def overrides(settings: Mapping[str, Any], dropout: float) -> list[str]:
    """Return a job that trains on the shared collection without validation and logging; a line adds its own keys."""
    steps = settings.get("warm_up", 0) + settings.get("steps", 1)
    queries = settings.get("queries", 1)
    folder = Path(settings["folder"])
    return [
        "data=beir",
        f"data.path={collection_of(settings)}",
        "negatives.depth=50",
        "first_stage_depth=50",
        "batch.unit=queries",
        f"batch.size={queries}",
        "budget=groups",
        f"budget.size={queries * steps}",
        f"negatives.count={settings.get('negatives', 1)}",
        "validation.times=0",
        "validation.select=last",
        "scheduler=constant",
        "scheduler.warmup=0",
        f"optimizer.lr={settings.get('lr', 1e-4)}",
        "optimizer.weight_decay=0",
        f"model.dropout={dropout}",
        f"trainer={settings.get('trainer', 'cpu')}",
        f"compute.threads={settings['threads']}",
        "logger=none",
        f"outputs={folder / 'outputs'}",
        f"cache={Path(settings['shared']) / 'cache'}",
        *settings["job"],
        *settings.get("extra", []),  # of one contestant
        *([f"backbone.path={Path(settings['shared']) / 'electra'}"] if "backbone=local" in settings["job"] else []),
    ]


@dataclass(frozen=True)
class Job:
    """A job whose data and network are there."""

    experiment: Experiment
    components: Components
    collection: Collection
    inputs: TrainingInputs
    setup: TrainingSetup

    @classmethod
    def open(cls, arguments: list[str]) -> "Job":
        """Compose a job and prepare its training."""
        compose.register()
        experiment = compose.check(compose.composed(*arguments))
        experiment, components = train_prerequisites(experiment)
        set_threads(experiment, experiment.trainer.devices)
        cache = Cache(experiment.cache)
        with quiet_lightning():
            pl.seed_everything(experiment.seed, workers=True, verbose=False)
            collection = open_collection(components.source, cache, experiment.data.ignore_identical_ids)
            inputs = prepare(experiment, collection, components, cache)
            return cls(experiment, components, collection, inputs, experiment.model.build(inputs))

    def trainer(self, folder: Path) -> pl.Trainer:
        """Return the trainer of the job, with its callbacks and without a logger."""
        made, _ = make_trainer(
            self.experiment, self.components.make, False, JobFolder(folder, "benchmark"), self.setup, ""
        )
        return made

    def train(self, folder: Path, warm_up: int, *, device: str = "cpu") -> Timing:
        """Train on all groups of the budget; returns the time of the steps after the first ``warm_up``, in groups."""
        clock = Clock(warm_up, self.setup.steps, device)
        with quiet_lightning():
            trainer = self.trainer(folder)
            trainer.callbacks.insert(0, clock)  # before the callback that keeps the weights at the end
            trainer.fit(self.setup.module, datamodule=self.setup.data)
        assert clock.timing is not None
        queries = self.experiment.batch.queries(self.experiment.negatives.count)
        return replace(clock.timing, units=clock.timing.units * queries, flops=clock.flops)

    def score(self, trainer: pl.Trainer, run: Run) -> NDArray[np.float32]:
        """Return the scores of a run's pairs in their order, as a job re-ranks."""
        with quiet_lightning(), scoring_in(self.experiment.trainer.precision, self.setup.module.network):
            loader = self.setup.data.run_loader(run, (0, 1))
            trainer.predict(self.setup.module, dataloaders=loader, return_predictions=False)
        scores: NDArray[np.float32] = self.setup.module.gathered_scores().numpy()
        return scores


class Clock(pl.Callback):
    """Time the steps of a training after the first few, in steps."""

    def __init__(self, warm_up: int, steps: int, device: str) -> None:
        self.warm_up, self.steps, self.watch = warm_up, steps, Stopwatch(device)
        self.timing: Timing | None = None
        self.before = self.flops = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx + 1 == self.warm_up:
            self.watch.start()
            self.before = pl_module.spent.flops
        if batch_idx + 1 == self.steps:
            self.timing = self.watch.stop(self.steps - self.warm_up)
            self.flops = pl_module.spent.flops - self.before
