"""Parse one line of a run file: detect its format and read its query, passage, rank and score."""

import math
import re
from pathlib import Path

from experiments.common.errors import ExperimentError, shown
from experiments.data.ids import fields

TREC = "query Q0 passage rank score name"
MSMARCO = "query, passage, rank[, score], separated by tabs"
SCORES = "query, passage, score"
TOP1000 = "top1000"  # MS MARCO's official candidates: no ranks, no scores
CANDIDATES = "query, passage, text of the query, text of the passage, separated by tabs"
FORMATS = ("auto", "trec", "msmarco", "scores", TOP1000)
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
ODD_BLANK, PLAIN_FIELD = re.compile(r"[\f\v]"), re.compile(r"[^ \t\r\n]+")
RANK = re.compile("[0-9]{1,20}")
MOST_RANKS = 2**24  # ranks are compared as float32, which has no larger whole numbers one by one
TOO_LARGE = 3.4028235677973366e38  # rounds to infinity in float32


def layout_of(path: Path, number: int, line: str, key: str) -> str:
    """Detect the format of a run from its first line. ``key``: name of the format's setting in messages.

    Raises:
        ExperimentError: the line fits no format.
    """
    by_tabs = [field.strip() for field in line.split("\t")]
    parts = by_tabs if len(by_tabs) > 2 else fields(line)
    if len(by_tabs) == 4 and all(by_tabs[:2]) and " " in by_tabs[3]:
        return TOP1000
    if len(parts) in (3, 4) and len(by_tabs) > 2 and parts[2].isdecimal():
        return "msmarco"
    if len(parts) == 3 and not parts[2].isdecimal() and _is_number(parts[2]):
        return "scores"
    if _trec_fields(line) is not None:
        return "trec"
    raise ExperimentError(
        f"{path}, line {number}: '{TREC}' is expected, or {MSMARCO}, or {SCORES}, not {shown(line)}; set {key} to "
        f"trec, msmarco or scores, or to {TOP1000} if the last two fields are texts"
    )


def fields_of(where: str, line: str, layout: str, key: str) -> tuple[str, str, int, float]:
    """Return (query, passage, rank, score) of one line; rank 0 if unused, score NaN if missing.

    Raises:
        ExperimentError: the line does not fit ``layout``. The message begins with ``where``.
    """
    if layout == "trec":
        parts = _trec_fields(line)
        if parts is None:
            raise ExperimentError(f"{where}: '{TREC}' is expected, not {shown(line)}")
        return parts[0], parts[2], 0, _score(where, parts[4])
    parts = [field.strip() for field in line.split("\t")]
    if layout == TOP1000:
        if len(parts) != 4 or not all(parts[:2]):
            raise ExperimentError(f"{where}: {CANDIDATES}, are expected, not {shown(line)}")
        return parts[0], parts[1], 0, 0.0
    if layout == "scores":
        parts = parts if len(parts) == 3 else fields(line)
        if len(parts) != 3 or not all(parts):
            raise ExperimentError(f"{where}: {SCORES} are expected, not {shown(line)}")
        return parts[0], parts[1], 0, _score(where, parts[2])
    if len(parts) not in (3, 4) or not all(parts):
        raise ExperimentError(f"{where}: {MSMARCO} are expected, not {shown(line)}")
    if not RANK.fullmatch(parts[2]):
        raise ExperimentError(
            f"{where}: the rank {shown(parts[2])} is not a whole number; if a score, set {key}=scores"
        )
    if int(parts[2]) > MOST_RANKS:
        raise ExperimentError(f"{where}: the rank {parts[2]} is above {MOST_RANKS:,}; if a score, set {key}=scores")
    return parts[0], parts[1], int(parts[2]), _score(where, parts[3]) if len(parts) == 4 else math.nan


def _trec_fields(line: str) -> list[str] | None:
    """Return the six fields of a TREC line, or None; more than six are a name with blanks if the rest fits a run.

    Then no form feed may stand before the name: it would be a separator within a field, and move the score.
    """
    parts = [field.strip() for field in line.split("\t")]
    if len(parts) == 6:
        return parts if all(parts) else None
    parts = fields(line)
    if len(parts) > 6 and not (parts[1].upper() in ("Q0", "0") and parts[3].isdecimal() and _is_number(parts[4])):
        return None
    if len(parts) > 6 and ODD_BLANK.search(line) and len(PLAIN_FIELD.findall(ODD_BLANK.split(line)[0])) < 6:
        return None
    return [*parts[:5], " ".join(parts[5:])] if len(parts) >= 6 else None


def is_comment(line: str) -> bool:
    """Whether a line begins with # and is no line of a run: a query's id may begin with # too."""
    if not line.lstrip().startswith("#"):
        return False
    parts = fields(line)
    scores = (_trec_fields(line) or [""] * 5)[4], *parts[2:3]
    return parts[0] == "#" or not any(map(_is_number, scores))


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def _score(where: str, text: str) -> float:
    if not NUMBER.fullmatch(text):
        raise ExperimentError(f"{where}: the score {shown(text)} is not a number")
    score = float(text)
    if not abs(score) < TOO_LARGE:
        raise ExperimentError(f"{where}: the score {shown(text)} is not a finite number of 32 bits")
    return score
