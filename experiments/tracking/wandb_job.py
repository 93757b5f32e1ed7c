"""One Weights & Biases run per job, whatever becomes of the job, the account or the network.

A job opens its own run and hands its logger to Lightning, which takes seconds to import: it is imported when a job
starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from experiments.tracking.connection import resolve_mode
from experiments.tracking.wandb_run import RunIdentity, WandbRun

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

__all__ = ["NoTracking", "RunIdentity", "WandbJob", "resolve_mode"]


class WandbJob(WandbRun):
    """The W&B run of one job, open for the length of a `with` block.

    On every rank but zero nothing is opened or logged, and `logger` is Lightning's own silent stand-in. The config
    shown is `identity.config` and what Lightning adds to it: a module that calls `save_hyperparameters` should do so
    with `logger=False`.
    """

    logger: WandbLogger
    """Lightning's logger on this run, to be handed to the Trainer; there from the start of the `with` block."""

    def __enter__(self) -> Self:
        """Open the run, offline where "online" cannot be had.

        Raises:
            ExperimentError: the mode is unknown, or W&B does not take the project, the entity or the id.
        """
        from pytorch_lightning.loggers import WandbLogger
        from pytorch_lightning.utilities import rank_zero_only

        if getattr(rank_zero_only, "rank", 0) == 0:
            super().__enter__()
        if self._run is not None:
            # The x-axis of every curve. No summary= here: it would turn headline values into dicts.
            self._run.define_metric("trainer/global_step")
            self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        self.logger = WandbLogger(
            name=self.identity.name,
            save_dir=self.folder,
            id=self.identity.id,
            project=self.project,
            experiment=self._run,
        )
        return self

    def log_curve(self, x: str, rows: Iterable[Mapping[str, float]]) -> None:
        """Log values over another axis than the steps: each row has `x`, such as "probe/layer", and its values."""
        if self._run is None:
            return
        self._run.define_metric(x)
        for row in rows:
            for name in row:
                if name != x:
                    self._run.define_metric(name, step_metric=x)
            self._run.log(dict(row))

    def log_run_file(self, first_stage: str, path: Path) -> None:
        """Log a run in TREC format as the artifact `run-{first_stage}-{id}` of type "run".

        The file is not copied: it has to stay where it is until it is uploaded.

        Raises:
            ExperimentError: there is no file at `path`.
        """
        self.log_files(f"run-{first_stage}-{self.identity.id}", "run", [path], {"first_stage": first_stage})


class NoTracking:
    """The interface of `WandbJob` for a job that is not tracked: everything logged is dropped."""

    logger: Literal[False] = False
    """What a Lightning Trainer takes for "no logger"."""

    def __enter__(self) -> Self:
        """Open nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close nothing; exceptions pass through."""

    def log_summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Drop the values."""

    def log_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Drop the table."""

    def log_curve(self, x: str, rows: Iterable[Mapping[str, float]]) -> None:
        """Drop the values."""

    def log_run_file(self, first_stage: str, path: Path) -> None:
        """Leave the run file where it is."""
