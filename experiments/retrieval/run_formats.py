"""Run files in ids and in ranked order: TREC's and MS MARCO's formats, plain or gzipped, and ir_datasets' scored
documents.

Equal scores are ordered as trec_eval orders them: by passage id, descending as bytes. The published nDCG of a run with
ties is the nDCG of that order, whatever the ranks in its file say. Files are read by pyarrow in columns; one that it
cannot read is read again line by line, which takes any blanks between the fields and can say what is wrong where.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.data.ragged import group_by_key
from experiments.data.readers import lines
from experiments.errors import ExperimentError

TREC = "query Q0 passage rank score name"
MSMARCO = "query, passage, rank[, score], separated by tabs"
BATCH = 1_000_000  # rows of Python objects held at once

# of each line: query id and passage id (Arrow dictionaries), what ranks it (more is better), and its score if given
Columns = tuple[Any, Any, NDArray[np.float32], NDArray[np.float32] | None]


@dataclass(frozen=True)
class RankedIds:
    """A run in ids. Shapes: Q queries, P distinct passages, L lines.

    ``query_ids``: (Q,) Arrow strings. ``offsets``: (Q + 1,) where the lines of each query begin and end.
    ``passage_ids``: (P,) Arrow strings, ascending. ``passages``: (L,) positions in ``passage_ids``, each query's best
    first. ``scores``: (L,) float32, not ascending within a query.
    """

    query_ids: Any
    offsets: NDArray[np.int64]
    passage_ids: Any
    passages: NDArray[np.int32]
    scores: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Keep it in a folder."""
        for name, ids in (("queries", self.query_ids), ("passages", self.passage_ids)):
            table = pa.table({"id": ids})
            with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        for name, array in (("offsets", self.offsets), ("passages", self.passages), ("scores", self.scores)):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> "RankedIds":
        """What ``save`` kept, memory-mapped."""
        queries, passages = (
            pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).read_all().column("id").combine_chunks()
            for name in ("queries", "passages")
        )
        offsets, codes, scores = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("offsets", "passages", "scores")
        )
        return cls(queries, offsets, passages, codes, scores)


def read(path: Path, format: str = "auto") -> RankedIds:
    """A run file in ranked order.

    ``format``: ``trec``, ranked by score; ``msmarco``, ranked by rank; or ``auto``, told by the first line. A run in
    MS MARCO's format keeps its scores if they fall with the rank, and else has minus the rank as score.

    Raises:
        ExperimentError: a malformed line, a passage twice for a query, an empty file, or one that cannot be read.
    """
    first = next(lines.lines(path), None)
    if first is None:
        raise ExperimentError(f"{path}: the run is empty")
    layout = _layout(path, *first) if format == "auto" else format
    columns = _by_column(path, layout, first[1])
    if columns is None:
        columns = _by_line(path, layout)
    return _ranked(*columns)


def read_scoreddocs(rows: Iterable[Any], where: str) -> RankedIds:
    """The run of ir_datasets' scored documents (``query_id``, ``doc_id``, ``score``), ranked by score.

    Raises:
        ExperimentError: no rows, a score that is not a finite number, or a passage twice for a query.
    """
    iterator = iter(rows)
    query_ids, passage_ids, scores = [], [], []
    while batch := list(islice(iterator, BATCH)):
        query_ids.append(pa.array([row.query_id for row in batch], pa.large_string()))
        passage_ids.append(pa.array([row.doc_id for row in batch], pa.large_string()))
        scores.append(np.array([row.score for row in batch], np.float32))
    if not scores:
        raise ExperimentError(f"{where}: the run is empty")
    queries, passages, score = _encoded(query_ids), _encoded(passage_ids), np.concatenate(scores)
    if not np.isfinite(score).all():
        raise ExperimentError(f"{where}: the score in row {int(np.argmin(np.isfinite(score))) + 1:,} is not finite")
    repeat = _repeat(queries, passages)
    if repeat is not None:
        raise ExperimentError(
            f"{where}: passage {passages[repeat].as_py()!r} stands twice for the query {queries[repeat].as_py()!r}"
        )
    return _ranked(queries, passages, score, score)


def _layout(path: Path, number: int, line: str) -> str:
    if len(line.split()) == 6:
        return "trec"
    fields = line.split("\t")
    if len(fields) in (3, 4) and fields[2].strip().isdecimal():
        return "msmarco"
    raise ExperimentError(
        f"{path}, line {number}: '{TREC}' is expected, or {MSMARCO}, not {line!r}; the key format says which one it is"
    )


