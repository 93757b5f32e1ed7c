"""One line of a run file: which format it is of, and its query, passage, rank and score."""

import math
from pathlib import Path

from experiments.common.errors import ExperimentError
from experiments.data.ids import fields

TREC = "query Q0 passage rank score name"
MSMARCO = "query, passage, rank[, score], separated by tabs"
SCORES = "query, passage, score"
FORMATS = ("auto", "trec", "msmarco", "scores")
TOO_LARGE = 3.4028235677973366e38  # what float32 rounds to infinity


def layout_of(path: Path, number: int, line: str, key: str) -> str:
    """The format of a run whose first line is ``line``. ``key``: what a message calls the setting of it.

    Raises:
        ExperimentError: it is a line of none.
    """
    by_tabs = [field.strip() for field in line.split("\t")]
    found = by_tabs if len(by_tabs) > 2 else fields(line)
    if len(found) in (3, 4) and len(by_tabs) > 2 and found[2].isdecimal():
        return "msmarco"
    if len(found) == 3 and not found[2].isdecimal() and _is_number(found[2]):
        return "scores"
    if _trec_fields(line) is not None:
        return "trec"
    raise ExperimentError(
        f"{path}, line {number}: '{TREC}' is expected, or {MSMARCO}, or {SCORES}, not {line!r}; set {key} to trec, "
        f"msmarco or scores"
    )


def fields_of(where: str, line: str, layout: str, key: str) -> tuple[str, str, int, float]:
    """(query, passage, rank, score) of one line; the rank is 0 where it does not count, the score NaN where it is not
    given.

    Raises:
        ExperimentError: the line is none of the format ``layout``. The message begins with ``where``.
    """
    if layout == "trec":
        found = _trec_fields(line)
        if found is None:
            raise ExperimentError(f"{where}: '{TREC}' is expected, not {line!r}")
        return found[0], found[2], 0, _score(where, found[4])
    found = [field.strip() for field in line.split("\t")]
    if layout == "scores":
        found = found if len(found) == 3 else fields(line)
        if len(found) != 3 or not all(found):
            raise ExperimentError(f"{where}: {SCORES} are expected, not {line!r}")
        return found[0], found[1], 0, _score(where, found[2])
    if len(found) not in (3, 4) or not all(found):
        raise ExperimentError(f"{where}: {MSMARCO} are expected, not {line!r}")
    if not found[2].isdecimal():
        raise ExperimentError(
            f"{where}: the rank {found[2]!r} is not a whole number; if it is a score, set {key}=scores"
        )
    return found[0], found[1], int(found[2]), _score(where, found[3]) if len(found) == 4 else math.nan


def _trec_fields(line: str) -> list[str] | None:
    """The six fields of a TREC line, or None if it is none. More than six are a name with blanks, as trec_eval writes
    it, if they look like a run's: an id with blanks must not be taken for two fields.
    """
    found = [field.strip() for field in line.split("\t")]
    if len(found) == 6:
        return found if all(found) else None
    found = fields(line)
    if len(found) > 6 and not (found[1].upper() in ("Q0", "0") and found[3].isdecimal() and _is_number(found[4])):
        return None
    return [*found[:5], " ".join(found[5:])] if len(found) >= 6 else None


def is_comment(line: str) -> bool:
    """Whether a line begins with # and is no line of a run: a query's id may begin so too."""
    if not line.lstrip().startswith("#"):
        return False
    found = fields(line)
    of_a_run = (_trec_fields(line) or ["", "", "", "", ""])[4], *found[2:3]
    return found[0] == "#" or not any(_is_number(text) for text in of_a_run)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _score(where: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError as error:
        raise ExperimentError(f"{where}: the score {text!r} is not a number") from error
    if not abs(score) < TOO_LARGE:
        raise ExperimentError(f"{where}: the score {text!r} is not a finite number of 32 bits")
    return score
