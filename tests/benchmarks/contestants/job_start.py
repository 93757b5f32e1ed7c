"""Start the jobs of a grid in one process, and take the time before the first step of each.

``settings["jobs"]``: ``first``, from the start of Python, or ``next``: the mean of the others, from the end of the job
before.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.contestants.tiny_grid import run, tiny_job
from benchmarks.harness.child import Timing, serve

GRID = ("loss=lce,bce", "seed=1,2", "study=starts")


class JobStart:
    """A grid of four jobs that is run anew in each round. Collection, tokens and runs are in the cache."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.first = settings["jobs"] == "first"
        folder = Path(settings["folder"]) / settings["jobs"]
        self.notes, self.outputs = folder / "notes.txt", folder / "outputs"
        parts = "benchmarks.contestants"
        self.command = [
            "experiments.train",
            "-m",
            *tiny_job(settings),
            *(GRID if not self.first else ("study=starts",)),
            f"outputs={self.outputs}",
            f"+callbacks.first_steps._target_={parts}.first_steps.FirstSteps",
            f"+callbacks.first_steps.path={self.notes}",
            f"+hydra.callbacks.job_ends._target_={parts}.job_ends.JobEnds",
            f"+hydra.callbacks.job_ends.path={self.notes}",
        ]

    def results(self) -> list[float]:
        """Run the jobs once: what they share is in the cache then."""
        self.round()
        return []

    def round(self) -> Timing:
        shutil.rmtree(self.outputs.parent, ignore_errors=True)
        self.outputs.mkdir(parents=True)
        began = time.time()
        run(self.command)
        lines = [line.split() for line in self.notes.read_text(encoding="utf-8").splitlines()]
        times = {
            what: [(float(cpu), float(wall)) for kind, cpu, wall in lines if kind == what] for what in ("step", "end")
        }
        if self.first:
            cpu, wall = times["step"][0]
            return Timing(wall - began, cpu, 1.0)
        waits = list(zip(times["step"][1:], times["end"], strict=False))
        return Timing(
            fmean(step[1] - end[1] for step, end in waits), fmean(step[0] - end[0] for step, end in waits), 1.0
        )


if __name__ == "__main__":
    serve(JobStart)
