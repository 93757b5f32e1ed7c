"""Filters of candidates as data: what a sampler asks which candidates to keep, in plain arrays.

Whatever is dear (shingles of all passages, scores of a model) is made before and handed in, so that drawing stays a
pure function of arrays. ``experiments.jobs.filters`` makes them from a rule.

Shapes: C candidates of a query from one source, P pairs.
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
        """What counts and log lines call it: its key under ``negatives.filter``."""
        ...

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """(C,) which candidates of a query row to keep; ``None`` if they cannot be compared, and so all are kept.

        ``run``: the source's run that the candidates are from. ``positives``: rows of all passages judged relevant.
        """
        ...


@dataclass(frozen=True)
class Copies:
    """Drops what has the very text of a positive, or of a passage that is never drawn for the query. ``hashes_P``: of
    the texts of all passage rows, 0 for no text. ``excluded``: query row -> rows that are never drawn for it.
    """

    hashes_P: NDArray[np.uint64]
    excluded: Mapping[int, Rows] = field(default_factory=dict)
    name: str = "copies"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """(C,) which candidates have another text."""
        own = self.hashes_P[np.concatenate([positives, self.excluded.get(query, positives[:0])])]
        kept: NDArray[np.bool_] = (self.hashes_P[candidates][:, None] != own[own > 0]).all(axis=1)
        return kept


@dataclass(frozen=True)
class NearDuplicates:
    """Drops what is at least ``threshold`` alike to any positive. ``shingles``: of every passage row."""

    shingles: Ragged
    threshold: float
    name: str = "near_duplicate"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """(C,) which candidates are not too much alike."""
        alike: NDArray[np.bool_] = similarity(self.shingles, positives, candidates) >= self.threshold
        return ~alike


@dataclass(frozen=True)
class AnswersOfTwins:
    """Drops what is judged relevant for another training query that is at least ``threshold`` alike to the query."""

    twins: TwinQueries
    threshold: float
    name: str = "twin_query"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """(C,) which candidates answer no twin."""
        similarity_C, _ = self.twins.nearest(query, candidates)
        kept: NDArray[np.bool_] = similarity_C < self.threshold
        return kept


@dataclass(frozen=True)
class PairScores:
    """Scores of pairs by query. ``queries``: (Q,) query rows, ascending. ``passages``: ragged passage rows, one row a
    query. ``scores``: ragged float32 beside them.
    """

    queries: Rows
    passages: Ragged
    scores: Ragged

    @classmethod
    def of(cls, queries: Rows, passages: Rows, scores: NDArray[np.float32]) -> "PairScores":
        """From three columns (P,) in any order."""
        order = np.argsort(queries, kind="stable")
        distinct, offsets = group_by_key(queries[order])
        return cls(distinct, Ragged(passages[order], offsets), Ragged(scores[order], offsets))

    @classmethod
    def of_run(cls, run: Run) -> "PairScores":
        """A run's own scores."""
        return cls(run.queries, run.passages, run.scores)

    def get(self, query: int, passages: Rows) -> NDArray[np.float32]:
        """The scores of some passages for a query row; NaN where a pair is not known."""
        at = int(np.searchsorted(self.queries, query))
        found = np.full(len(passages), np.nan, np.float32)
        if at == len(self.queries) or self.queries[at] != query or not len(self.passages[at]):
            return found
        known = self.passages[at]
        order = np.argsort(known, kind="stable")
        places = order[np.minimum(np.searchsorted(known, passages, sorter=order), len(known) - 1)]
        hit = known[places] == passages
        found[hit] = self.scores[at][places[hit]]
        return found


@dataclass(frozen=True)
class Margin:
    """Drops what scores too near to, or above, the best-scored positive.

    ``margin``: in units of the scores, or ``relative``, as a share of the positive's absolute score. ``scores``: of
    every candidate and positive, or None for the scores of the run that the candidates are from.
    """

    margin: float
    relative: bool
    scores: PairScores | None

    @property
    def name(self) -> str:
        """The key under ``negatives.filter``."""
        return "relative_margin" if self.relative else "absolute_margin"

    def keep(self, run: Run, query: int, positives: Rows, candidates: Rows) -> NDArray[np.bool_] | None:
        """(C,) which candidates stand far enough below; None if no positive has a score.

        Raises:
            ValueError: a candidate has no score.
        """
        scores = self.scores or PairScores.of_run(run)
        positive_scores, scores_C = scores.get(query, positives), scores.get(query, candidates)
        if np.isnan(scores_C).any():
            raise ValueError(f"the scores lack a candidate of query row {query}")
        if np.isnan(positive_scores).all():
            return None
        best = float(np.nanmax(positive_scores))
        limit = best - (abs(best) * self.margin if self.relative else self.margin)
        kept: NDArray[np.bool_] = scores_C <= limit
        return kept
