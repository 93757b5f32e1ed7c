"""Write the folder of one job: config, status, results. A kill at any moment leaves it resumable."""

import importlib.metadata
import logging
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from experiments.common.cache import write_atomic, write_json
from experiments.common.errors import ExperimentError, why
from experiments.common.model_files import EXPORTED, changes
from experiments.common.packages import version
from experiments.job_files.checkpoint_files import CheckpointFolder
from experiments.job_files.files import CONFIG, METRICS, STATUS, read_mapping
from experiments.job_files.status import FAILED, FINISHED, RUNNING, now, write_status

log = logging.getLogger(__name__)

COMPUTING = ("torch", "pytorch-lightning", "transformers", "numpy", "bm25s", "ir-measures")


class JobFolder:
    """Write ``outputs/<study>/<job>/``. ``hash``: of the job's config, noted in its status."""

    def __init__(self, folder: Path, hash: str) -> None:
        self.folder, self.hash = folder, hash
        self.checkpoints = folder / "checkpoints"
        self.model = folder / EXPORTED
        self._began = time.monotonic()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the job for this process.

        Raises:
            ExperimentError: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise ExperimentError(
                f"another process is running the job {self.folder}: wait for it, or stop it"
            ) from error

    @property
    def status(self) -> dict[str, Any]:
        """Content of the status file; empty if the job never began or the file is damaged."""
        return self._read(STATUS) or {}

    @property
    def checkpoint_files(self) -> CheckpointFolder:
        """The files of the job's checkpoints."""
        return CheckpointFolder(self.checkpoints, getattr(self, "_note", {}).get("inputs", {}))

    def finished_with(self, inputs: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the metrics of the job if it finished with these inputs; log why a finished job has to run again.

        ``inputs``: name -> digest of the collection, of weights, of run files, of code.
        """
        status = self.status
        if status.get("state") != FINISHED:
            return None
        if changed := changes(status.get("inputs"), inputs):
            log.info("%s: %s changed since this job was finished: it runs again", self.folder.name, ", ".join(changed))
            return None
        self.checkpoint_files.clear()  # left by a kill at the very end
        return self._read(METRICS)

    def _read(self, name: str) -> dict[str, Any] | None:
        """Read a file of the job; None if it is missing, or damaged, which is logged."""
        if not (self.folder / name).is_file():
            return None
        try:
            return dict(read_mapping(self.folder / name))
        except ExperimentError as error:
            log.warning("%s: the job runs again", error)
            return None

    def start(self, config: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
        """Note that the job begins or resumes; delete checkpoints of other inputs."""
        before = self.status
        if before.get("state") == FINISHED:
            self.checkpoint_files.clear()
        CheckpointFolder(self.checkpoints, inputs).clear_unless_of_these_inputs()
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_atomic(self.folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        attempts = int(before.get("attempts", 0)) + 1 if before.get("state") != FINISHED else 1
        self._seconds_before = float(before.get("seconds", 0.0)) if attempts > 1 else 0.0
        self._note = {
            "attempts": attempts,
            "inputs": dict(inputs),
            "started": now(),
            "git": git_revision(),
            "version": _version("rerank-ablations"),
            "packages": packages(),
        }
        self._write(RUNNING, None)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the metrics, then the status, and delete the checkpoints; the exported model stays."""
        write_json(self.folder / METRICS, metrics)
        self._write(FINISHED, None)
        self.checkpoint_files.clear()

    def fail(self, error: BaseException) -> None:
        """Note why the job stopped; its checkpoints stay, so that it can resume."""
        try:
            self._write(FAILED, why(error))
        except ExperimentError as refused:  # the first error is the one to report
            log.warning("how the job ended could not be noted: %s", refused)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of this job, over all its attempts."""
        return self._seconds_before + time.monotonic() - self._began

    def _write(self, state: str, error: str | None) -> None:
        write_status(self.folder, state, error, self.seconds, self._note, self.hash)


def git_revision() -> str | None:
    """Return the git revision of this package, with ``+`` if tracked files were changed; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute a job's numbers."""
    versions = {name: _version(name) for name in COMPUTING}
    return {"python": platform.python_version()} | {name: version for name, version in versions.items() if version}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
