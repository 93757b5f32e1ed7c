"""Fuse the runs of other retrievers by reciprocal rank.

Shapes: L lines of all runs together, D distinct pairs of a query and a passage, R runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.checks import at_least
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.run import Run, run_in_order
from experiments.retrieval.own_passages import cut
from experiments.retrieval.retriever import Retriever, run_for
from experiments.retrieval.topk import joined

QUERIES_AT_ONCE = 512  # which bounds the memory


class Fusion:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): a passage scores the sum of 1 / (k + rank) over the
    runs that have it, ranks counted from 1.

    ``of``: the fused retrievers. ``k``: 60 in the paper; a larger one levels the ranks. ``depth``: passages of each run
    that are fused. It does not depend on how many fused passages are asked for, so that a shallow run is the head of a
    deeper one; a passage beyond it gets nothing from that run.

    Raises:
        ExperimentError: fewer than two retrievers, one that is named twice, or a setting out of range.
    """

    def __init__(self, of: Sequence[Retriever], k: float = 60, depth: int = 1000, name: str = "fusion") -> None:
        names = [retriever.name for retriever in of]
        if len(names) < 2:
            raise ExperimentError(
                f"retrievers.{name}.of names {names[0] if names else 'no retriever'}: it must name two or more, such "
                f"as retrievers.{name}.of=[bm25,colbert]"
            )
        if len(set(names)) < len(names):
            raise ExperimentError(f"retrievers.{name}.of names a retriever twice: {', '.join(names)}")
        at_least(f"retrievers.{name}.k", k, 0)
        at_least(f"retrievers.{name}.depth", depth, 1)
        self.name, self.of, self.k, self.depth = name, tuple(of), float(k), depth

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the settings, and the fingerprints of the fused retrievers."""
        of = [dict(retriever.fingerprint()) for retriever in self.of]
        return {"retriever": "fusion 1", "of": of, "k": self.k, "depth": self.depth}

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the best ``depth`` passages of each query that any of the runs has."""
        runs = [run_for(retriever, collection, queries, self.depth, cache) for retriever in self.of]
        starts = range(0, max(1, len(queries)), QUERIES_AT_ONCE)
        return joined(
            self.name, [fuse(self.name, runs, queries[at : at + QUERIES_AT_ONCE], self.k, depth) for at in starts]
        )


def fuse(name: str, runs: Sequence[Run], queries: Rows, k: float, depth: int) -> Run:
    """Fuse runs by reciprocal rank for some query rows (ascending), cut to ``depth`` passages a query.

    Equal scores are ordered by passage row. The terms of a score are summed in ascending order, so that passages with
    the same ranks in different runs have exactly equal scores, and the order of the runs changes nothing.
    """
    lines = [_lines(run, queries) for run in runs]
    query_L, passage_L, rank_L = (np.concatenate(parts) for parts in zip(*lines, strict=True))
    run_L = np.repeat(np.arange(len(runs)), [len(rank) for _, _, rank in lines])
    width = int(passage_L.max(initial=0)) + 1
    pair_D, distinct_L = np.unique(query_L * width + passage_L, return_inverse=True)
    terms_DR = np.zeros((len(pair_D), len(runs)))
    terms_DR[distinct_L, run_L] = 1 / (k + rank_L)
    score_D = np.sort(terms_DR, axis=1).sum(axis=1)
    query_D, passage_D = np.divmod(pair_D, width)
    order = np.lexsort((passage_D, -score_D))
    whole = run_in_order(name, query_D[order], passage_D[order], score_D[order].astype(np.float32))
    return cut(whole, np.ones(len(order), bool), depth)


def _lines(run: Run, queries: Rows) -> tuple[Rows, Rows, Rows]:
    """Return the query row, the passage row and the rank of each line of a run for some query rows."""
    at = np.flatnonzero(np.isin(run.queries, queries))
    lengths = run.passages.lengths_of(at)
    before = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(run.passages.offsets[at], lengths) + before
    return np.repeat(run.queries[at], lengths), np.asarray(run.passages.values[places]), before + 1
