"""Compute signs that drawn negatives are relevant. Shapes: U distinct (query, negative) pairs, N negatives a group."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, Rows
from experiments.negatives.filters import PairScores
from experiments.negatives.near_duplicates import similarity
from experiments.negatives.twin_queries import TwinQueries

TEXTS_PER_CHUNK = 20_000


@dataclass(frozen=True)
class DrawnPairs:
    """Distinct pairs, ascending by query and negative. ``passages``: size of the collection."""

    queries_U: Rows
    negatives_U: Rows
    passages: int

    @classmethod
    def of(cls, draws: Sequence[tuple[Rows, Rows]], passages: int) -> "DrawnPairs":
        """Collect the pairs of several draws: (Q,) query rows and (Q, N) negatives each."""
        keys = np.unique(np.concatenate([(q[:, None] * passages + n).ravel() for q, n in draws]))
        return cls(keys // passages, keys % passages, passages)

    def __len__(self) -> int:
        return len(self.queries_U)

    def places(self, queries_Q: Rows, negatives_QN: Rows) -> Rows:
        """Return the positions (Q, N) of a draw's pairs."""
        keys_U = self.queries_U * self.passages + self.negatives_U
        return np.asarray(np.searchsorted(keys_U, queries_Q[:, None] * self.passages + negatives_QN))


@dataclass(frozen=True)
class SignalThresholds:
    """Thresholds from which a sign counts. ``near_duplicate``: similarity to a positive. ``twin_query``: similarity of
    two queries. ``margin``: a negative is above the positive if its score exceeds the best positive's minus this.
    """

    near_duplicate: float
    twin_query: float
    margin: float = 0.0


@dataclass(frozen=True)
class AuditSignals:
    """Signs and evidence of each pair, (U,) each. ``nearest_U``: the most similar positive. ``twin_U``: the most
    similar other training query that the negative answers, or -1. ``score_U``: score of the negative; ``best_U``: of
    the best-scored positive. The scores and ``above_positive`` are None without a scorer.
    """

    similarity_U: NDArray[np.float64]
    nearest_U: Rows
    exact_duplicate: NDArray[np.bool_]
    near_duplicate: NDArray[np.bool_]
    judged_relevant: NDArray[np.bool_]
    twin_query: NDArray[np.bool_]
    twin_U: Rows
    twin_similarity_U: NDArray[np.float64]
    above_positive: NDArray[np.bool_] | None
    score_U: NDArray[np.float64] | None
    best_U: NDArray[np.float64] | None

    @property
    def suspicious(self) -> NDArray[np.bool_]:
        """Whether a pair has any sign."""
        either = self.exact_duplicate | self.near_duplicate | self.judged_relevant | self.twin_query
        return either if self.above_positive is None else either | self.above_positive

    def order(self) -> Rows:
        """Return the positions (U,) from the most to the least suspicious pair.

        Sort by evidence first: same text, judged for the query, judged for a twin query. Then by the number of signs,
        the similarity to a positive, and the excess of the negative's score over the positive's.
        """
        above = np.zeros(len(self.nearest_U), bool) if self.above_positive is None else self.above_positive
        unscored = np.zeros(len(above))
        excess = unscored if self.score_U is None or self.best_U is None else self.score_U - self.best_U
        evidence = (self.exact_duplicate, self.judged_relevant, self.twin_query)
        signs = np.sum([*evidence, self.near_duplicate, above], axis=0)
        keys = (*evidence, signs, self.similarity_U, excess)
        return np.lexsort([-key.astype(float) for key in reversed(keys)])


def find_signals(
    pairs: DrawnPairs,
    collection: Collection,
    relevant: Mapping[int, Rows],
    judged: Mapping[int, Mapping[int, int]],
    shingles: Ragged,
    twins: TwinQueries,
    scores: PairScores | None,
    limits: SignalThresholds,
) -> AuditSignals:
    """Compute the signs of every pair. ``shingles``: of every passage row. ``twins``: of all training queries."""
    queries, starts = np.unique(pairs.queries_U, return_index=True)
    spans = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True)]
    positives = [relevant[int(query)] for query in queries]
    texts = _normalised(collection, np.unique(np.concatenate([pairs.negatives_U, *positives])))
    similarity_U, nearest_U = np.zeros(len(pairs)), np.zeros(len(pairs), np.int64)
    exact_U, judged_U = np.zeros(len(pairs), bool), np.zeros(len(pairs), bool)
    twin_similarity_U, twin_U = np.zeros(len(pairs)), np.full(len(pairs), -1, np.int64)
    score_U, best_U = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    for query, own, span in zip(queries.tolist(), positives, spans, strict=True):
        negatives = pairs.negatives_U[span]
        alike = np.stack([similarity(shingles, own[i : i + 1], negatives) for i in range(len(own))])
        same = np.stack([[texts[int(n)] == texts[int(p)] for n in negatives] for p in own])
        similarity_U[span], exact_U[span] = alike.max(axis=0), same.any(axis=0)
        nearest_U[span] = own[(alike + same).argmax(axis=0)]
        grades = judged.get(query, {})
        judged_U[span] = [grades.get(int(negative), 0) >= 1 for negative in negatives]
        twin_similarity_U[span], twin_U[span] = twins.nearest(query, negatives)
        if scores is not None:
            score_U[span], best_U[span] = scores.get(query, negatives), scores.get(query, own).max()
    known = scores is not None
    return AuditSignals(
        similarity_U=similarity_U,
        nearest_U=nearest_U,
        exact_duplicate=exact_U,
        near_duplicate=similarity_U >= limits.near_duplicate,
        judged_relevant=judged_U,
        twin_query=twin_similarity_U >= limits.twin_query,
        twin_U=twin_U,
        twin_similarity_U=twin_similarity_U,
        above_positive=score_U > best_U - limits.margin if known else None,
        score_U=score_U if known else None,
        best_U=best_U if known else None,
    )


def _normalised(collection: Collection, rows: Rows) -> dict[int, bytes]:
    """Map passage rows to a digest of their text in lower case with single spaces."""
    digests: dict[int, bytes] = {}
    for start in range(0, len(rows), TEXTS_PER_CHUNK):
        chunk = rows[start : start + TEXTS_PER_CHUNK]
        for row, text in zip(chunk.tolist(), collection.passages.texts(chunk), strict=True):
            digests[row] = hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=16).digest()
    return digests
