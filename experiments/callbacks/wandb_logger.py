"""Log one job to its Weights & Biases run, as a Lightning logger."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import _DummyExperiment, rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob


class StudyWandbLogger(WandbLogger):
    """Log to the job's own W&B run, which is open while ``tracking`` is entered; only rank zero logs.

    ``identity``, ``folder``: given by the framework. ``group``: replaces the study. ``tags``: added to the job's own.
    The others: see ``WandbRun``. A module that calls ``save_hyperparameters`` should pass ``logger=False``, as the
    config shown is ``identity.config``.
    """

    def __init__(
        self,
        identity: RunIdentity,
        folder: Path,
        mode: str = "auto",
        project: str = "rerank-ablations",
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
    ) -> None:
        identity = replace(identity, study=group or identity.study, tags=(*identity.tags, *tags))
        first = getattr(rank_zero_only, "rank", 0) == 0
        self.tracking = WandbJob(identity, folder, mode, project, entity, notes=notes) if first else NoTracking()
        super().__init__(name=identity.name, save_dir=folder, id=identity.id, project=project)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log a row, unless an earlier attempt at the job has logged it. One without a step is not compared."""
        assert isinstance(self.tracking, WandbJob)
        if step is None:
            self.tracking.log_values(metrics)
        else:
            self.tracking.log_row(step, metrics)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return the open W&B run, or one that drops everything where W&B's service has ended for good."""
        assert isinstance(self.tracking, WandbJob)
        return self.tracking.run if self.tracking.is_open else _DummyExperiment()
