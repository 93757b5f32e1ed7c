"""Run a command of this project from its start to its end, in a process of its own.

``settings["command"]``: the module and its arguments. ``settings["on"]``: what overrides follow: ``job`` of a tiny job,
``grid`` of a finished grid of sixty, or ``folder``: that grid's.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.contestants.tiny_grid import finished_grid, folder_of_grid, run, tiny_job
from benchmarks.harness.child import Timing, serve

OVERRIDES = {"job": tiny_job, "grid": finished_grid, "folder": folder_of_grid}


class Command:
    """A command that is run anew in each round."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        on = settings.get("on")
        self.command = [*settings["command"], *(OVERRIDES[on](settings) if on else ())]

    def results(self) -> list[float]:
        """Run it once, so that its files are in the page cache."""
        run(self.command)
        return []

    def round(self) -> Timing:
        before, began = os.times(), time.perf_counter()
        run(self.command)
        wall, after = time.perf_counter() - began, os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])  # of children, and of theirs
        return Timing(wall, cpu, 1.0)


if __name__ == "__main__":
    serve(Command)
