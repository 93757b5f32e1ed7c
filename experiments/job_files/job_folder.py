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
from experiments.common.disk import clear_temporaries
from experiments.common.errors import ExperimentError, why
from experiments.common.manifest import FILES, MANIFEST, SEAL, USUAL, damage, described, is_broken, sealed
from experiments.common.model_files import EXPORTED, changes
from experiments.common.packages import version
from experiments.job_files.checked_results import read_status
from experiments.job_files.checkpoint_files import CheckpointFolder
from experiments.job_files.files import CONFIG, METRICS, STATUS, read_mapping
from experiments.job_files.integrity import fatal_damages, promised, refuse_folders
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
        refuse_folders(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                clear_temporaries(self.folder)  # of killed processes: this one holds the job
                yield
        except Timeout as error:
            raise ExperimentError(
                f"another process is running the job {self.folder}: wait for it, or stop it"
            ) from error

    @property
    def status(self) -> dict[str, Any]:
        """Content of the status file; empty if the job never began or the file is damaged."""
        return self._read(STATUS) or {}

    def restore(self, config: Mapping[str, Any]) -> None:
        """Write files anew that were damaged since the job finished and are known all the same: its status from the
        copy in its manifest, the manifest from its status, and its config. Log each.
        """
        status, manifest = (self._sealed(name) for name in (STATUS, MANIFEST))
        known = status or manifest
        if known is None or known.get("state") != FINISHED or FILES not in known:
            return
        for name, there in ((STATUS, status), (MANIFEST, manifest)):
            if there != known:
                write_json(self.folder / name, known)
                log.warning("%s was missing or altered: it is restored", self.folder / name)
        noted, path = known[FILES].get(CONFIG), self.folder / CONFIG
        # Of one hash, today's config differs at most in places such as the cache.
        if noted is not None and known.get("hash") == self.hash and damage(path, noted) is not None:
            write_atomic(path, _as_yaml(config))
            unsealed = {key: value for key, value in known.items() if key != SEAL}
            known = sealed({**unsealed, FILES: {**known[FILES], CONFIG: described(path)}})
            for name in (MANIFEST, STATUS):
                write_json(self.folder / name, known)
            log.warning("%s was missing or altered: it is restored", path)

    def _sealed(self, name: str) -> dict[str, Any] | None:
        """Read a file that has a digest of its content; None if it is missing or damaged."""
        try:
            value = dict(read_mapping(self.folder / name))
        except ExperimentError:
            return None
        return None if is_broken(value) else value

    @property
    def checkpoint_files(self) -> CheckpointFolder:
        """The files of the job's checkpoints."""
        return CheckpointFolder(self.checkpoints, getattr(self, "_note", {}).get("inputs", {}))

    def finished_with(self, config: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the metrics of the job if it finished with these inputs; log why a finished job has to run again.

        ``inputs``: name -> digest of the collection, of weights, of run files, of code.
        """
        self.restore(config)
        status = self.status
        if status.get("state") != FINISHED:
            return None
        if changed := changes(status.get("inputs"), inputs):
            log.info("%s: %s changed since this job was finished: it runs again", self.folder.name, ", ".join(changed))
            return None
        damaged = list(fatal_damages(self.folder, status.get(FILES), USUAL))
        for name, problem in damaged:
            log.warning("%s %s: the job runs again", self.folder / name, problem)
        if damaged:
            return None
        self.checkpoint_files.clear()  # left by a kill at the very end
        return self._read(METRICS)

    def _read(self, name: str) -> dict[str, Any] | None:
        """Read a file of the job; None if it is missing, or damaged, which is logged."""
        if not (self.folder / name).is_file():
            return None
        try:
            return dict(read_status(self.folder) if name == STATUS else read_mapping(self.folder / name))
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
        (self.folder / MANIFEST).unlink(missing_ok=True)
        write_atomic(self.folder / CONFIG, _as_yaml(config))
        attempts = int(_number(before.get("attempts"))) + 1 if before.get("state") != FINISHED else 1
        self._seconds_before = _number(before.get("seconds")) if attempts > 1 else 0.0
        self._note = {
            "attempts": attempts,
            "inputs": dict(inputs),
            "started": now(),
            "git": git_revision(),
            "version": _version("rerank-ablations"),
            "packages": packages(),
            FILES: {CONFIG: described(self.folder / CONFIG)},
        }
        self._write(RUNNING, None)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the metrics, then the status with the digests of all files, and delete the checkpoints; the exported
        model stays.
        """
        write_json(self.folder / METRICS, metrics)
        self._note = {**self._note, FILES: promised(self.folder)}
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


def _number(value: Any) -> float:
    """Return a number of a status; 0 for anything else, which an earlier version's damaged file may hold."""
    return float(value) if isinstance(value, int | float) else 0.0


def _as_yaml(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


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
