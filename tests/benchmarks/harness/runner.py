"""Measure one line: start its contestants, compare their results, and time rounds in turns."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.harness.line import PROJECT, Contestant, Line
from benchmarks.harness.results import Rounds, spearman

TESTS = Path(__file__).parents[2]
ROOT = TESTS.parent


class BenchError(Exception):
    """A line cannot be measured; the message says why."""


@dataclass(frozen=True)
class Options:
    """What the command line chose."""

    rounds: int
    threads: int
    data: str | None


class Child:
    """The process of a contestant (``harness.child``)."""

    def __init__(self, contestant: Contestant, settings: Mapping[str, Any], folder: Path) -> None:
        self.contestant = contestant
        name = contestant.label.replace(" ", "_").replace("/", "_")
        self.results, self.log = folder / f"{name}.npy", folder / f"{name}.log"
        given = {**settings, **contestant.settings, "results": str(self.results), "packages": contestant.packages}
        path = folder / f"{name}.json"
        path.write_text(json.dumps(given), encoding="utf-8")
        command = [python_of(contestant.environment), "-m", f"benchmarks.contestants.{contestant.program}", str(path)]
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                env=environment(settings["threads"], project=contestant.environment == PROJECT),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
            )

    def answer(self) -> dict[str, Any]:
        """Return the next answer.

        Raises:
            BenchError: the process ended instead; the message has the end of what it wrote.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            tail = self.log.read_text(encoding="utf-8").strip().splitlines()[-15:]
            raise BenchError(f"{self.contestant.label} stopped:\n  " + "\n  ".join(tail))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def round(self) -> dict[str, Any]:
        """Do a round."""
        assert self.process.stdin is not None
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def python_of(environment: str) -> str:
    """Return the interpreter of an environment."""
    return sys.executable if environment == PROJECT else str(ROOT / ".bench" / environment / "bin" / "python")


def environment(threads: int, *, project: bool) -> dict[str, str]:
    """Return the environment variables of a child: its threads, no network, and where its modules are."""
    paths = [str(TESTS), *([os.environ["PYTHONPATH"]] if project and os.environ.get("PYTHONPATH") else [])]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "WANDB_MODE": "disabled"}
    return {**os.environ, **limits, **quiet, "PYTHONPATH": os.pathsep.join(paths)}


def make_environments(line: Line) -> None:
    """Make the environments of a line's contestants by the Makefile; what is made already is left.

    Raises:
        BenchError: one cannot be made.
    """
    for name in sorted({contestant.environment for contestant in line.contestants} - {PROJECT}):
        made = subprocess.run(["make", "--silent", f".bench/{name}"], cwd=ROOT, stderr=subprocess.PIPE)
        if made.returncode:
            raise BenchError(f"make .bench/{name} failed:\n  {made.stderr.decode().strip()[-1500:]}")


def prepare(line: Line, settings: Mapping[str, Any]) -> None:
    """Run the program that writes the data which the contestants share.

    Raises:
        BenchError: it failed.
    """
    if line.prepare is None:
        return
    folder = Path(settings["folder"])
    path = folder / "prepare.json"
    path.write_text(json.dumps(dict(settings)), encoding="utf-8")
    command = [sys.executable, "-m", f"benchmarks.contestants.{line.prepare}", str(path)]
    variables = environment(settings["threads"], project=True)
    done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{line.prepare} failed:\n  " + "\n  ".join(done.stderr.strip().splitlines()[-15:]))


def differences(line: Line, children: Mapping[str, Child]) -> dict[str, float]:
    """Return the largest difference of each contestant's results to ours, of those that have a tolerance.

    Raises:
        BenchError: it is above the tolerance, or the shapes differ.
    """
    ours = np.load(children[line.ours.label].results)
    apart = {}
    for contestant in line.contestants[1:]:
        if contestant.tolerance is None:
            continue
        theirs = np.load(children[contestant.label].results)
        if theirs.shape != ours.shape:
            raise BenchError(f"{contestant.label}: results of shape {theirs.shape}, ours {ours.shape}")
        apart[contestant.label] = difference = float(np.abs(theirs - ours).max())
        if not difference <= contestant.tolerance:
            raise BenchError(f"{contestant.label}: results differ by {difference:.1e}, over {contestant.tolerance:.0e}")
    return apart


def correlations(line: Line, children: Mapping[str, Child]) -> dict[str, float]:
    """Return Spearman's correlation of each contestant's results with ours; empty unless the line has ranks."""
    if not line.ranks:
        return {}
    ours = np.load(children[line.ours.label].results)
    return {other.label: spearman(ours, np.load(children[other.label].results)) for other in line.contestants[1:]}


def measure(line: Line, options: Options, folder: Path, shared: Path) -> Rounds:
    """Measure a line. ``folder``: its own. ``shared``: what other lines can use too.

    Raises:
        BenchError: it cannot be measured.
    """
    make_environments(line)
    settings = {**line.settings, "folder": str(folder), "shared": str(shared)}
    settings |= {"threads": options.threads, "data": options.data}
    prepare(line, settings)
    children: dict[str, Child] = {}
    versions: dict[str, dict[str, str]] = {}
    try:
        for contestant in line.contestants:  # one after the other, so that setting up disturbs nobody
            child = children[contestant.label] = Child(contestant, settings, folder)
            versions[contestant.label] = child.answer()["versions"]
        apart, alike = differences(line, children), correlations(line, children)
        timings: dict[str, list[dict[str, Any]]] = {label: [] for label in children}
        for _ in range(line.rounds or options.rounds):
            for label, child in children.items():
                timings[label].append(child.round())
    finally:
        for child in children.values():
            child.close()
    return Rounds(timings, versions, apart, alike)
