"""Run one contestant as a process that does a round of work for each line it reads.

``python -m benchmarks.contestants.<program> <settings.json>`` sets up, writes its results to the file
``settings["results"]`` and prints ``{"ready": true, ...}``. Each line on its standard input starts a round, which is
answered by ``{"wall": ..., "cpu": ..., "units": ...}``. Everything else that the process prints goes to its standard
error. This module runs in the environments of all peers: it needs Python 3.11, numpy and torch.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

VERSIONS = ("torch", "transformers", "numpy")


@dataclass(frozen=True)
class Timing:
    """Seconds of a round and the units that it did. ``cpu``: of all threads of the process."""

    wall: float
    cpu: float
    units: float
    flops: float = 0.0
    """Floating-point operations without padding, where they are counted."""


class Work(Protocol):
    """What a contestant does."""

    def results(self) -> Any:
        """Return an array of what must equal the results of the other contestants; the first call warms up."""

    def round(self) -> Timing:
        """Do the work once."""


class Stopwatch:
    """Take wall and CPU time, on a GPU after what is queued there is done."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.start()

    def _now(self) -> tuple[float, float]:
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def start(self) -> None:
        """Begin, or begin again."""
        self.began = self._now()

    def stop(self, units: float) -> Timing:
        """Return the time since the start."""
        wall, cpu = self._now()
        return Timing(wall - self.began[0], cpu - self.began[1], units)


@dataclass
class Calls:
    """Work that is one function, called once a round. ``result``: turns what it returns into an array."""

    function: Callable[[], Any]
    units: float
    device: str = "cpu"
    result: Callable[[Any], Any] = lambda value: value

    def results(self) -> Any:
        return self.result(self.function())

    def round(self) -> Timing:
        watch = Stopwatch(self.device)
        self.function()
        return watch.stop(self.units)


def serve(make: Callable[[Mapping[str, Any]], Work]) -> None:
    """Set up the work and do rounds until the standard input ends."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    import numpy as np
    import torch

    torch.set_num_threads(settings["threads"])
    work = make(settings)
    np.save(settings["results"], np.asarray(work.results(), np.float64))
    names = (*VERSIONS, *settings["packages"])
    print(json.dumps({"ready": True, "versions": versions_of(names)}), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(asdict(work.round())), file=answers, flush=True)


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the installed distributions among these."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
