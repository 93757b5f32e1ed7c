"""Leave out a query's own passage, under the same id, as in ArguAna and Quora. Shapes: Q queries, N lines of a run."""

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, offsets_of
from experiments.data.run import Run

log = logging.getLogger(__name__)

KEY = "data.ignore_identical_ids"
QUERIES_AT_ONCE = 4096
CHARACTERS = 200  # leading characters of a query that its own passage must contain


def depth_for(collection: Collection, depth: int) -> int:
    """Return the depth to retrieve so that ``depth`` passages are left without the query's own."""
    return depth + 1 if collection.ignore_identical_ids else depth


def left_out(run: Run, collection: Collection, depth: int) -> Run:
    """Drop each query's own passage and cut to ``depth``, if ``data.ignore_identical_ids`` is on."""
    if not collection.ignore_identical_ids:
        return run
    own_N = np.concatenate([hit_N for _, hit_N in _own(run, collection)])
    log.debug("%s: %s queries found the passage of their own id", run.name, f"{own_N.sum():,}")
    return cut(run, ~own_N, depth)


def warn_of_own_texts(run: Run, collection: Collection) -> None:
    """Warn of queries that retrieve their own text, unless it is left out."""
    if collection.ignore_identical_ids or not (collection.own_passages >= 0).any():
        return
    queries = np.concatenate([queries_N[hit_N] for queries_N, hit_N in _own(run, collection)])
    queries_texts = [_normalised(text)[:CHARACTERS] for text in collection.queries.texts(queries)]
    own_texts = [_normalised(text) for text in collection.passages.texts(collection.own_passages[queries])]
    # Numeric ids may coincide by chance, so compare the texts.
    pairs = zip(queries.tolist(), queries_texts, own_texts, strict=True)
    same = [query for query, query_text, own_text in pairs if query_text and query_text in own_text]
    if same:
        log.warning(
            "%s: %s of %s queries found their own text, which is in the collection under the query's id, such as %r: "
            "it counts as a wrong answer and may be drawn as a negative; %s=true leaves it out",
            run.name, f"{len(same):,}", f"{len(run):,}", collection.queries.id(same[0]), KEY,
        )  # fmt: skip


def _own(run: Run, collection: Collection) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield, batch by batch, the query row (N,) of each line and whether (N,) it names the query's own passage."""
    offsets = np.asarray(run.passages.offsets)
    yield np.empty(0, np.int64), np.empty(0, bool)
    for start in range(0, len(run), QUERIES_AT_ONCE):
        stop = min(start + QUERIES_AT_ONCE, len(run))
        queries_N = np.repeat(run.queries[start:stop], np.diff(offsets[start : stop + 1]))
        passages_N = run.passages.values[offsets[start] : offsets[stop]]
        yield queries_N, passages_N == collection.own_passages[queries_N]


def _normalised(text: str) -> str:
    return " ".join(text.lower().split())


def cut(run: Run, kept_N: NDArray[np.bool_], depth: int) -> Run:
    """Keep the first ``depth`` of each query's kept lines; drop queries without any."""
    before_N = np.concatenate([[0], np.cumsum(kept_N)])
    starts_Q = before_N[run.passages.offsets[:-1]]
    place_N = before_N[:-1] - np.repeat(starts_Q, run.passages.lengths)
    kept_N = kept_N & (place_N < depth)
    lengths_Q = np.diff(np.concatenate([[0], np.cumsum(kept_N)])[run.passages.offsets])
    offsets = offsets_of(lengths_Q[lengths_Q > 0])
    return Run(
        run.name,
        run.queries[lengths_Q > 0],
        Ragged(run.passages.values[kept_N], offsets),
        Ragged(run.scores.values[kept_N], offsets),
    )
