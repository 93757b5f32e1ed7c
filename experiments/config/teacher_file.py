"""Settings of a teacher whose scores are read from a file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from experiments.common.checks import at_least, at_most, one_of
from experiments.common.errors import ExperimentError
from experiments.config.keys import no_such_key

KEY = "loss.teacher_file"
FORMATS = ("auto", "trec", "msmarco", "scores", "jsonl", "parquet", "hofstaetter", "hard_negatives", "colbert")
VALUES, MISSING, REPEATED = ("score", "rank"), ("error", "mask"), ("error", "mean")
SUFFIXES = (".tsv", ".txt", ".run", ".trec", ".jsonl", ".json", ".parquet", ".gz")


@dataclass
class TeacherFile:
    """How values of query-passage pairs are read from the file that ``loss.teacher`` names."""

    format: str = "auto"
    """Its format; ``auto`` detects it from the first line."""
    value: str = "score"
    """What the teacher says of a pair: its ``score``, or in a run its ``rank``, with a minus."""
    missing: str = "error"
    """What a pair without a value is: an ``error``, or left out by the loss (``mask``)."""
    coverage: float = 0.5
    """With ``missing=mask`` the least share of all pairs that must have a value, from 0 to 1."""
    repeated: str = "error"
    """What several different values of one pair are: an ``error``, or taken as their ``mean``."""

    def __post_init__(self) -> None:
        one_of("loss.teacher_file.format", self.format, FORMATS)
        one_of("loss.teacher_file.value", self.value, VALUES)
        one_of("loss.teacher_file.missing", self.missing, MISSING)
        one_of("loss.teacher_file.repeated", self.repeated, REPEATED)
        if not isinstance(self.coverage, int | float) or isinstance(self.coverage, bool):
            raise ExperimentError(f"{KEY}.coverage is {self.coverage!r}: it must be a number")
        at_least("loss.teacher_file.coverage", self.coverage, 0)
        at_most("loss.teacher_file.coverage", self.coverage, 1)

    @property
    def masks(self) -> bool:
        """Whether pairs without a value are left out by the loss."""
        return self.missing == "mask"


def names_file(place: str) -> bool:
    """Return whether a place is a file of scores, existing or not by its ending, rather than a model."""
    return Path(place).is_file() or (place.lower().endswith(SUFFIXES) and not Path(place).is_dir())


def check_teacher_file(place: str) -> None:
    """Raise ExperimentError unless a file of scores exists and is not empty."""
    if not Path(place).exists():
        raise ExperimentError(f"loss.teacher: there is no file {place}")
    if Path(place).stat().st_size == 0:
        raise ExperimentError(f"loss.teacher: the file {place} is empty")


def teacher_file_of(loss: Mapping[str, Any]) -> TeacherFile:
    """Return the settings of a loss's ``teacher_file``, the defaults where it has none.

    Raises:
        ExperimentError: there is no such key, or its value is out of range.
    """
    given = {} if loss.get("teacher_file") is None else loss["teacher_file"]
    names = [field.name for field in fields(TeacherFile)]
    if not isinstance(given, Mapping):
        raise ExperimentError(f"{KEY} is {given!r}: it must have the keys {', '.join(names)}")
    for name in given:
        if name not in names:
            raise ExperimentError(no_such_key(f"{KEY}.{name}", names))
    return TeacherFile(**given)


def is_default(loss: Any) -> bool:
    """Return whether a loss has a ``teacher_file`` without any value but the defaults, or none."""
    given = loss.get("teacher_file") if isinstance(loss, Mapping) else None
    defaults = asdict(TeacherFile())
    return isinstance(loss, Mapping) and {**defaults, **(given or {})} == defaults
