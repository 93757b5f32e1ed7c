"""The pairs of a run next to the vectors of their passages, as retrievers score them; and what a query's pairs take.

Shapes: N pairs of a run.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, Rows, offsets_of
from experiments.data.run import Run
from experiments.retrieval.vector_store import Embeddings, PassageEncoder, passage_embeddings

TIMED = 50  # queries that are timed


@dataclass(frozen=True)
class Pairs:
    """The pairs of a run. ``places_N``: position of each passage's vectors in ``embeddings``."""

    run: Run
    embeddings: Embeddings
    places_N: Rows

    def head(self, queries: int, depth: int) -> "Pairs":
        """Return the first ``depth`` passages of the first ``queries``."""
        run, kept_N = head_of(self.run, queries, depth)
        return Pairs(run, self.embeddings, self.places_N[kept_N])


def head_of(run: Run, queries: int, depth: int) -> tuple[Run, NDArray[np.int64]]:
    """Return the first ``depth`` passages of the first ``queries`` of a run, and which of its lines they are."""
    spans = [(start, min(end, start + depth)) for start, end in pairwise(run.passages.offsets[: queries + 1].tolist())]
    kept_N = np.concatenate([np.empty(0, np.int64), *(np.arange(start, end) for start, end in spans)])
    offsets = offsets_of(np.array([end - start for start, end in spans], np.int64))
    values = [Ragged(np.asarray(column.values)[kept_N], offsets) for column in (run.passages, run.scores)]
    return Run(run.name, run.queries[:queries], *values), kept_N


class PairScorer(Protocol):
    """A retriever that scores pairs whose passages have vectors already."""

    def score_pairs(self, collection: Collection, pairs: Pairs) -> NDArray[np.float32]:
        """Encode the queries, and return the (N,) scores of their pairs."""
        ...


def open_pairs(encoder: PassageEncoder, run: Run, collection: Collection, cache: Cache, *, whole: bool) -> Pairs:
    """Encode a run's passages; the ``whole`` collection if asked, or if the run has more than half of it."""
    rows = np.unique(run.passages.values)
    of_all = whole or 2 * len(rows) > len(collection.passages)
    embeddings = passage_embeddings(encoder, collection, cache, None if of_all else rows)
    return Pairs(run, embeddings, embeddings.places(np.asarray(run.passages.values)))


def milliseconds_at(
    scorer: PairScorer, collection: Collection, pairs: Pairs, depths: Sequence[int]
) -> dict[int, float]:
    """Return depth -> milliseconds of a query: its encoding and the scoring of its pairs, on at most ``TIMED`` queries;
    the passages are encoded before, as in an index.
    """
    sample = pairs.head(TIMED, depths[-1])
    scorer.score_pairs(collection, sample)  # reads the vectors and warms the model up
    taken = {}
    for depth in depths:
        part = sample.head(TIMED, depth)
        began = time.perf_counter()
        scorer.score_pairs(collection, part)
        taken[depth] = 1000 * (time.perf_counter() - began) / max(1, len(part.run))
    return taken
