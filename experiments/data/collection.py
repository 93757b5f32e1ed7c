"""Keep passages, queries and qrels as Arrow columns on disk, checked once and memory-mapped.

Millions of passages are a few mapped files and never as many Python objects. The rest of the package identifies a
passage or query by its row number; ids come back only where a person or a file needs them.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.common.cache import Cache, fingerprint, manifest_of
from experiments.common.errors import ExperimentError
from experiments.data.ids import unescaped
from experiments.data.ragged import Ragged, group_by_key
from experiments.data.source import SPLITS, Source
from experiments.data.text_checks import check_ids, checked_batch

log = logging.getLogger(__name__)
FORMAT = 1  # raise it when the files of a collection's folder change their meaning
INT32 = 2**31  # grades are below it
BATCH = 20_000  # rows per record batch: a few megabytes
TEXT_SCHEMA = pa.schema([("id", pa.large_string()), ("text", pa.large_string())])
QRELS_SCHEMA = pa.schema([("query", pa.int64()), ("passage", pa.int64()), ("grade", pa.int32())])


class TextTable:
    """Ids and texts by row, memory-mapped from ``path``. ``kind``: passage or query, for messages."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._ids: pa.ChunkedArray = table.column("id")
        self._texts: pa.ChunkedArray = table.column("text")

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def size(self) -> int:
        """The bytes of all ids and texts."""
        return int(self._ids.nbytes + self._texts.nbytes)

    def id(self, row: int) -> str:
        return str(self._ids[int(row)].as_py())

    def text(self, row: int) -> str:
        return str(self._texts[int(row)].as_py())

    def ids(self, rows: NDArray[Any] | Sequence[int]) -> list[str]:
        return list(self._ids.take(_places(rows)).to_pylist())

    def texts(self, rows: NDArray[Any] | Sequence[int]) -> list[str]:
        return list(self._texts.take(_places(rows)).to_pylist())

    def text_batches(self, first: int = 0) -> Iterator[list[str]]:
        """Yield the texts from a row on in row order, a record batch at a time."""
        for chunk in self._texts.slice(first).chunks:
            yield chunk.to_pylist()

    def rows(self, ids: Sequence[str], where: str, remedy: str = "") -> NDArray[np.int64]:
        """Return the rows of ids, also of ids written by ``escaped``.

        ``where``: source of the ids, ``remedy``: further advice, both for messages.

        Raises:
            ExperimentError: an id is not in this table.
        """
        rows = self.find(ids)
        if (rows < 0).any():
            missing = sorted({ids[int(i)] for i in np.flatnonzero(rows < 0)})
            shown = ", ".join(repr(text) for text in missing[:3])
            raise ExperimentError(
                f"{where} names {len(missing):,} {self.kind} id(s) that the collection does not have, such as {shown}: "
                f"check that the files belong together{remedy}"
            )
        return rows

    def find(self, ids: Any) -> NDArray[np.int64]:
        """Return the rows of ids, also of ids written by ``escaped``; -1 for an id that is not in this table.

        ``ids``: a sequence of texts, or an Arrow array of them.
        """
        wanted = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.large_string())
        rows = self._find(wanted)
        absent = np.flatnonzero(rows < 0)
        if len(absent):
            written = wanted.take(pa.array(absent)).to_pylist()
            rows[absent] = self._find(pa.array([unescaped(text) for text in written], pa.large_string()))
        return rows

    def _find(self, ids: Any) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = pc.fill_null(pc.index_in(ids, value_set=self._ids), -1).to_numpy().astype(np.int64)
        return rows

    def shared_with(self, other: "TextTable") -> NDArray[np.int64]:
        """(R,) for each row of this table the row of ``other`` with the same id, or -1."""
        return other._find(self._ids)


@dataclass(frozen=True)
class Qrels:
    """Judgements of one split, grouped by query.

    ``queries``: (Q,) query rows, ascending. ``passages`` and ``grades``: ragged, one row per query.
    """

    queries: NDArray[np.int64]
    passages: Ragged
    grades: Ragged

    def relevant(self, min_grade: int = 1) -> dict[int, NDArray[np.int64]]:
        """Map query rows to their passages judged ``min_grade`` or better, without queries that have none."""
        by_query = {int(query): self.passages[i][self.grades[i] >= min_grade] for i, query in enumerate(self.queries)}
        return {query: passages for query, passages in by_query.items() if len(passages)}


