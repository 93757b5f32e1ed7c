"""Track each job as one Weights & Biases run, even if the job, the account or the network fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from experiments.tracking.connection import resolve_mode
from experiments.tracking.wandb_run import RunIdentity, WandbRun

if TYPE_CHECKING:
    import wandb

__all__ = ["NoTracking", "RunIdentity", "WandbJob", "resolve_mode"]


class WandbJob(WandbRun):
    """The W&B run of one job, open for the length of a `with` block."""

    def __enter__(self) -> Self:
        """Open the run as ``WandbRun`` does, with the training step as the x-axis."""
        super().__enter__()
        assert self._run is not None
        # No summary= here: it would turn headline values into dicts.
        self._run.define_metric("trainer/global_step")
        self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self

    @property
    def run(self) -> wandb.Run:
        """W&B's own object, within the `with` block."""
        assert self._run is not None
        return self._run

    def log_curve(self, x: str, rows: Iterable[Mapping[str, float]]) -> None:
        """Log values over another axis than the steps: each row has ``x``, such as "probe/layer", and its values."""
        if self._run is None:
            return
        self._run.define_metric(x)
        for row in rows:
            for name in row:
                if name != x:
                    self._run.define_metric(name, step_metric=x)
            self._run.log(dict(row))

    def log_run_file(self, first_stage: str, path: Path) -> None:
        """Log a TREC run file as the artifact ``run-{first_stage}-{id}``; see ``log_files``."""
        self.log_files(f"run-{first_stage}-{self.identity.id}", "run", [path], {"first_stage": first_stage})


class NoTracking:
    """Drop everything that an untracked job logs."""

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
