"""A run: passages in ranked order with scores for each query; in memory, in the cache, and as a TREC file."""

import gzip
import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.disk import replacing
from experiments.data import run_formats
from experiments.data.collection import Collection
from experiments.data.ids import escaped
from experiments.data.ragged import Ragged, group_by_key
from experiments.data.run_header import header_end, run_lines

ARRAYS = ("queries", "offsets", "passages", "scores")  # files of a saved run


@dataclass(frozen=True)
class Run:
    """Ranked passages per query.

    ``queries``: (Q,) query rows, ascending. ``passages``: ragged passage rows, best first, one row a query. ``scores``:
    ragged float32 of the same passages, not ascending.
    """

    name: str
    queries: NDArray[np.int64]
    passages: Ragged
    scores: Ragged

    def __len__(self) -> int:
        return len(self.queries)

    def position(self, query: int) -> int:
        """Return the index of a query row in this run, or -1."""
        at = int(np.searchsorted(self.queries, query))
        return at if at < len(self.queries) and self.queries[at] == query else -1

    def ranking(self, query: int) -> NDArray[np.int64]:
        """Return the passages of a query row, best first; empty if the run does not have it."""
        at = self.position(query)
        return self.passages[at] if at >= 0 else np.empty(0, np.int64)


def run_of(name: str, queries: NDArray[np.int64], passages: NDArray[np.int64], scores: NDArray[np.float32]) -> Run:
    """Build a run from three columns in any order; equal scores of a query are ordered by passage row."""
    order = np.lexsort((passages, -scores))
    return run_in_order(name, queries[order], passages[order], scores[order])


def run_in_order(
    name: str, queries: NDArray[np.int64], passages: NDArray[np.int64], scores: NDArray[np.float32]
) -> Run:
    """Build a run from three columns with each query's passages best first; equal scores keep that order."""
    order = np.argsort(queries, kind="stable")
    distinct, offsets = group_by_key(queries[order])
    return Run(name, distinct, Ragged(passages[order], offsets), Ragged(scores[order].astype(np.float32), offsets))


def save(run: Run, folder: Path) -> None:
    arrays = (run.queries, run.passages.offsets, run.passages.values, run.scores.values)
    for name, array in zip(ARRAYS, arrays, strict=True):
        np.save(folder / f"{name}.npy", array)


def load(folder: Path, name: str) -> Run:
    """Memory-map the run saved in a folder."""
    queries, offsets, passages, scores = (np.load(folder / f"{array}.npy", mmap_mode="r") for array in ARRAYS)
    return Run(name, queries, Ragged(passages, offsets), Ragged(scores, offsets))


def strictly_descending(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lower each score that does not fall to the next float32 below its predecessor.

    trec_eval keeps scores as float32 and orders equal ones by id; strict scores make a written run keep its order.
    """
    strict = scores.astype(np.float32).copy()
    for i in range(1, len(strict)):
        if not strict[i] < strict[i - 1]:
            strict[i] = np.nextafter(strict[i - 1], np.float32(-np.inf))
    return strict


def write_trec(run: Run, collection: Collection, path: Path, header: str = "") -> None:
    """Write ``query Q0 passage rank score name`` lines with strictly falling scores, gzipped for a ``.gz`` path.

    Ids with blanks are percent-encoded (``experiments.data.ids``). ``header``: lines before them, see
    ``run_header.header_text``.
    """
    query_ids, tag = collection.queries.ids(run.queries), escaped(run.name)
    with replacing(path) as raw:
        # no name and no time: equal runs give equal bytes
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else nullcontext(raw)
        with packed as file:
            file.write(header.encode())
            for i, query_id in enumerate(query_ids):
                query, ids = escaped(query_id), collection.passages.ids(run.passages[i])
                ranked = enumerate(zip(ids, strictly_descending(run.scores[i]), strict=True), 1)
                lines = (f"{query} Q0 {escaped(id)} {rank} {score:.9g} {tag}\n" for rank, (id, score) in ranked)
                file.write("".join(lines).encode())


def read_trec(path: Path, collection: Collection, name: str, may_be_empty: bool = False) -> Run:
    """Read a run from a TREC file, plain or gzipped, ordered by score as by trec_eval.

    ``may_be_empty``: accept a file without lines, as ``write_trec`` writes an empty run.

    Raises:
        ExperimentError: a malformed line, a passage twice for a query, or ids that the collection does not have.
    """
    if may_be_empty and next(run_lines(path, header_end(path)), None) is None:
        return run_of(name, *(np.empty(0, np.int64),) * 2, np.empty(0, np.float32))
    ranked = run_formats.read(path, "trec")
    queries = collection.queries.rows(ranked.query_ids.to_pylist(), str(path))
    passages = collection.passages.rows(ranked.passage_ids.to_pylist(), str(path))
    return run_in_order(name, np.repeat(queries, np.diff(ranked.offsets)), passages[ranked.passages], ranked.scores)


def digest_of(run: Run) -> str:
    """Hash a run's rankings without scores, to distinguish runs of the same name."""
    parts = (run.queries, run.passages.offsets, run.passages.values)
    return hashlib.blake2b(b"".join(np.ascontiguousarray(part).tobytes() for part in parts), digest_size=8).hexdigest()
