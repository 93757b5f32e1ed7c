"""Decide which jobs of a multirun may start, with any launcher.

The control is a folder next to the jobs, which also write their progress there (``job_files.live_status``). Its path is
in the config (``hydra.job.env_set``) or the environment, so that workers on this or other machines find it. It is
deleted when the launch is over.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.common import stopping
from experiments.common.cache import write_atomic
from experiments.common.disk import explained

LAUNCH = "EXPERIMENTS_LAUNCH"  # the variable of a job's environment that names the folder

_ONLY, _FAIL_FAST, _FAILED, _STOPPED = "only.json", "fail_fast", "failed", "stopped"
_PREFIX = ".launch-"  # then the machine, the process that launches, and something of its own
_LABELS, _FIRST, _LACKING = "labels.json", "prerequisites.json", "lacking.json"


@dataclass(frozen=True)
class LaunchControl:
    """A control in a folder. Without its folder the launch is over, and no job may start."""

    folder: Path

    @classmethod
    def make(cls, parent: Path, *, only: Collection[str] | None = None, fail_fast: bool = False) -> "LaunchControl":
        """Make a control below ``parent``. ``only``: jobs that may start. ``fail_fast``: none after a failure."""
        with explained(parent):
            parent.mkdir(parents=True, exist_ok=True)
            cls.clear_abandoned(parent)
            owner = f"{_PREFIX}{_this_machine()}-{os.getpid()}-"
            launch = cls(Path(tempfile.mkdtemp(prefix=owner, dir=parent.resolve())))
        try:
            if only is not None:
                write_atomic(launch.folder / _ONLY, json.dumps(sorted(only)))
            if fail_fast:
                write_atomic(launch.folder / _FAIL_FAST, "")
        except BaseException:
            launch.end()
            raise
        return launch

    @classmethod
    def clear_abandoned(cls, parent: Path) -> None:
        """Delete the controls below ``parent`` whose processes were killed."""
        for left in parent.glob(f"{_PREFIX}*"):
            if not cls(left).owner_is_alive:
                shutil.rmtree(left, ignore_errors=True)  # another process may be at it

    @classmethod
    def of(cls, environment: Mapping[str, Any] | None) -> "LaunchControl | None":
        """Return the control that an environment or ``hydra.job.env_set`` names; None if neither does."""
        folder = (environment or {}).get(LAUNCH)
        return cls(Path(str(folder))) if folder else None

    @property
    def override(self) -> str:
        """The Hydra override that passes this control to a multirun."""
        folder = str(self.folder).replace("\\", "\\\\").replace("'", "\\'")
        return f"++hydra.job.env_set.{LAUNCH}='{folder}'"

    @contextmanager
    def in_environment(self) -> Iterator["LaunchControl"]:
        """Pass this control to processes that start in this context; end it afterwards."""
        os.environ[LAUNCH] = str(self.folder)
        try:
            yield self
        finally:
            del os.environ[LAUNCH]
            self.end()

    def end(self) -> None:
        """Delete the folder: no further job of this launch may start."""
        shutil.rmtree(self.folder)

    def note_labels(self, labels: Sequence[str], first: Sequence[str] = ()) -> None:
        """Note the labels of this launch's jobs in their order; empty for a job that may not start. ``first``: labels
        of the prerequisites that run before them.
        """
        write_atomic(self.folder / _LABELS, json.dumps(list(labels)))
        write_atomic(self.folder / _FIRST, json.dumps(list(first)))

    @property
    def labels(self) -> list[str]:
        """The labels of the jobs in their order; empty if they are not known beforehand."""
        return [str(label) for label in self._read(_LABELS, [])]

    @property
    def numbered(self) -> dict[int, str]:
        """The labels by the jobs' numbers: from 1 for the jobs, up to 0 for the prerequisites before them."""
        first = [str(label) for label in self._read(_FIRST, [])]
        return dict(enumerate([*first, *self.labels], 1 - len(first)))

    def _read(self, name: str, default: Any) -> Any:
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default

    @property
    def narrows(self) -> bool:
        """Whether only some of the launch's jobs may start."""
        return (self.folder / _ONLY).exists()

    def refusal(self, job: str, *, prerequisite: bool = False) -> str | None:
        """Return why a job may not start now; None if it may. A prerequisite of a job asked for is asked for too."""
        if not self.folder.is_dir():
            return "its launch is over"
        if (self.folder / _STOPPED).exists():
            return "its launch was stopped"
        if not prerequisite and job not in self._read(_ONLY, [job]):
            return "it is not one of those asked for"
        lacking = self._read(_LACKING, {}).get(job)
        if lacking is not None:
            return f"its prerequisite {lacking} has failed"
        failed = self.folder / _FAILED
        if (self.folder / _FAIL_FAST).exists() and failed.exists():
            return f"{failed.read_text(encoding='utf-8').strip() or 'another job'} has failed (--fail-fast)"
        return None

    def note_failure(self, job: str) -> None:
        """Note that a job of this launch has failed."""
        if self.folder.is_dir():
            write_atomic(self.folder / _FAILED, f"{job}\n")

    def note_lacking(self, jobs: Iterable[str], prerequisite: str) -> None:
        """Note that some jobs lack a prerequisite, since it has failed. ``prerequisite``: its label."""
        if self.folder.is_dir():
            lacking = {**dict.fromkeys(jobs, prerequisite), **self._read(_LACKING, {})}
            write_atomic(self.folder / _LACKING, json.dumps(lacking))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Let no further job start, and stop those that run on this machine. ``number``: of the signal that says so."""
        if self.folder.is_dir():
            write_atomic(self.folder / _STOPPED, f"{number}\n")

    def asks_to_stop(self) -> int | None:
        """Return the signal by which a job of this launch is to stop now, SIGTERM if the process that launched it on
        this machine has ended or has deleted the folder; None if the job goes on.
        """
        try:
            return int((self.folder / _STOPPED).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None if self.owner_is_alive and self.folder.is_dir() else signal.SIGTERM

    @property
    def owner_is_alive(self) -> bool:
        """Whether the process that made this launch runs; True for one of another machine.

        The folder's name says which it is: a file would be missing where one was killed as it made or deleted it.
        """
        machine, _, rest = self.folder.name.removeprefix(_PREFIX).partition("-")
        process = rest.partition("-")[0]
        return machine != _this_machine() or not process.isdecimal() or stopping.is_alive(int(process))


def _this_machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
