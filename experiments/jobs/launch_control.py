"""Decide which jobs of a launch may start: what the jobs of one multirun have to know of each other, whatever launches
them.

The control is a folder next to the jobs, in which they also say how far they are (``job_files.live_status``). Its place
travels in the config (``hydra.job.env_set``) or in the environment, so that any launcher's workers find it: processes
of this machine or, with a shared file system, of others. It is gone when the launch is over.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAUNCH = "EXPERIMENTS_LAUNCH"  # the variable of a job's environment that names the folder

_ONLY, _FAIL_FAST, _FAILED, _STOPPED, _LABELS = "only.json", "fail_fast", "failed", "stopped", "labels.json"


@dataclass(frozen=True)
class LaunchControl:
    """The control in a folder. One whose folder is gone lets no job start: its launch is over."""

    folder: Path

    @classmethod
    def make(cls, parent: Path, *, only: Collection[str] | None = None, fail_fast: bool = False) -> "LaunchControl":
        """Make a control below ``parent``. ``only``: the names of the jobs that may start, None for all. ``fail_fast``:
        once a job has failed no other may.
        """
        parent.mkdir(parents=True, exist_ok=True)
        launch = cls(Path(tempfile.mkdtemp(prefix=".launch-", dir=parent.resolve())))
        if only is not None:
            (launch.folder / _ONLY).write_text(json.dumps(sorted(only)), encoding="utf-8")
        if fail_fast:
            (launch.folder / _FAIL_FAST).touch()
        return launch

    @classmethod
    def of(cls, environment: Mapping[str, Any] | None) -> "LaunchControl | None":
        """Return the control that an environment names, if it does: a job's own, or its ``hydra.job.env_set``."""
        folder = (environment or {}).get(LAUNCH)
        return cls(Path(str(folder))) if folder else None

    @property
    def override(self) -> str:
        """The override of Hydra's that tells a multirun of this control."""
        folder = str(self.folder).replace("\\", "\\\\").replace("'", "\\'")
        return f"++hydra.job.env_set.{LAUNCH}='{folder}'"

    @contextmanager
    def in_environment(self) -> Iterator["LaunchControl"]:
        """Tell processes that start while it lasts of this control; it is over afterwards."""
        os.environ[LAUNCH] = str(self.folder)
        try:
            yield self
        finally:
            del os.environ[LAUNCH]
            self.end()

    def end(self) -> None:
        """Take the folder away: no job of this launch may start any more."""
        shutil.rmtree(self.folder)

    def note_labels(self, labels: Sequence[str]) -> None:
        """Note what people call the jobs of this launch, in their order; nothing for one that is not to start."""
        (self.folder / _LABELS).write_text(json.dumps(list(labels)), encoding="utf-8")

    @property
    def labels(self) -> list[str]:
        """What people call the jobs, in their order; empty if they are not known beforehand."""
        path = self.folder / _LABELS
        return [str(label) for label in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []

    @property
    def narrows(self) -> bool:
        """Whether only some of the launch's jobs may start."""
        return (self.folder / _ONLY).exists()

    def refusal(self, job: str) -> str | None:
        """Return why the job of that name may not start now; None if it may."""
        if not self.folder.is_dir():
            return "its launch is over"
        if (self.folder / _STOPPED).exists():
            return "its launch was stopped"
        only = self.folder / _ONLY
        if only.exists() and job not in json.loads(only.read_text(encoding="utf-8")):
            return "it is not one of those asked for"
        failed = self.folder / _FAILED
        if (self.folder / _FAIL_FAST).exists() and failed.exists():
            return f"{failed.read_text(encoding='utf-8').strip() or 'another job'} has failed (--fail-fast)"
        return None

    def note_failure(self, job: str) -> None:
        """Say that a job of this launch has failed."""
        if self.folder.is_dir():
            (self.folder / _FAILED).write_text(f"{job}\n", encoding="utf-8")

    def stop(self) -> None:
        """Let no further job start."""
        (self.folder / _STOPPED).touch()
