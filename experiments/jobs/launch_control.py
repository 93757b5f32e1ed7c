"""Which jobs of a launch may start: what the jobs of one multirun have to know of each other, whatever launches them.

A gate is a folder beside the jobs. Its place travels in the config (``hydra.job.env_set``), so that any launcher's
workers find it: processes of this machine or, with a shared file system, of others. It is gone when the launch is over.
"""

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GATE = "EXPERIMENTS_GATE"  # the variable of a job's environment that names the folder

_ONLY, _FAIL_FAST, _FAILED, _STOPPED = "only.json", "fail_fast", "failed", "stopped"


@dataclass(frozen=True)
class Gate:
    """The gate in a folder. One whose folder is gone lets no job start: its launch is over."""

    folder: Path

    @classmethod
    def make(cls, parent: Path, *, only: Collection[str] | None = None, fail_fast: bool = False) -> "Gate":
        """A new gate below ``parent``. ``only``: the names of the jobs that may start, None for all. ``fail_fast``:
        once a job has failed no other may.
        """
        parent.mkdir(parents=True, exist_ok=True)
        gate = cls(Path(tempfile.mkdtemp(prefix=".launch-", dir=parent.resolve())))
        if only is not None:
            (gate.folder / _ONLY).write_text(json.dumps(sorted(only)), encoding="utf-8")
        if fail_fast:
            (gate.folder / _FAIL_FAST).touch()
        return gate

    @classmethod
    def of(cls, environment: Mapping[str, Any] | None) -> "Gate | None":
        """The gate that a job's ``hydra.job.env_set`` names, if it does."""
        folder = (environment or {}).get(GATE)
        return cls(Path(str(folder))) if folder else None

    @property
    def override(self) -> str:
        """What tells a multirun of this gate, as an override of Hydra's."""
        folder = str(self.folder).replace("\\", "\\\\").replace("'", "\\'")
        return f"++hydra.job.env_set.{GATE}='{folder}'"

    @property
    def narrows(self) -> bool:
        """Whether only some of the launch's jobs may start."""
        return (self.folder / _ONLY).exists()

    def refusal(self, job: str) -> str | None:
        """Why the job of that name may not start now; None if it may."""
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
