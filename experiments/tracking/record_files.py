"""Tell when W&B's service has written the record of a run to disk, and let go of the log file in it.

W&B says that a run has ended before its service has written the end of the record: some milliseconds, or seconds on a
busy machine. The service of a job that was killed lives on for a moment. What reads such a record misses rows.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

RECORD = "*.wandb"  # the one file of a run's folder that has all
WRITE_SECONDS = 30.0  # W&B writes what has come at least every 15 s
POLL_SECONDS = 0.02
PROCESSES = Path("/proc")
WRITING = 0o200  # mode of the entry of an open file


def wait_until_written(folders: Iterable[Path], seconds: float = WRITE_SECONDS) -> list[Path]:
    """Wait until no process of this machine writes the records in some folders of runs.

    ``seconds``: to wait at most. Returns the folders whose record is written even then; none where the system does not
    tell which files are open (other systems than Linux).
    """
    end = time.monotonic() + seconds
    left = _being_written(folders)
    while left and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        left = _being_written(left)
    return left


def close_log(folder: Path) -> None:
    """Let go of W&B's log file in the folder of a run whose service has ended.

    W&B forgets to. Once the logging of this process is set up anew, as Hydra does for each job, and the folder has been
    moved, the next run of this process would fail to open that file.
    """
    logger = logging.getLogger("wandb")
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_relative_to(folder.absolute()):
            logger.removeHandler(handler)
            handler.close()


def _being_written(folders: Iterable[Path]) -> list[Path]:
    records = {str(record.resolve()): folder for folder in folders for record in folder.glob(RECORD)}
    if not records:
        return []
    return sorted({records[name] for name in _files_being_written() if name in records})


def _files_being_written() -> Iterator[str]:
    """Yield the path of each file that a process of this user has open for writing."""
    for process in PROCESSES.glob("[0-9]*"):
        try:
            files = list(os.scandir(process / "fd"))
        except OSError:  # another user's, or it has just ended
            continue
        for file in files:
            with suppress(OSError):  # it has just been closed, or is not for this process to see
                if file.stat(follow_symlinks=False).st_mode & WRITING:
                    yield os.readlink(file.path)
