"""Train by this project: its LightningModule and data module in the trainer of a job."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.contestants.groups import results_of
from benchmarks.contestants.job import Job, overrides
from benchmarks.harness.child import Timing, serve
from numpy.typing import NDArray

from experiments.models.training_setup import precision_of


class OurTraining:
    """A job that is trained in each round, from the weights that the round before left."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.folder = settings, Path(settings["folder"])
        self.device = settings.get("device", "cpu")

    def results(self) -> NDArray[np.float32]:
        """Return scores of the first groups before and after some steps without dropout."""
        short = {**self.settings, "warm_up": 0, "steps": self.settings["equal_steps"]}
        job = Job.open(overrides(short, 0.0))
        before = scores_of(job, self.device)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            job.train(Path(folder), 0, device=self.device)
        after = scores_of(job, self.device)
        self.job = Job.open(overrides(self.settings, self.settings["dropout"]))
        return results_of(before, after, self.settings)

    def round(self) -> Timing:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            timing = self.job.train(Path(folder), self.settings["warm_up"], device=self.device)
        if self.settings.get("pairs"):  # the unit is a pair, not a group
            return replace(timing, units=timing.units * (self.settings["negatives"] + 1))
        return timing


def scores_of(job: Job, device: str) -> NDArray[np.float32]:
    """Return the scores of the pairs of the first step. Lightning leaves the module on the CPU, whatever trained it."""
    module, batch = job.setup.module.eval().to(device), job.setup.data.groups.batch(0)
    in_16_bits = device != "cpu" and "16" in precision_of(job.experiment.trainer)
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=in_16_bits):
        scores = module.scored_groups(batch.to(module.device))[1].float().cpu().numpy()
    module.train()
    flat: NDArray[np.float32] = scores.ravel()
    return flat


if __name__ == "__main__":
    serve(OurTraining)
