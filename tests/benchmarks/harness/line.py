"""Describe a line of the speed table: what is timed, against what, and the target.

A file of ``benchmarks/lines`` assigns one ``Line`` to ``LINE``; its name is the line's. That is all a new line needs:

    LINE = Line(
        title="start of a job",
        unit="start",
        ours=Contestant("ours", program="job_start"),
        against=(Recorded("before", seconds=12.0, source="commit 1a2b3c4, two AVX2 cores, CPU seconds"),),
    )

A contestant is a module of ``benchmarks/contestants`` that ends in ``serve(make)`` (``harness.child``), run as a
process of its own in the Python environment that it names. ``Recorded`` is a number measured once, such as one before
a change, that nobody can measure again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

LINES = Path(__file__).parents[1] / "lines"
PROJECT = "project"  # the environment that runs the benchmark; every other is a target .bench/<name> of the Makefile


@dataclass(frozen=True)
class Contestant:
    """A program that is timed."""

    label: str
    """Name in the table."""
    program: str
    """Module of ``benchmarks/contestants``."""
    environment: str = PROJECT
    """The Python environment: ``PROJECT``, or a target ``.bench/<name>`` of the Makefile."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What only this contestant is told, added to the line's settings."""
    packages: tuple[str, ...] = ()
    """Distributions whose versions are recorded, besides torch, transformers and numpy. The first names the row."""
    target: float | None = None
    """How many times as long as ours it must take, at least."""
    tolerance: float | None = None
    """Largest difference to our results; None if the results of the two are not comparable."""


@dataclass(frozen=True)
class Recorded:
    """A number measured before, in place of a contestant."""

    label: str
    seconds: float
    """Of a unit, on the line's clock."""
    source: str
    """Commit, command and machine."""
    target: float | None = None
    """How many times as long as ours it must take, at least."""


@dataclass(frozen=True)
class Line:
    """A line of the table: one piece of work, ours and what it is compared with."""

    title: str
    """The work, with model, sizes and precision."""
    unit: str
    """What a round counts, in the singular: group, pair, text, start."""
    ours: Contestant
    against: tuple[Contestant | Recorded, ...]
    prepare: str | None = None
    """Program run once, in the project's environment, before all contestants: it writes the data that they share."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What all programs are told. The runner adds ``folder`` (the line's), ``shared`` (of all lines), ``threads`` and
    ``data`` (a folder of texts, or None)."""
    equal: str = ""
    """Which results must be equal, for the page."""
    clock: str = "cpu"
    """The headline: ``cpu`` (seconds of all threads of the process) or ``wall``."""
    device: str = "cpu"
    """``cpu``, or ``gpu``: skipped without one."""
    seconds_at_most: float | None = None
    """Target for a unit of ours, in seconds of the clock."""
    rounds: int | None = None
    """Rounds, where the default is too many or too few."""
    ranks: bool = False
    """Record the rank correlation of the results too."""
    flops: bool = False
    """Record the floating-point operations a second of ours, without padding, which its rounds report."""
    note: str = ""
    """A sentence for the page."""

    def __post_init__(self) -> None:
        if self.clock not in ("cpu", "wall") or self.device not in ("cpu", "gpu"):
            raise ValueError(f"{self.title}: clock={self.clock!r}, device={self.device!r}")

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """Return the programs of the line, ours first."""
        return (self.ours, *(other for other in self.against if isinstance(other, Contestant)))


def names() -> list[str]:
    """Return the names of all lines."""
    return sorted(path.stem for path in LINES.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> Line:
    """Return a line by its name.

    Raises:
        SystemExit: there is none of that name.
    """
    if name not in names():
        raise SystemExit(f"there is no line {name!r} in {LINES}: choose from {', '.join(names())}")
    line: Line = import_module(f"benchmarks.lines.{name}").LINE
    return line
