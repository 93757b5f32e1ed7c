"""A callback of Hydra that notes when each job of a multirun ends."""

import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback


class JobEnds(Callback):
    """Append CPU and wall seconds to a file after each job."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_job_end(self, **kwargs: Any) -> None:
        """Note the times of this process."""
        note(self.path, "end")


def note(path: Path, what: str) -> None:
    """Append a line: what happened, the CPU seconds of this process and the seconds of the wall clock."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{what} {time.process_time()} {time.time()}\n")
