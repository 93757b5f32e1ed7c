"""Parse scored pairs out of named columns and JSON lines."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError, shown
from experiments.data.ids import check_id
from experiments.data.readers import lines
from experiments.data.run_lines import NUMBER, TOO_LARGE

Row = tuple[str, str, float]  # query id, passage id, score
QUERY = ("query_id", "query-id", "qid", "query")  # the first that a file has: its query may be a text
PASSAGE = ("passage_id", "corpus_id", "corpus-id", "document_id", "doc_id", "docid", "pid", "passage")
SCORE = ("score", "ce-score", "teacher_score")
NAMES = "query, passage and score (or query_id, passage_id, score and the like)"


def names_in(columns: Sequence[str]) -> tuple[str, str, str] | None:
    """Return which columns hold the query's id, the passage's id and the score; None if one is lacking."""
    found = [next((name for name in names if name in columns), None) for names in (QUERY, PASSAGE, SCORE)]
    query, passage, score = found
    return (query, passage, score) if query and passage and score else None


def json_rows(path: Path) -> Iterator[Row]:
    """Yield the pair of each line, an object such as ``{"query_id": "q1", "passage_id": "p1", "score": 3.5}``.

    Raises:
        ExperimentError: a key is lacking, an id is neither a text nor a whole number, a score is not finite.
    """
    for number, row in lines.json_lines(path):
        names, where = names_in(list(row)), f"{path}, line {number}"
        if names is None:
            raise ExperimentError(f"{where}: keys {NAMES} are expected, not {shown(', '.join(row) or 'none')[1:-1]}")
        query, passage, score = (row[name] for name in names)
        yield checked_id(where, names[0], query), checked_id(where, names[1], passage), checked_score(where, score)


def hard_negative_rows(path: Path) -> Iterator[Row]:
    """Yield the pairs of a line of sentence-transformers' hard negatives: its positives, then its negatives.

    Raises:
        ExperimentError: a key is lacking, passages have no scores, or see ``json_rows``.
    """
    for number, row in lines.json_lines(path):
        where = f"{path}, line {number}"
        query = checked_id(where, "qid", row.get("qid"))
        systems = row.get("neg", {})
        if not isinstance(systems, Mapping):
            raise ExperimentError(f"{where}: neg must map each system to its passages, not be {type(systems).__name__}")
        for name, passages in (("pos", row.get("pos", [])), *systems.items()):
            if not isinstance(passages, list):
                raise ExperimentError(
                    f"{where}: {shown(name)} must be a list of passages, not {type(passages).__name__}"
                )
            for passage in passages:
                if not isinstance(passage, Mapping) or "pid" not in passage or "ce-score" not in passage:
                    raise ExperimentError(
                        f"{where}: a passage of {shown(name)[1:-1]} is {shown(passage)}, without pid and ce-score: the "
                        f"scores of the edition that lists bare ids are in a pickle of their own; write them as query, "
                        f"passage, score"
                    )
                yield query, checked_id(where, "pid", passage["pid"]), checked_score(where, passage["ce-score"])


def checked_score(where: str, score: Any) -> float:
    """Return a score as a float.

    Raises:
        ExperimentError: it is not a finite number of 32 bits. The message begins with ``where``.
    """
    if isinstance(score, str) and not NUMBER.fullmatch(score.strip()):
        raise ExperimentError(f"{where}: the score {shown(score)} is not a number")
    try:
        value = math.nan if isinstance(score, bool) or score is None else float(score)
    except OverflowError:  # a whole number of hundreds of digits
        value = math.inf
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"{where}: the score {shown(score)} is not a number") from error
    if not abs(value) < TOO_LARGE:
        raise ExperimentError(f"{where}: the score {shown(score)} is not a finite number of 32 bits")
    return value


def checked_id(where: str, name: str, value: Any) -> str:
    """Return an id as a text; raises ExperimentError unless it is a text or a whole number."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ExperimentError(f"{where}: {name} is {shown(value)}, no id: a text or a whole number is expected")
    check_id(where, str(value))
    return str(value)
