"""Track each job as one Weights & Biases run, even if the job, the account or the network fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from experiments.tracking.connection import Mode, resolve_mode
from experiments.tracking.earlier_rows import STEP, RecordedRows, Rows, ServerRows, records_of, set_aside
from experiments.tracking.record_files import wait_until_written
from experiments.tracking.wandb_run import RunIdentity, WandbRun

if TYPE_CHECKING:
    import wandb

__all__ = ["NoTracking", "RunIdentity", "WandbJob", "resolve_mode"]

log = logging.getLogger(__name__)


class WandbJob(WandbRun):
    """The W&B run of one job, open for the length of a `with` block.

    ``rows``: step and values of the rows that the training has logged, from all attempts at the job.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.rows: list[tuple[int, dict[str, float]]] = []
        self._had: Rows = RecordedRows([])
        self._sent: set[int] = set()  # places in ``rows`` of those that the open run took

    def _open(self, mode: Mode) -> None:
        """Open the run with the training step as the x-axis, and find out which rows it has."""
        offline, online = (records_of(self.folder / "wandb", self.identity.id, online) for online in (False, True))
        super()._open(mode)
        assert self._run is not None
        # No summary= here: it would turn headline values into dicts.
        self._run.define_metric("trainer/global_step")
        self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        if self._run.disabled:
            return
        for late in wait_until_written([*offline, *online]):
            log.warning("W&B still writes %s, of an earlier attempt: its last rows are logged again", late)
        goes_on = self.identity.resumes or self._reopened
        if not goes_on or not self._run.offline:
            set_aside(offline)
        if goes_on:
            self._had = RecordedRows([*offline, *online]) if self._run.offline else ServerRows(dict(self._run.summary))
        self._sent.clear()
        self.take_up(self.rows)

    def log_row(self, step: int, values: Mapping[str, float]) -> None:
        """Log a row of the training, unless the run had it when it was opened."""
        self.rows.append((step, dict(values)))
        self._log_missing(len(self.rows) - 1)

    def log_values(self, values: Mapping[str, float]) -> None:
        """Log values that belong to no step."""
        self._tell(lambda run: run.log(dict(values)))

    def take_up(self, rows: Sequence[tuple[int, dict[str, float]]]) -> None:
        """Go on from the rows of a checkpoint: log those that the run has not."""
        self.rows = list(rows)
        for place in range(len(self.rows)):
            self._log_missing(place)

    def _log_missing(self, place: int) -> None:
        step, values = self.rows[place]

        def say(run: wandb.Run) -> None:
            if place not in self._sent and not self._had.has(step, values):
                run.log({**values, STEP: step})
                self._sent.add(place)

        self._tell(say)

    @property
    def is_open(self) -> bool:
        """Whether there is a run: not outside the `with` block, nor after W&B's service has ended twice."""
        return self._run is not None

    @property
    def run(self) -> wandb.Run:
        """W&B's own object, within the `with` block."""
        assert self._run is not None
        return self._run

    def log_curve(self, x: str, rows: Iterable[Mapping[str, float]]) -> None:
        """Log values over another axis than the steps: each row has ``x``, such as "probe/layer", and its values."""
        if self._run is None:
            return

        def say(run: wandb.Run) -> None:
            run.define_metric(x)
            for row in kept:
                for name in row:
                    if name != x:
                        run.define_metric(name, step_metric=x)
                run.log(dict(row))

        kept = list(rows)
        self._tell(say)

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
