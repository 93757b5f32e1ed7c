"""Read runs into ranked ids: TREC's and MS MARCO's formats, plain scores, MS MARCO's official candidates, and
ir_datasets' scored documents.

Equal scores are ordered as by trec_eval: by passage id, descending as bytes. The published nDCG of a run with ties uses
that order, whatever the ranks in its file. pyarrow reads files in columns; a file that it rejects is read again line by
line, which accepts any blanks between fields and reports errors with line numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError, shown
from experiments.data.ids import check_id
from experiments.data.ragged import group_by_key
from experiments.data.run_header import header_end, run_lines
from experiments.data.run_lines import MOST_RANKS, RANK, TOP1000, fields_of, layout_of

ODD = r"^#?$|^[\s\p{Z}]|[\s\p{Z}]$|\p{Cc}"  # no id: the beginning of a comment, blanks to strip, or a control character
FEW = pa.dictionary(pa.int32(), pa.string())  # a column of few different texts
BATCH = 1_000_000  # rows of Python objects held at once

# per line: query id and passage id (Arrow dictionaries), sort key (more is better), and score if given
Columns = tuple[Any, Any, NDArray[np.float32], NDArray[np.float32] | None]


@dataclass(frozen=True)
class RankedIds:
    """A run in ids. Shapes: Q queries, P distinct passages, L lines.

    ``query_ids``: (Q,) Arrow strings. ``offsets``: (Q + 1,) limits of each query's lines. ``passage_ids``: (P,) Arrow
    strings, ascending. ``passages``: (L,) positions in them, best first. ``scores``: (L,) float32, not ascending.
    """

    query_ids: Any
    offsets: NDArray[np.int64]
    passage_ids: Any
    passages: NDArray[np.int32]
    scores: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        for name, ids in (("queries", self.query_ids), ("passages", self.passage_ids)):
            table = pa.table({"id": ids})
            with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        for name, array in (("offsets", self.offsets), ("passages", self.passages), ("scores", self.scores)):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> "RankedIds":
        queries, passages = (
            pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).read_all().column("id").combine_chunks()
            for name in ("queries", "passages")
        )
        offsets, codes, scores = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("offsets", "passages", "scores")
        )
        return cls(queries, offsets, passages, codes, scores)


def read(path: Path, format: str = "auto", key: str = "format") -> RankedIds:
    """Read a run file in ranked order.

    ``format``: ``trec``, ranked by score; ``msmarco``, ranked by rank; ``scores`` (query, passage, score), ranked by
    score; ``top1000`` (query, passage, and the texts of both), not ranked at all: every score is 0; or ``auto``,
    detected from the first line. MS MARCO's scores are kept if they fall with the rank; otherwise
    minus the rank is the score. ``key``: name of the format's setting in messages.

    A header (``run_header``) is left out; other lines that begin with # and are no line of a run are comments. Fields
    are separated by blanks or, if a line has tabs, by tabs, so that ids may hold blanks; the name at the end of a TREC
    line may always hold blanks.

    Raises:
        ExperimentError: a malformed line or header, a passage twice for a query, an empty or unreadable file; with
            ``auto``, whole numbers that may be ranks or scores.
    """
    header, first = _head(path)
    layout = layout_of(path, *first, key) if format == "auto" else format
    columns = _by_column(path, layout, first[1], header) or _by_line(path, layout, key, header)
    if format == "auto" and layout == "msmarco" and not _are_ranks(*columns):
        raise ExperimentError(
            f"{path}: the whole numbers of the third column do not rise from 1 for each query, as ranks do: set "
            f"{key}=scores if they are scores (more is better), or {key}=msmarco if they are ranks"
        )
    return _ranked(*columns)


def has_order(path: Path, format: str, key: str) -> bool:
    """Return whether a run file ranks its passages: MS MARCO's top 1000 do not. Arguments: see ``read``."""
    return (layout_of(path, *_head(path)[1], key) if format == "auto" else format) != TOP1000


def _head(path: Path) -> tuple[int, tuple[int, str]]:
    """Return the last line number of a run's header, and its first line with its number."""
    header = header_end(path)
    first = next(run_lines(path, header), None)
    if first is None:
        raise ExperimentError(f"{path}: the run is empty")
    return header, first


