"""Order the candidates of a query by the rule's draw: a group takes the first.

Every order is a pure function of a key, the ranking and the scores, and does not depend on how many are taken. So the
first n of a larger draw are the smaller draw; with strata that depend on n (``negatives.strata=null``) they are not.

Shapes: C distinct candidates of a query from all sources, M of them from one source.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.common.random_keys import key_of, priorities
from experiments.config.negatives import LOG_RANDOM, STRATIFIED, TOP, NegativeRule
from experiments.data.ragged import Rows
from experiments.data.run import Run

Values = NDArray[np.uint64] | NDArray[np.int64] | NDArray[np.float64]


class CandidateScores(Protocol):
    """Scores of candidates, such as a teacher's (``experiments.negatives.filters.PairScores``)."""

    def get(self, query: int, passages: Rows) -> NDArray[np.float32]:
        """Return the scores of passages for a query row; NaN for unknown pairs."""


def ranks_of(run: Run, query: int, passages: Rows) -> NDArray[np.int64]:
    """Return the ranks (1 is the top) of passages in the run's ranking of a query row."""
    ranking = run.ranking(query)
    order = np.argsort(ranking, kind="stable")
    return np.asarray(order[np.searchsorted(ranking, passages, sorter=order)] + 1)


def scores_of(run: Run, query: int, passages: Rows) -> NDArray[np.float32]:
    """Return the scores that the run gives to passages of its ranking of a query row."""
    return np.asarray(run.scores[run.position(query)])[ranks_of(run, query, passages) - 1]


def log_random(key: int, passages: Rows, ranks_M: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return values whose ascending order is a random draw with weights 1 / ln(1 + rank), without replacement.

    The weights are those of ``log_random`` in lightning-ir (Schlatt et al. 2024, arXiv 2411.04677): the top is drawn
    6.7 times as often as rank 100. The lowest of E / weight, with E exponentially distributed, is a draw with these
    weights, and the lowest n are n draws without replacement (Efraimidis and Spirakis 2006, doi
    10.1016/j.ipl.2005.11.003). Processors differ in the last digit of a logarithm, which would exchange two candidates
    about once in 10^13 draws.
    """
    uniform_M = (priorities(key, passages) + 0.5) * 2.0**-64
    return np.asarray(-np.log(uniform_M) * np.log1p(ranks_M), np.float64)


def strata_of(scores_M: NDArray[np.float32], strata: int) -> NDArray[np.int64]:
    """Return the stratum (0 is the lowest) of each score: ``strata`` of equal width from the lowest to the highest.

    The highest score belongs to the last stratum, and equal scores to the first. A stratum may be empty.
    """
    low, high = float(scores_M.min()), float(scores_M.max())
    if low == high:
        return np.zeros(len(scores_M), np.int64)
    places_M = (scores_M.astype(np.float64) - low) / (high - low) * strata
    return np.minimum(places_M.astype(np.int64), strata - 1)


def stratified(key: int, passages: Rows, scores_M: NDArray[np.float32], strata: int) -> NDArray[np.int64]:
    """Return values whose ascending order takes one candidate of each stratum, then a second one of each, and so on.

    Both the turns of the strata and the candidates within one are random. A stratum without candidates, or without
    further ones, has no turn. So as many draws as strata cover the range of the scores, as in Stratified Sampling
    (arXiv 2604.04734), of which the abstract alone was read: strata of equal width are this project's reading.
    """
    stratum_M = strata_of(scores_M, strata)
    by_stratum = np.lexsort((priorities(key, passages), stratum_M))
    counts = np.bincount(stratum_M, minlength=strata)
    round_M = np.empty(len(passages), np.int64)
    round_M[by_stratum] = np.arange(len(passages)) - np.repeat(np.cumsum(counts) - counts, counts)
    turn_of = np.empty(strata, np.int64)
    turn_of[np.argsort(priorities(key_of("strata", key), np.arange(strata)), kind="stable")] = np.arange(strata)
    return round_M * strata + turn_of[stratum_M]


class CandidateOrder:
    """The draw of a rule. ``runs``: of its sources. ``turns``: most turns of each source in a group.

    ``scores``: of candidates, by which strata are made; None takes those of the candidates' own run.
    """

    def __init__(
        self, rule: NegativeRule, runs: Sequence[Run], turns: Sequence[int], scores: CandidateScores | None = None
    ) -> None:
        self.draw, self.runs, self.scores = rule.draw, runs, scores
        self.strata = [rule.strata or most for most in turns]
        self._values: Callable[[int, int, Rows, int], Values] = {
            TOP: self._top, LOG_RANDOM: self._log_random, STRATIFIED: self._stratified,
        }.get(rule.draw, self._uniform)  # fmt: skip

    def values(self, query: int, source: int, passages: Rows, key: int) -> Values:
        """Return a value (M,) for each candidate of a query row from one source; the lowest is drawn first."""
        return self._values(query, source, passages, key)

    def _uniform(self, query: int, source: int, passages: Rows, key: int) -> Values:
        return priorities(key, passages)

    def _top(self, query: int, source: int, passages: Rows, key: int) -> Values:
        return ranks_of(self.runs[source], query, passages)

    def _log_random(self, query: int, source: int, passages: Rows, key: int) -> Values:
        return log_random(key, passages, ranks_of(self.runs[source], query, passages))

    def _stratified(self, query: int, source: int, passages: Rows, key: int) -> Values:
        if not len(passages):
            return np.empty(0, np.int64)
        if self.scores is None:
            scores_M = scores_of(self.runs[source], query, passages)
        else:
            scores_M = self.scores.get(query, passages)
            if np.isnan(scores_M).any():
                raise ValueError(f"the scores lack a candidate of query row {query}")
        return stratified(key, passages, scores_M, self.strata[source])
