"""Drop unwanted candidates of a query. ``experiments.jobs.filters`` builds the filters of a rule.

Shapes: C candidates from one source, P pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Ragged, Rows, group_by_key
from experiments.data.run import Run
from experiments.negatives.near_duplicates import similarity
from experiments.negatives.twin_queries import TwinQueries


class CandidateFilter(Protocol):
    """One reason to drop candidates."""

    @property
    def name(self) -> str:
        """Key under ``negatives.filter``, also used in counts and log lines."""
        ...

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """Return which candidates (C,) of a query row to keep; None if they cannot be compared, so that all stay.

        ``run``: of the candidates' source. ``positives``: rows of all passages judged relevant.
        """
        ...


@dataclass(frozen=True)
class Copies:
    """Drop copies of a positive or of an excluded passage. ``hashes_P``: of the texts of all passage rows, 0 for no
    text. ``excluded``: query row -> rows that are never drawn for it.
    """

    hashes_P: NDArray[np.uint64]
    excluded: Mapping[int, Rows] = field(default_factory=dict)
    name: str = "copies"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        own = self.hashes_P[np.concatenate([positives, self.excluded.get(query, positives[:0])])]
        return np.asarray((self.hashes_P[candidates][:, None] != own[own > 0]).all(axis=1))


@dataclass(frozen=True)
class NearDuplicates:
    """Drop candidates whose similarity to any positive is ``threshold`` or more. ``shingles``: of every passage row."""

    shingles: Ragged
    threshold: float
    name: str = "near_duplicate"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        return np.asarray(similarity(self.shingles, positives, candidates) < self.threshold)


@dataclass(frozen=True)
class AnswersOfTwins:
    """Drop passages relevant to another training query whose similarity to the query is ``threshold`` or more."""

    twins: TwinQueries
    threshold: float
    name: str = "twin_query"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        return np.asarray(self.twins.nearest(query, candidates)[0] < self.threshold)


@dataclass(frozen=True)
class PairScores:
    """Scores of pairs by query. ``queries``: (Q,) ascending. ``passages``, ``scores``: ragged, one row a query."""

    queries: Rows
    passages: Ragged
    scores: Ragged

    @classmethod
    def of(cls, queries: Rows, passages: Rows, scores: NDArray[np.float32]) -> "PairScores":
        """Group three columns (P,), in any order, by query."""
        order = np.argsort(queries, kind="stable")
        distinct, offsets = group_by_key(queries[order])
        return cls(distinct, Ragged(passages[order], offsets), Ragged(scores[order], offsets))

    def get(self, query: int, passages: Rows) -> NDArray[np.float32]:
        """Return the scores of passages for a query row; NaN for unknown pairs."""
        at = int(np.searchsorted(self.queries, query))
        scores = np.full(len(passages), np.nan, np.float32)
        if at == len(self.queries) or self.queries[at] != query or not len(self.passages[at]):
            return scores
        known = self.passages[at]
        order = np.argsort(known, kind="stable")
        places = order[np.minimum(np.searchsorted(known, passages, sorter=order), len(known) - 1)]
        hit = known[places] == passages
        scores[hit] = self.scores[at][places[hit]]
        return scores


@dataclass(frozen=True)
class ScoreBound:
    """Drop candidates whose score in their own run is below ``bound``, or above it. ``above``: which of the two."""

    bound: float
    above: bool

    @property
    def name(self) -> str:
        return "max_score" if self.above else "min_score"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        scores_C = PairScores(run.queries, run.passages, run.scores).get(query, candidates)
        return np.asarray(scores_C <= self.bound if self.above else scores_C >= self.bound)


@dataclass(frozen=True)
class Margin:
    """Drop candidates whose score is not at least ``margin`` below the best-scored positive's.

    ``margin``: in units of the scores; with ``relative``, a share of the positive's absolute score. ``scores``: of
    every candidate and positive; None takes the scores of the candidates' run.
    """

    margin: float
    relative: bool
    scores: PairScores | None

    @property
    def name(self) -> str:
        return "relative_margin" if self.relative else "absolute_margin"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """Return which candidates (C,) to keep; None if no positive has a score. Refuse a candidate without a score."""
        scores = self.scores or PairScores(run.queries, run.passages, run.scores)
        positive_scores, scores_C = scores.get(query, positives), scores.get(query, candidates)
        if np.isnan(scores_C).any():
            raise ValueError(f"the scores lack a candidate of query row {query}")
        if np.isnan(positive_scores).all():
            return None
        best = float(np.nanmax(positive_scores))
        return np.asarray(scores_C <= best - (abs(best) * self.margin if self.relative else self.margin))
