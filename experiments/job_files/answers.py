"""Keep the top passages of each test query with their texts: ``answers.<first stage>.jsonl.gz``, a line a query.

Two jobs can thus be compared query by query without the collection. Long passages are cut.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.disk import replacing
from experiments.common.errors import ExperimentError, shown
from experiments.common.strict_text import parse_json
from experiments.data.collection import Collection
from experiments.data.run import Run

CHARACTERS = 400  # of a passage
TOP = 3  # passages of a query
NOTHING: NDArray[Any] = np.empty(0, np.int64)


@dataclass(frozen=True)
class Passage:
    """A ranked passage. ``rank``: from 1, None if unranked; ``before``: rank in the first stage; ``grade``: 0 if not
    judged.
    """

    id: str
    text: str
    rank: int | None
    before: int | None
    grade: int


@dataclass(frozen=True)
class Answer:
    """``top``: the first passages of the ranking; ``relevant``: the highest ranked relevant passage, or the first
    judged one if none was ranked; None for a query without any.
    """

    query: str
    text: str
    top: tuple[Passage, ...]
    relevant: Passage | None


def answers_path(folder: Path, first_stage: str) -> Path:
    """Return the path of a job's answers."""
    return folder / f"answers.{first_stage}.jsonl.gz"


def write_answers(
    made: Run,
    first_stage: Run,
    relevance: Mapping[int, Mapping[int, int]],
    collection: Collection,
    path: Path,
    min_grade: int = 1,
) -> None:
    """Write the answers of the run ``made``, which re-ranks (or is compared with) a first stage.

    ``relevance``: query row -> passage row -> grade; a passage is relevant from ``min_grade`` on.
    """
    after, before = _rows_of(made), _rows_of(first_stage)
    queries = sorted(relevance)
    chosen = {query: _chosen(after.get(query, NOTHING), relevance[query], min_grade) for query in queries}
    rows = sorted({row for top, best in chosen.values() for row in (*top, *([] if best is None else [best]))})
    texts = dict(zip(rows, collection.passages.texts(np.array(rows, np.int64)), strict=True))
    ids = dict(zip(rows, collection.passages.ids(np.array(rows, np.int64)), strict=True))

    def passage(query: int, row: int) -> Passage:
        rank, ranked_before = (_rank(ranked.get(query, NOTHING), row) for ranked in (after, before))
        return Passage(ids[row], _cut(texts[row]), rank, ranked_before, relevance[query].get(row, 0))

    places = np.array(queries, np.int64)
    lines = []
    for query, name, text in zip(
        queries, collection.queries.ids(places), collection.queries.texts(places), strict=True
    ):
        top, best = chosen[query]
        relevant = None if best is None else passage(query, best)
        answer = Answer(name, text, tuple(passage(query, row) for row in top), relevant)
        lines.append(json.dumps(asdict(answer), ensure_ascii=False))
    with replacing(path) as file:
        file.write(gzip.compress("\n".join(lines).encode() + b"\n", mtime=0))


def read_answers(path: Path) -> Iterator[Answer]:
    """Read the answers of a job, in the order of the queries.

    Raises:
        ExperimentError: a line is malformed or the file is damaged.
    """
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                yield _answer(f"{path}, line {number}", parse_json(line, f"{path}, line {number}", halves=True))
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path} is damaged after line {number} ({error}); run the job again") from error


def _answer(where: str, value: Any) -> Answer:
    """Return the answer of a line. Raises ExperimentError if a key is missing or a value has another type."""
    try:
        relevant, texts = value["relevant"], (value["query"], value["text"])
        passages = [Passage(**passage) for passage in (*value["top"], *([] if relevant is None else [relevant]))]
    except (KeyError, TypeError) as error:
        raise ExperimentError(f"{where}: not an answer ({error}); run the job again") from error
    for name, allowed, values in (
        ("a text", str, (*texts, *(text for passage in passages for text in (passage.id, passage.text)))),
        ("a rank", int | None, [rank for passage in passages for rank in (passage.rank, passage.before)]),
        ("a grade", int, [passage.grade for passage in passages]),
    ):
        if wrong := [each for each in values if not isinstance(each, allowed) or isinstance(each, bool)]:
            raise ExperimentError(f"{where}: not an answer ({shown(wrong[0])} is not {name}); run the job again")
    top = passages if relevant is None else passages[:-1]
    return Answer(*texts, tuple(top), None if relevant is None else passages[-1])


def _rows_of(run: Run) -> dict[int, NDArray[Any]]:
    """Map each query row to its passage rows, best first."""
    return {int(query): run.passages[i] for i, query in enumerate(run.queries)}


def _rank(ranked: NDArray[Any], row: int) -> int | None:
    places = np.flatnonzero(ranked == row)
    return int(places[0]) + 1 if len(places) else None


def _chosen(ranked: NDArray[Any], judged: Mapping[int, int], min_grade: int) -> tuple[list[int], int | None]:
    """Return the rows of the top passages, and of the relevant one to show."""
    relevant = [row for row, grade in judged.items() if grade >= min_grade]
    hits = ranked[np.isin(ranked, relevant)]
    best = int(hits[0]) if len(hits) else (relevant[0] if relevant else None)
    return [int(row) for row in ranked[:TOP]], best


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1].rstrip() + "…"
