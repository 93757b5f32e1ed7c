"""Re-rank a run by this project, as a finished job does: its data module, its LightningModule, its trainer.

Tokens are in the cache, as they are for every job but the first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.contestants.job import Job, overrides
from benchmarks.harness.child import Calls, serve
from numpy.typing import NDArray


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: all scores of the run."""
    folder = Path(settings["folder"])
    job = Job.open([*overrides(settings, 0.0), f"init_from.path={folder / 'model'}"])
    trainer = job.trainer(folder / "job")
    run = next(iter(job.inputs.test.values()))

    def scores() -> NDArray[np.float32]:
        return job.score(trainer, run)

    return Calls(scores, units=len(run.passages.values))


if __name__ == "__main__":
    serve(make)
