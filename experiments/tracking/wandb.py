"""One Weights & Biases run per job, whatever becomes of the job, the account or the network.

A job opens its own run and closes it with an exit code, so two jobs in one process are two runs and a crashed job is
shown as failed. Without an account the run is kept on disk; without a network too, and that is said once. W&B and
Lightning take seconds to import: both are imported when a job starts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from experiments.errors import ExperimentError
from experiments.tracking.connection import resolve_mode, start_run

if TYPE_CHECKING:
    import wandb
    from pytorch_lightning.loggers import WandbLogger

__all__ = ["NoTracking", "RunIdentity", "WandbJob", "resolve_mode"]

LONGEST_TAG = 64  # characters; W&B refuses a run with a longer one
FINISH_TIMEOUT_S = 120.0  # how long the end of a job waits for its upload; the rest stays on disk

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunIdentity:
    """What W&B shows of a job.

    Attributes:
        study: the sweep that the job belongs to; W&B's group.
        name: the job's overrides, short; W&B's run name.
        id: hash of the study and the scientific config; W&B's run id, so the same job resumes its own run.
        tags: the job's place on each axis of the study, such as "loss=lce"; cut to W&B's 64 characters.
        config: the resolved config, shown and filtered by in W&B.
        job_type: the stage, such as "train".
    """

    study: str
    name: str
    id: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    job_type: str = "train"


class WandbJob:
    """The W&B run of one job, open for the length of a `with` block.

    On every rank but zero nothing is opened or logged, and `logger` is Lightning's own silent stand-in. The config
    shown is `identity.config` and what Lightning adds to it: a module that calls `save_hyperparameters` should do so
    with `logger=False`.
    """

    logger: WandbLogger
    """Lightning's logger on this run, to be handed to the Trainer; there from the start of the `with` block."""

    def __init__(
        self,
        identity: RunIdentity,
        folder: Path,
        mode: str = "auto",
        project: str = "rerank-ablations",
        entity: str | None = None,
        timeout_s: float = 15.0,
    ) -> None:
        """Describe the run; nothing is opened before the `with` block.

        Args:
            identity: what W&B shows of the job.
            folder: where W&B keeps its records, in `folder/wandb`; one for all the jobs of a study, since
                `wandb leet` and `wandb sync` look at one such folder.
            mode: "auto", "online", "offline" or "disabled"; see `resolve_mode`.
            project: W&B's project.
            entity: W&B's user or team; None for the account's default.
            timeout_s: seconds that the server is given to answer, once to verify the login and once per run to
                open it, before the job goes on offline.
        """
        self.identity = identity
        self.folder = folder
        self.mode = mode
        self.project = project
        self.entity = entity
        self.timeout_s = timeout_s
        self._run: wandb.Run | None = None

    def __enter__(self) -> Self:
        """Open the run, offline where "online" cannot be had.

        Raises:
            ExperimentError: the mode is unknown, or W&B does not take the project, the entity or the id.
        """
        from pytorch_lightning.loggers import WandbLogger
        from pytorch_lightning.utilities import rank_zero_only

        if getattr(rank_zero_only, "rank", 0) == 0:
            self._run = self._open()
        self.logger = WandbLogger(
            name=self.identity.name,
            save_dir=self.folder,
            id=self.identity.id,
            project=self.project,
            experiment=self._run,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run: exit code 0, or 1 when an exception, an interrupt included, leaves the `with` block."""
        if self._run is None:
            return
        run, self._run = self._run, None
        try:
            run.finish(exit_code=0 if kind is None else 1)
        except Exception as problem:
            # A slow upload or a W&B service that died. The job itself has done its work: it must neither fail for
            # this nor have its own exception hidden by it.
            log.warning(
                "W&B: closing the run of %s failed (%s); what was not uploaded lies in %s for `wandb sync`.",
                self.identity.name,
                str(problem) or type(problem).__name__,
                self.folder / "wandb",
            )

    def log_summary(self, values: Mapping[str, float | int | str]) -> None:
        """Set headline values, such as "RR@10" or "bm25/RR@10", on the run's summary under their plain names."""
        if self._run is not None:
            self._run.summary.update(dict(values))

    def log_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Log a table, such as the values per query; a cell may be None and a column may mix types."""
        if self._run is None:
            return
        import wandb

        data = [list(row) for row in rows]
        self._run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})

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
        if self._run is None:
            return
        import wandb

        if not path.is_file():
            raise ExperimentError(f"{path}: no such run file to log to W&B; write the run first.")
        # W&B takes letters, digits, "-", "_" and "." only.
        name = re.sub(r"[^\w.-]", "-", f"run-{first_stage}-{self.identity.id}", flags=re.ASCII)
        artifact = wandb.Artifact(name, type="run", metadata={"first_stage": first_stage})
        artifact.add_file(str(path), policy="immutable")
        self._run.log_artifact(artifact)

    def _open(self) -> wandb.Run:
        run = start_run(self._settings(), self.identity.config, resolve_mode(self.mode), self.timeout_s)
        # The x-axis of every curve. No summary= here: it would turn headline values into dicts.
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return run

    def _settings(self) -> wandb.Settings:
        import wandb

        try:
            return wandb.Settings(
                run_group=self.identity.study,
                run_name=self.identity.name,
                run_id=self.identity.id,
                run_tags=tuple(tag[:LONGEST_TAG] for tag in self.identity.tags),
                run_job_type=self.identity.job_type,
                project=self.project,
                entity=self.entity,
                root_dir=str(self.folder),
                resume="allow",
                # A run that someone else left open is neither written to nor closed.
                reinit="create_new",
                console="off",
                init_timeout=self.timeout_s,
                finish_timeout=FINISH_TIMEOUT_S,
                finish_timeout_raises=True,
            )
        except (wandb.errors.UsageError, ValueError) as error:
            raise ExperimentError(
                f"W&B does not take this run (project {self.project!r}, entity {self.entity!r}, "
                f"id {self.identity.id!r}, tags {self.identity.tags!r}): {error}"
            ) from error


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

    def log_summary(self, values: Mapping[str, float | int | str]) -> None:
        """Drop the values."""

    def log_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Drop the table."""

    def log_curve(self, x: str, rows: Iterable[Mapping[str, float]]) -> None:
        """Drop the values."""

    def log_run_file(self, first_stage: str, path: Path) -> None:
        """Leave the run file where it is."""