class Collection:
    """Passages, queries and qrels of one data set, opened from its folder in the cache.

    All files stay mapped from the start, so that a long training does not fail because somebody emptied the cache.
    ``ignore_identical_ids``: whether runs leave out the passage with the query's own id.
    """

    def __init__(self, folder: Path, name: str, ignore_identical_ids: bool = False) -> None:
        self.folder = folder
        self.name = name
        self.ignore_identical_ids = ignore_identical_ids
        self.passages = TextTable(folder / "passages.arrow", "passage")
        self.queries = TextTable(folder / "queries.arrow", "query")
        self._qrels = {
            split: pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            for split in SPLITS
            if (path := folder / f"qrels.{split}.arrow").exists()
        }
        files = manifest_of(folder)["files"]
        # hash of passages, queries and qrels, whatever file they were read from
        self.fingerprint = fingerprint({name: files[name]["blake2b"] for name in sorted(files)})

    @cached_property
    def own_passages(self) -> NDArray[np.int64]:
        """(Q,) for each query row the row of the passage with the same id, or -1."""
        return self.queries.shared_with(self.passages)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits with qrels, in the order train, dev, test."""
        return tuple(self._qrels)

    def qrels(self, split: str) -> Qrels:
        """Return the judgements of a split.

        Raises:
            ExperimentError: the collection has no such split.
        """
        if split not in self._qrels:
            raise ExperimentError(f"data set {self.name!r} has no qrels for {split!r}; it has {', '.join(self.splits)}")
        table = self._qrels[split]
        queries, passages, grades = (_numbers(table.column(name)) for name in QRELS_SCHEMA.names)
        distinct, offsets = group_by_key(queries)
        return Qrels(distinct, Ragged(passages, offsets), Ragged(grades, offsets))


def _places(rows: NDArray[Any] | Sequence[int]) -> pa.Array:
    """Return rows for Arrow's ``take``. To make an array of values, ``pa.array`` imports pandas."""
    rows_N = np.ascontiguousarray(rows, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(rows_N), [None, pa.py_buffer(rows_N)])


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column of numbers, none of them missing. Arrow's own ``to_numpy`` imports pandas."""
    chunks = [np.from_dlpack(chunk) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, column.type.to_pandas_dtype()), *chunks])


def open_collection(source: Source, cache: Cache, ignore_identical_ids: bool | None = None) -> Collection:
    """Open the collection of a data source; build it into the cache if needed.

    ``ignore_identical_ids``: the key of ``data``; None takes the source's ``queries_among_passages``.

    Raises:
        ExperimentError: ids that are not unique or that no file can hold, no passages or queries, none with a text,
            qrels with unknown ids, a split without judgements, or an error of the reader.
    """
    key = {"format": FORMAT, "source": dict(source.fingerprint())}
    if ignore_identical_ids is None:
        ignore_identical_ids = bool(getattr(source, "queries_among_passages", False))
    folder = cache.get("collection", key, lambda target: _build(source, target))
    return Collection(folder, source.name, ignore_identical_ids)


def _build(source: Source, folder: Path) -> None:
    log.info("reading the data set %s", source.name)
    _write_texts(folder / "passages.arrow", source.passages(), "passage", source.name)
    _write_texts(folder / "queries.arrow", source.queries(), "query", source.name)
    passages = TextTable(folder / "passages.arrow", "passage")
    queries = TextTable(folder / "queries.arrow", "query")
    splits = source.qrels()
    if not splits:
        raise ExperimentError(f"data set {source.name!r} has no qrels: measures need judgements, so add a qrels file")
    lenient = ", or set data.source.missing=empty, which lets them count" if hasattr(source, "missing") else ""
    for split, rows in splits.items():
        where = f"qrels of {source.name!r}, split {split!r},"
        _write_qrels(folder / f"qrels.{split}.arrow", rows, passages, queries, where, lenient)
    counts = f"{len(passages):,} passages, {len(queries):,} queries"
    log.info("%s: %s, splits %s", source.name, counts, ", ".join(splits))


def _write_texts(path: Path, rows: Iterable[tuple[str, str]], kind: str, name: str) -> None:
    empty, example, iterator = 0, "", iter(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TEXT_SCHEMA) as writer:
        while batch := list(islice(iterator, BATCH)):
            for row_id, text in batch:
                if not text.strip():
                    empty, example = empty + 1, example or row_id
            ids, texts = [row_id for row_id, _ in batch], [text for _, text in batch]
            writer.write_batch(checked_batch(ids, texts, TEXT_SCHEMA, kind, name))
    column = TextTable(path, kind)._ids
    if len(column) == 0:
        raise ExperimentError(f"data set {name!r} has no {kind}: its file is empty")
    if empty == len(column):
        raise ExperimentError(f"data set {name!r}: every {kind} text ({empty:,}) is empty: check its files")
    if empty:
        log.warning("%s: %s %s texts are empty, such as the text of %r", name, f"{empty:,}", kind, example)
    check_ids(column, kind, name)


def _write_qrels(
    path: Path, rows: Iterable[tuple[str, str, int]], passages: TextTable, queries: TextTable, where: str, lenient: str
) -> None:
    triples = list(rows)
    if not triples:
        raise ExperimentError(f"{where} are empty: leave the split out or give it judgements")
    query_ids, passage_ids, grades = (list(column) for column in zip(*triples, strict=True))
    query_rows = queries.rows(query_ids, where)
    passage_rows = passages.rows(passage_ids, where, lenient)
    order = np.lexsort((passage_rows, query_rows))
    pairs = np.stack([query_rows[order], passage_rows[order]])
    repeated = np.flatnonzero((pairs[:, 1:] == pairs[:, :-1]).all(axis=0))
    if len(repeated):
        first = order[repeated[0]]
        raise ExperimentError(
            f"{where} judge the passage {passage_ids[first]!r} for the query {query_ids[first]!r} more than once"
        )
    wide = next((grade for grade in grades if not -INT32 <= grade < INT32), None)
    if wide is not None:
        raise ExperimentError(f"{where} have the grade {wide}, which does not fit into 32 bits")
    columns = [pa.array(pairs[0]), pa.array(pairs[1]), pa.array(np.asarray(grades, np.int32)[order])]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, QRELS_SCHEMA) as writer:
        writer.write_table(pa.table(columns, schema=QRELS_SCHEMA))
