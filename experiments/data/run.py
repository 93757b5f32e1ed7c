"""A run: for each query, passages in ranked order with scores; in memory, in the cache, and as a TREC file."""

import gzip
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data import run_formats
from experiments.data.collection import Collection
from experiments.data.ids import escaped
from experiments.data.ragged import Ragged, group_by_key
from experiments.data.readers import lines


@dataclass(frozen=True)
class Run:
    """Ranked passages per query.

    ``queries``: (Q,) query rows, ascending. ``passages``: ragged, passage rows best first, one row a query. ``scores``:
    ragged float32 beside them, not ascending.
    """

    name: str
    queries: NDArray[np.int64]
    passages: Ragged
    scores: Ragged

    def __len__(self) -> int:
        return len(self.queries)

    def position(self, query: int) -> int:
        """Where a query row stands in this run, or -1 if it is not there."""
        at = int(np.searchsorted(self.queries, query))
        return at if at < len(self.queries) and self.queries[at] == query else -1

    def ranking(self, query: int) -> NDArray[np.int64]:
        """The passages of a query row, best first; empty if the run does not have it."""
        at = self.position(query)
        return self.passages[at] if at >= 0 else np.empty(0, np.int64)


def run_of(name: str, queries: NDArray[np.int64], passages: NDArray[np.int64], scores: NDArray[np.float32]) -> Run:
    """A run from three columns in any order; within a query equal scores are ordered by passage row."""
    order = np.lexsort((passages, -scores, queries))
    distinct, offsets = group_by_key(queries[order])
    return Run(name, distinct, Ragged(passages[order], offsets), Ragged(scores[order].astype(np.float32), offsets))


def run_in_order(
    name: str, queries: NDArray[np.int64], passages: NDArray[np.int64], scores: NDArray[np.float32]
) -> Run:
    """A run from three columns in which each query's passages stand best first; equal scores keep that order."""
    order = np.argsort(queries, kind="stable")
    distinct, offsets = group_by_key(queries[order])
    return Run(name, distinct, Ragged(passages[order], offsets), Ragged(scores[order].astype(np.float32), offsets))


def save(run: Run, folder: Path) -> None:
    """Keep a run's arrays in a folder."""
    arrays = {
        "queries": run.queries,
        "offsets": run.passages.offsets,
        "passages": run.passages.values,
        "scores": run.scores.values,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def load(folder: Path, name: str) -> Run:
    """The run kept in a folder, memory-mapped."""
    queries, offsets, passages, scores = (
        np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("queries", "offsets", "passages", "scores")
    )
    return Run(name, queries, Ragged(passages, offsets), Ragged(scores, offsets))


def strictly_descending(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores in ranked order, made to fall strictly: each that does not is lowered to the next float32 below the one
    before it.

    trec_eval keeps scores as float32 and orders equal ones by id, so this is what makes a written run keep its order.
    """
    strict = scores.astype(np.float32).copy()
    for i in range(1, len(strict)):
        if not strict[i] < strict[i - 1]:
            strict[i] = np.nextafter(strict[i - 1], np.float32(-np.inf))
    return strict


def write_trec(run: Run, collection: Collection, path: Path) -> None:
    """Write ``query Q0 passage rank score name`` lines, gzipped if the path says so, with strictly falling scores.

    Ids with blanks are percent-encoded (see ``experiments.data.ids``); all others are written as they are.
    """
    query_ids, tag = collection.queries.ids(run.queries), escaped(run.name)
    text = io.StringIO()
    for i, query_id in enumerate(query_ids):
        query, ids = escaped(query_id), collection.passages.ids(run.passages[i])
        for rank, (passage_id, score) in enumerate(zip(ids, strictly_descending(run.scores[i]), strict=True), 1):
            text.write(f"{query} Q0 {escaped(passage_id)} {rank} {score:.9g} {tag}\n")
    data = text.getvalue().encode()
    # mtime=0: the same run gives the same bytes
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_trec(path: Path, collection: Collection, name: str, may_be_empty: bool = False) -> Run:
    """A run from a TREC file, plain or gzipped, ordered by score as trec_eval orders it.

    ``may_be_empty``: whether a file without a line is a run of nothing, as ``write_trec`` writes it, and no mistake.

    Raises:
        ExperimentError: a malformed line, a passage twice for a query, or ids that the collection does not have.
    """
    if may_be_empty and next(lines.lines(path), None) is None:
        return run_of(name, *(np.empty(0, np.int64),) * 2, np.empty(0, np.float32))
    found = run_formats.read(path, "trec")
    queries = collection.queries.rows(found.query_ids.to_pylist(), str(path))
    passages = collection.passages.rows(found.passage_ids.to_pylist(), str(path))
    return run_in_order(name, np.repeat(queries, np.diff(found.offsets)), passages[found.passages], found.scores)


def as_scores(run: Run) -> Mapping[int, Mapping[int, float]]:
    """Query row -> passage row -> a score that any evaluator orders as this run is ordered: minus the rank."""
    return {
        int(query): {int(passage): float(-rank) for rank, passage in enumerate(run.passages[i])}
        for i, query in enumerate(run.queries)
    }


def digest_of(run: Run) -> str:
    """A digest of a run's rankings, scores apart, so that two of one name can be told apart."""
    parts = (run.queries, run.passages.offsets, run.passages.values)
    return hashlib.blake2b(b"".join(np.ascontiguousarray(one).tobytes() for one in parts), digest_size=8).hexdigest()
