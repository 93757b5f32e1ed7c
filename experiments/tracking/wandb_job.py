"""One Weights & Biases run per job, whatever becomes of the job, the account or the network."""

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
        """Open the run, offline where "online" cannot be had.

        Raises:
            ExperimentError: the mode is unknown, or W&B does not take the project, the entity or the id.
        """
        super().__enter__()
        assert self._run is not None
        # The x-axis of every curve. No summary= here: it would turn headline values into dicts.
        self._run.define_metric("trainer/global_step")
        self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self

    @property
    def run(self) -> wandb.Run:
        """Return W&B's own object; there inside the `with` block."""
        assert self._run is not None
        return self._run

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