def read_scoreddocs(rows: Iterable[Any], where: str) -> RankedIds:
    """Rank ir_datasets' scored documents (``query_id``, ``doc_id``, ``score``) by score.

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
            f"{where}: passage {passages[repeat].as_py()!r} is listed twice for the query {queries[repeat].as_py()!r}"
        )
    return _ranked(queries, passages, score, score)


def _are_ranks(queries: Any, passages: Any, merit_L: NDArray[np.float32], score_L: NDArray[np.float32] | None) -> bool:
    """Whether each query's numbers are 1, 2, 3 ... (or 0, 1, 2 ...) in some order, or scores fall with them.

    False for numbers without scores that fall line by line in every query: scores are written so.
    """
    query_L, rank_L = _codes(queries), -merit_L
    order = np.lexsort((rank_L, query_L))
    same = np.diff(query_L[order]) == 0
    if score_L is not None and not ((np.diff(score_L[order]) > 0) & same).any():
        return True
    steps, first = np.diff(rank_L[order])[same], rank_L[order][np.flatnonzero(np.append(True, ~same))]
    if first.max() > 1 or (steps != 1).any():
        return False
    as_written = np.argsort(query_L, kind="stable")
    steps = np.diff(rank_L[as_written])[same]
    return score_L is not None or not len(steps) or bool((steps > 0).any())


def _by_column(path: Path, layout: str, first: str, header: int) -> Columns | None:
    """Read a well-formed file in columns; return None for any other, also with a passage twice for a query.

    ``header``: lines to skip.
    """
    import pyarrow.csv

    delimiter = "\t" if "\t" in first or layout in ("msmarco", TOP1000) else " "
    if layout == "trec":
        names = ["query", "q0", "passage", "rank", "score", "name"]
    elif layout == "scores":
        names = ["query", "passage", "score"]
    elif layout == TOP1000:
        names = ["query", "passage", "text of the query", "text of the passage"]
    else:
        names = ["query", "passage", "rank", "score"][: 4 if first.count("\t") == 3 else 3]
    types = {"query": pa.string(), "passage": pa.string(), "rank": FEW, "score": pa.float64()}
    if layout == "trec":  # no value is taken from these, but they tell a line that was cut, or has other separators
        types |= dict.fromkeys(("q0", "name"), FEW)
    try:
        table = pyarrow.csv.read_csv(
            str(path),
            pyarrow.csv.ReadOptions(column_names=names, skip_rows=header),
            pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char=False),
            pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=[name for name in names if name in types], null_values=[]
            ),
        )
    except (pa.ArrowInvalid, OSError):
        return None  # reading by line reports where
    queries, passages = _encoded(table.column("query").chunks), _encoded(table.column("passage").chunks)
    ranks = _ranks(table.column("rank")) if layout == "msmarco" else None
    if layout == "msmarco" and ranks is None:
        return None
    with np.errstate(over="ignore"):  # too large a score becomes infinite, which is reported
        score = table.column("score").to_numpy().astype(np.float32) if "score" in names else None
    unused = [chunk for name in ("q0", "rank", "name") if layout == "trec" for chunk in table.column(name).chunks]
    odd = any(pc.any(pc.match_substring_regex(x.dictionary, ODD)).as_py() for x in (queries, passages, *unused))
    if odd or (score is not None and not np.isfinite(score).all()) or _repeat(queries, passages) is not None:
        return None
    if layout == TOP1000:
        score = np.zeros(len(queries), np.float32)
    merit = score if ranks is None else -ranks
    assert merit is not None  # of every format without ranks the scores were read
    return queries, passages, merit, score


def _ranks(column: Any) -> NDArray[np.float32] | None:
    """Return a column of few texts as ranks; None if one is no rank. Arrow's own numbers may be hexadecimal."""
    texts = column.unify_dictionaries().combine_chunks()
    if not all(RANK.fullmatch(text) and int(text) <= MOST_RANKS for text in texts.dictionary.to_pylist()):
        return None
    ranks: NDArray[np.float32] = np.array(texts.dictionary.to_pylist(), np.float32)[texts.indices.to_numpy()]
    return ranks


def _by_line(path: Path, layout: str, key: str, header: int) -> Columns:
    rows: list[tuple[str, str, int, float]] = []
    seen: set[tuple[str, str]] = set()
    for number, line in run_lines(path, header):
        where = f"{path}, line {number}"
        query, passage, rank, score = fields_of(where, line, layout, key)
        check_id(where, query)
        check_id(where, passage)
        if (query, passage) in seen:
            raise ExperimentError(f"{where}: passage {shown(passage)} is listed twice for the query {shown(query)}")
        seen.add((query, passage))
        rows.append((query, passage, rank, score))
    queries, passages, ranks, scores = zip(*rows, strict=True)
    score_L = np.array(scores, np.float32)
    return (
        _encoded([pa.array(queries, pa.large_string())]),
        _encoded([pa.array(passages, pa.large_string())]),
        -np.array(ranks, np.float32) if layout == "msmarco" else score_L,
        None if np.isnan(score_L).any() else score_L,
    )


def _encoded(chunks: Iterable[Any]) -> Any:
    """Encode Arrow string chunks as one dictionary array."""
    return pa.chunked_array(chunks).dictionary_encode().combine_chunks()


def _codes(ids: Any) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = ids.indices.to_numpy().astype(np.int64)
    return codes


def _repeat(queries: Any, passages: Any) -> int | None:
    """Return the first row that repeats the query and passage of an earlier row."""
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
