"""Test many simulated studies at once: the tests of ``experiments``, elementwise over the studies.

Each study is reduced to its moments, of which every contrast is a weighted sum. ``tests/evaluation/test_simulated.py``
compares what comes out with ``compare`` and ``judge``. Shapes: N studies, C settings, the fixed first stage the last.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from helpers.simulated import COUNTS, SETTINGS
from numpy.typing import NDArray
from scipy.special import stdtr

from experiments.evaluation.comparison import LEVEL
from experiments.evaluation.significance import holm
from experiments.evaluation.variance import precision

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Moments:
    """``mean_NC``; ``variance_NC`` of the means over seeds; ``interaction_NC``: its mean square; ``covariance_NCC`` of
    the seed-averaged values of two settings over queries. A setting of one row has no variance.
    """

    mean_NC: FloatArray
    variance_NC: FloatArray
    interaction_NC: FloatArray
    covariance_NCC: FloatArray
    seeds: int
    queries: int

    def p_values(self, weight_C: Sequence[float], pooled: bool) -> tuple[FloatArray, FloatArray]:
        """The contrast with these weights and its p value. ``pooled``: with the variance of all settings as least."""
        weight = np.asarray(weight_C)
        mean = self.mean_NC @ weight
        over_queries = np.einsum("a,nab,b->n", weight, self.covariance_NCC, weight) / self.queries
        over_queries = np.maximum(0.0, over_queries)  # of equal values, rounding may leave less
        if self.seeds == 1:
            return mean, _p(mean, np.sqrt(over_queries), np.full_like(mean, self.queries - 1))
        trained = (weight != 0) & self.interaction_NC.any(axis=0)  # a fixed first stage has no seeds
        se, df = self._precision(over_queries, np.where(trained, weight**2, 0.0))
        if pooled:
            least = np.zeros_like(weight)
            least[:SETTINGS] = (weight[trained] ** 2).sum() / SETTINGS
            pooled_se, pooled_df = self._precision(over_queries, least)
            se, df = np.maximum(se, pooled_se), np.where(pooled_se > se, pooled_df, df)
        return mean, _p(mean, se, df)

    def _precision(self, over_queries: FloatArray, squared_C: FloatArray) -> tuple[FloatArray, FloatArray]:
        seen_NC = self.variance_NC * squared_C / self.seeds
        seen, squares = seen_NC.sum(axis=1), (seen_NC**2).sum(axis=1) / (self.seeds - 1)
        noise = (self.interaction_NC * squared_C).sum(axis=1) / self.seeds / self.queries
        spare = float((squared_C > 0).sum() * (self.seeds - 1))
        df = np.where(seen > 0, seen**2 / np.where(squares > 0, squares, 1.0), spare)
        return precision(over_queries, self.queries, seen, noise, df)


def moments(studies: Iterable[Sequence[FloatArray]]) -> Moments:
    """The moments of studies, each a list of settings by seed and query; one row has no seed."""
    parts, shape = [], (1, 1)
    for settings in studies:
        shape = settings[0].shape
        averages = np.stack([values_SQ.mean(axis=0) for values_SQ in settings])
        variance, interaction = np.zeros(len(settings)), np.zeros(len(settings))
        for number, values_SQ in enumerate(settings):
            if len(values_SQ) > 1:
                by_seed = values_SQ.mean(axis=1)
                residual = values_SQ - by_seed[:, None] - averages[number] + by_seed.mean()
                variance[number] = by_seed.var(ddof=1)
                interaction[number] = (residual**2).sum() / ((len(values_SQ) - 1) * (values_SQ.shape[1] - 1))
        parts.append((averages.mean(axis=1), variance, interaction, np.cov(averages)))
    return Moments(*(np.array(part) for part in zip(*parts, strict=True)), *shape)


@dataclass(frozen=True)
class Outcome:
    """What a study says, by study: whether it supports or contradicts each claim (A), marks some row, and has a row
    whose p by Holm is at most 5 %.
    """

    supported_NA: BoolArray
    contradicted_NA: BoolArray
    marked_N: BoolArray
    holm_N: BoolArray


def contrasts() -> tuple[list[FloatArray], list[list[FloatArray]]]:
    """The weights of the averages and of the pairs of ``simulated.CLAIMS``, positive where the claim says so."""
    count, unit = len(COUNTS), np.eye(SETTINGS + 1)
    beats = [unit[number] - unit[count + number] for number in range(count)]
    place = np.log2(COUNTS) - np.log2(COUNTS).mean()
    slope = np.concatenate([place, place, [0.0]]) / (2 * (place @ place))
    steps = [unit[start + number] - unit[start + number + 1] for start in (0, count) for number in range(count - 1)]
    return [np.mean(beats, axis=0), -slope], [beats, steps]


def judged(studies: Moments) -> Outcome:
    """The outcome of studies of six settings and a first stage, by the rules of ``experiments.analysis.claims``."""
    averages, pairs = contrasts()
    mean_NA, p_NA = _all(studies, averages)
    towards_NP, p_NP = _all(studies, [pair for of_claim in pairs for pair in of_claim])
    average_NA, pair_NP = _rows(holm, p_NA), _rows(holm, p_NP)
    supported = (average_NA <= LEVEL) & (mean_NA > 0)
    against = (2 * average_NA <= LEVEL) & (mean_NA < 0)
    pair_against = (2 * pair_NP <= LEVEL) & (towards_NP < 0)
    ends = np.cumsum([len(of_claim) for of_claim in pairs])[:-1]
    against |= np.stack([part.any(axis=1) for part in np.split(pair_against, ends, axis=1)], axis=1)
    rows = [unit - np.eye(SETTINGS + 1)[SETTINGS] for unit in np.eye(SETTINGS + 1)[:SETTINGS]]
    _, p_NR = _all(studies, rows)
    decided = studies.seeds > 1
    return Outcome(
        supported & ~against & decided,
        against & decided,
        (p_NR <= LEVEL).any(axis=1),
        (_rows(holm, p_NR) <= LEVEL).any(axis=1),
    )


def _all(studies: Moments, weights: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    means, p_values = zip(*(studies.p_values(weight, pooled=True) for weight in weights), strict=True)
    return np.stack(means, axis=1), np.stack(p_values, axis=1)


def _rows(function: Callable[[FloatArray], FloatArray], values: FloatArray) -> FloatArray:
    return np.stack([function(row) for row in values])


def _p(mean: FloatArray, se: FloatArray, df: FloatArray) -> FloatArray:
    certain = se <= 1e-12
    p = 2 * stdtr(df, -np.abs(mean) / np.where(certain, 1.0, se))
    return np.where(certain, (np.abs(mean) <= 1e-12).astype(np.float64), p)