def _by_column(path: Path, layout: str, first: str) -> Columns | None:
    """The columns of a well-formed file; None for any other, also for one with a passage twice for a query."""
    import pyarrow.csv

    if layout == "trec":
        names, delimiter = ["query", "q0", "passage", "rank", "score", "name"], "\t" if "\t" in first else " "
    else:
        names, delimiter = ["query", "passage", "rank", "score"][: 4 if first.count("\t") == 3 else 3], "\t"
    types = {"query": pa.string(), "passage": pa.string(), "rank": pa.uint32(), "score": pa.float64()}
    try:
        table = pyarrow.csv.read_csv(
            str(path),
            pyarrow.csv.ReadOptions(column_names=names),
            pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char=False),
            pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=[name for name in names if name in types], null_values=[]
            ),
        )
    except (pa.ArrowInvalid, OSError):
        return None  # the other reader finds it again and says where
    queries, passages = _encoded(table.column("query").chunks), _encoded(table.column("passage").chunks)
    score = _float32(table.column("score").to_numpy()) if "score" in names else None
    odd = any(pc.any(pc.equal(ids.dictionary, "")).as_py() for ids in (queries, passages))
    if odd or (score is not None and not np.isfinite(score).all()) or _repeat(queries, passages) is not None:
        return None
    merit = score if score is not None and layout == "trec" else -table.column("rank").to_numpy().astype(np.float32)
    return queries, passages, merit, score


def _by_line(path: Path, layout: str) -> Columns:
    rows: list[tuple[str, str, int, float]] = []
    seen: set[tuple[str, str]] = set()
    for number, line in lines.lines(path):
        query, passage, rank, score = _fields(f"{path}, line {number}", line, layout)
        if (query, passage) in seen:
            raise ExperimentError(f"{path}, line {number}: passage {passage!r} stands twice for the query {query!r}")
        seen.add((query, passage))
        rows.append((query, passage, rank, score))
    queries, passages, ranks, scores = zip(*rows, strict=True)
    score_L = np.array(scores, np.float32)
    return (
        _encoded([pa.array(queries, pa.large_string())]),
        _encoded([pa.array(passages, pa.large_string())]),
        score_L if layout == "trec" else -np.array(ranks, np.float32),
        None if np.isnan(score_L).any() else score_L,
    )


def _fields(where: str, line: str, layout: str) -> tuple[str, str, int, float]:
    """(query, passage, rank, score) of one line; the rank is 0 where it does not count, the score NaN where it is not
    given.
    """
    fields = line.split() if layout == "trec" else [field.strip() for field in line.split("\t")]
    if layout == "trec":
        if len(fields) != 6:
            raise ExperimentError(f"{where}: '{TREC}' is expected, not {line!r}")
        return fields[0], fields[2], 0, _score(where, fields[4])
    if len(fields) not in (3, 4) or not all(fields):
        raise ExperimentError(f"{where}: {MSMARCO} are expected, not {line!r}")
    if not fields[2].isdecimal():
        raise ExperimentError(f"{where}: the rank {fields[2]!r} is not a whole number")
    return fields[0], fields[1], int(fields[2]), _score(where, fields[3]) if len(fields) == 4 else math.nan


def _score(where: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError as error:
        raise ExperimentError(f"{where}: the score {text!r} is not a number") from error
    if not np.isfinite(_float32(np.array(score))):
        raise ExperimentError(f"{where}: the score {text!r} is not a finite number of 32 bits")
    return score


def _float32(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is told to the user as such
        return scores.astype(np.float32)


def _encoded(chunks: Iterable[Any]) -> Any:
    """Arrow strings in pieces as one dictionary array."""
    return pa.chunked_array(chunks).dictionary_encode().combine_chunks()


def _codes(ids: Any) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = ids.indices.to_numpy().astype(np.int64)
    return codes


def _repeat(queries: Any, passages: Any) -> int | None:
    """The first row whose query and passage stand in an earlier row."""
    pairs = _codes(queries) * len(passages.dictionary) + _codes(passages)
    ascending = np.sort(pairs)  # faster than np.unique by far
    if not (ascending[1:] == ascending[:-1]).any():
        return None
    order = np.argsort(pairs, kind="stable")
    return int(order[1:][pairs[order][1:] == pairs[order][:-1]].min())


def _ranked(queries: Any, passages: Any, merit: NDArray[np.float32], score: NDArray[np.float32] | None) -> RankedIds:
    by_id = pc.sort_indices(passages.dictionary).to_numpy()
    place = np.empty(len(by_id), np.int32)
    place[by_id] = np.arange(len(by_id))
    query, passage = _codes(queries), place[_codes(passages)]
    order = np.lexsort((-passage, -merit, query))
    distinct, offsets = group_by_key(query[order])
    if score is None or ((np.diff(score[order]) > 0) & (np.diff(query[order]) == 0)).any():
        score = merit
    return RankedIds(
        queries.dictionary.take(pa.array(distinct)).cast(pa.large_string()),
        offsets,
        passages.dictionary.take(pa.array(by_id)).cast(pa.large_string()),
        passage[order],
        score[order],
    )
