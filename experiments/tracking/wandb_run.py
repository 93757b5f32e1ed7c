"""Open one Weights & Biases run in a `with` block: a job's, or a study's report.

Its exit code shows a crash as failed, with why. Without account or network the run stays on disk. W&B takes seconds to
import: it is imported when a run opens.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from experiments.common.cache import fingerprint
from experiments.common.errors import ExperimentError, why
from experiments.tracking.connection import Mode, end_service, is_of_service, resolve_mode, start_run
from experiments.tracking.record_files import wait_until_written

if TYPE_CHECKING:
    import wandb

LONGEST_TAG = 64  # characters that W&B accepts
LONGEST_NAME = 128  # characters of an artifact's name
FINISH_TIMEOUT_S = 120.0  # for the upload at the end of a run; the rest stays on disk
ERROR = "error"  # key of the summary: why a run failed, None if it did not

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunIdentity:
    """Name a job in W&B.

    ``study``: W&B's group. ``name``: the job's overrides, short. ``id``: hash of study and scientific config, so that a
    job resumes its own run. ``tags``: a value on each axis of the study, such as "loss=lce"; cut to 64 characters.
    ``config``: the resolved config. ``job_type``: the stage, such as "train".
    ``resumes``: whether the run goes on from what earlier attempts logged; else it replaces that.
    """

    study: str
    name: str
    id: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    job_type: str = "train"
    resumes: bool = True


def artifact_name(name: str) -> str:
    """Return an artifact name that W&B accepts: letters, digits, ``-_.``; a long one is cut and ends in a hash."""
    clean = re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)
    return clean if len(clean) <= LONGEST_NAME else f"{clean[: LONGEST_NAME - 9]}-{fingerprint(name)[:8]}"


class WandbRun:
    """A W&B run, open for the length of a `with` block."""

    def __init__(
        self,
        identity: RunIdentity,
        folder: Path,
        mode: str = "auto",
        project: str = "rerank-ablations",
        entity: str | None = None,
        timeout_s: float = 15.0,
        notes: str | None = None,
    ) -> None:
        """Describe the run; nothing is opened before the `with` block.

        ``folder``: W&B's records go to ``folder/wandb``, one for all runs of a study as `wandb sync` expects. ``mode``:
        see ``resolve_mode``. ``entity``: W&B's user or team; None for the account's default. ``timeout_s``: seconds for
        the server to verify the login (once) and to open a run, before it goes on offline.
        """
        self.identity = identity
        self.folder = folder
        self.mode = mode
        self.project = project
        self.entity = entity
        self.timeout_s = timeout_s
        self.notes = notes
        self._run: wandb.Run | None = None
        self._reopened = False

    def __enter__(self) -> Self:
        """Open the run, offline if the server cannot be used.

        Raises:
            ExperimentError: the mode is unknown, or W&B refuses the project, the entity or the id.
        """
        self._open(resolve_mode(self.mode))
        self.log_summary({ERROR: None})  # left by an earlier attempt
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run: exit code 0, or 1 and why after an exception or interrupt."""
        if self._run is None:
            return
        run, self._run = self._run, None
        try:
            if error is not None:
                run.summary.update({ERROR: why(error)})
            run.finish(exit_code=0 if kind is None else 1)
            if not run.disabled and wait_until_written([Path(run.sync_dir)]):
                log.warning("W&B still writes the record of %s: read it once this process ends", self.identity.name)
        except Exception as problem:
            # A slow upload or a dead W&B service must neither fail the finished work nor hide its exception.
            log.warning(
                "W&B: closing the run of %s failed (%s); what was not uploaded lies in %s for `wandb sync`.",
                self.identity.name,
                str(problem) or type(problem).__name__,
                self.folder / "wandb",
            )
            if is_of_service(problem):
                end_service(run)

    def _tell(self, say: Callable[[wandb.Run], object]) -> None:
        """Log to the run. Where W&B's service has ended, the run goes on in a record on disk; where that ends too,
        nothing more is logged.
        """
        while self._run is not None:
            try:
                say(self._run)
            except Exception as error:
                if not is_of_service(error):
                    raise
                self._service_ended(error)
            else:
                return

    def _service_ended(self, error: Exception) -> None:
        assert self._run is not None
        run, self._run = self._run, None
        end_service(run)
        place, first = self.folder / "wandb", not self._reopened
        self._reopened = True
        goes_on = f"its run of {self.identity.name} goes on offline: `wandb sync` uploads it from {place}"
        if not first:
            goes_on = f"the job goes on without it, {place} has what was logged until now for `wandb sync`"
        log.warning("W&B's service has ended (%s); %s", str(error) or type(error).__name__, goes_on)
        if first:
            self._open("offline")

    def _open(self, mode: Mode) -> None:
        self._run = start_run(self._settings(), self.identity.config, mode, self.timeout_s)

    def log_summary(self, values: Mapping[str, float | int | str | None]) -> None:
        """Set headline values, such as "RR@10" or "bm25/RR@10", on the run's summary."""
        self._tell(lambda run: run.summary.update(dict(values)))

    def log_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Log a table; a cell may be None and a column may mix types."""
        if self._run is None:
            return
        import wandb

        data = [list(row) for row in rows]
        table = {name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)}
        self._tell(lambda run: run.log(table))

    def log_pictures(self, pictures: Mapping[str, Path]) -> None:
        """Log pictures, PNG files by name."""
        if self._run is None or not pictures:
            return
        import wandb

        images = {name: wandb.Image(str(path), caption=path.stem) for name, path in pictures.items()}
        self._tell(lambda run: run.log(images))

    def log_files(self, name: str, kind: str, files: Sequence[Path], metadata: Mapping[str, Any] | None = None) -> None:
        """Log files with distinct names as one artifact of type ``kind``. They are not copied: keep them until upload.

        Raises:
            ExperimentError: a file is missing.
        """
        if self._run is None:
            return
        import wandb

        for path in files:
            if not path.is_file():
                raise ExperimentError(f"{path}: no such {kind} file to log to W&B; write it first.")
        artifact = wandb.Artifact(artifact_name(name), type=kind, metadata=dict(metadata or {}))
        for path in files:
            artifact.add_file(str(path), policy="immutable")
        self._tell(lambda run: run.log_artifact(artifact))

    def _settings(self) -> wandb.Settings:
        import wandb

        try:
            return wandb.Settings(
                run_group=self.identity.study,
                run_name=self.identity.name,
                run_notes=self.notes,
                run_id=self.identity.id,
                run_tags=tuple(tag[:LONGEST_TAG] for tag in self.identity.tags),
                run_job_type=self.identity.job_type,
                project=self.project,
                entity=self.entity,
                root_dir=str(self.folder),
                resume="allow" if self.identity.resumes else None,
                reinit="create_new",  # leave other open runs alone
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
