"""Read ColBERT's training examples: lists of a query, a positive and negatives, bare ids or with a teacher's scores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError, shown
from experiments.common.strict_text import parse_json
from experiments.data.readers import lines
from experiments.data.teacher_rows import Row, checked_id, checked_score

EXPECTED = "[query, passage, passage ...] or [query, [passage, score], [passage, score] ...]"


def examples(path: Path) -> Iterator[tuple[int, str, list[tuple[str, Any]]]]:
    """Yield (line number, query id, passages with their scores) of each line; the score of a bare id is None.

    Raises:
        ExperimentError: a line is no such list, or an id is neither a text nor a whole number.
    """
    for number, line in lines.lines(path):
        yield number, *example_of(f"{path}, line {number}", line)


def example_of(where: str, line: str) -> tuple[str, list[tuple[str, Any]]]:
    """Parse one line into the query id and its passages. The message of an error begins with ``where``."""
    value = parse_json(line, where, nested=False)
    if not isinstance(value, list) or len(value) < 2:
        raise ExperimentError(f"{where}: {EXPECTED} is expected, not {shown(line)}")
    pairs = [passage if isinstance(passage, list) else [passage, None] for passage in value[1:]]
    if any(len(pair) != 2 for pair in pairs):
        raise ExperimentError(f"{where}: {EXPECTED} is expected, not {shown(line)}")
    query = checked_id(where, "the query", value[0])
    return query, [(checked_id(where, "a passage", passage), score) for passage, score in pairs]


def scored_examples(path: Path) -> Iterator[Row]:
    """Yield each pair of the examples with its score.

    Raises:
        ExperimentError: a passage has no finite score, or see ``examples``.
    """
    for number, query, passages in examples(path):
        for passage, score in passages:
            yield query, passage, checked_score(f"{path}, line {number}", score)
