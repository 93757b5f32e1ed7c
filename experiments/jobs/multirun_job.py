"""Report the progress of a multirun's job in the launch's folder and in the job's own log only."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from experiments.common import progress, stopping
from experiments.common.errors import ExperimentError, why
from experiments.job_files.files import STATUS
from experiments.job_files.live_status import (
    DONE,
    DONE_BEFORE,
    FAILED,
    INTERRUPTED,
    NOT_STARTED,
    WAITING,
    LiveStatusFile,
)
from experiments.jobs.launch_control import LaunchControl
from experiments.jobs.multirun_table import name_of
from experiments.jobs.preemption import ACTIVE

log = logging.getLogger(__name__)


@dataclass
class JobOfLaunch:
    """A job while it runs. ``score``: set when it is done. ``queued_again``: whether it waits for another attempt."""

    folder: Path
    score: str = ""
    queued_again: bool = False
    status_before: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.status_before = self._status()

    def _status(self) -> bytes:
        path = self.folder / STATUS
        return path.read_bytes() if path.is_file() else b""

    def queue_again(self) -> None:
        """Note that the job ends here to start again later."""
        self.queued_again = True

    @property
    def was_done_before(self) -> bool:
        """Whether the job had been done before, so that nothing was run."""
        return bool(self.status_before) and self._status() == self.status_before


def refuse(launch: LaunchControl, number: int, name: str, refusal: str) -> None:
    """Report that a job is not started, and why."""
    log.info("%s is not started: %s", name, refusal)
    if launch.folder.is_dir() and launch.numbered.get(number) != "":  # else nobody asked for it
        LiveStatusFile(launch.folder, number, _label(launch, number, name)).end(NOT_STARTED, why=refusal)


@contextmanager
def told_by(launch: LaunchControl | None) -> Iterator[None]:
    """Stop this job when its launch is stopped; do nothing without a launch, or on SLURM, where a job goes on."""
    if launch is None or os.environ.get(ACTIVE) == "slurm":
        yield
        return
    with stopping.watching(launch.asks_to_stop):
        yield


@contextmanager
def saying(launch: LaunchControl | None, number: int, name: str, folder: Path) -> Iterator[JobOfLaunch]:
    """Report a job's progress and how it ended; without a launch, do nothing.

    ``number``: see ``LaunchControl.numbered``. ``name``: used if the launch has no label for the job.
    """
    job = JobOfLaunch(folder)
    if launch is None:
        yield job
        return
    status = LiveStatusFile(launch.folder, number, _label(launch, number, name))
    _keep_off_the_terminal(name_of(status.status, len(launch.labels)))
    progress.in_multirun = status.tracked
    try:
        yield job
    except (KeyboardInterrupt, SystemExit):
        status.end(WAITING if job.queued_again else INTERRUPTED)
        raise
    except Exception as error:
        expected = isinstance(error, ExperimentError)
        log.info("failed: %s", why(error), exc_info=None if expected else error)  # traceback in the job's log
        status.end(FAILED, why=why(error), log="" if expected else _log_file())
        launch.note_failure(folder.name)
        raise
    finally:
        progress.in_multirun = None
    status.end(DONE_BEFORE if job.was_done_before else DONE, score=job.score)


def _label(launch: LaunchControl, number: int, name: str) -> str:
    return launch.numbered.get(number, name)


def _keep_off_the_terminal(name: str) -> None:
    """Keep only warnings on the terminal, with the name of their job; the job's log file has everything."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler and handler.stream in (sys.stderr, sys.stdout):
            handler.setLevel(logging.WARNING)
            handler.setFormatter(logging.Formatter(f"{name}: %(message)s"))


def _log_file() -> str:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            path, here = Path(handler.baseFilename), Path.cwd()
            return str(path.relative_to(here) if path.is_relative_to(here) else path)
    return ""
