"""Estimate the seeds' variance components of a contrast between settings that were trained with several seeds.

The model is two-way, crossed and random: a value is a mean, an effect of its query, one of its seed, and their
interaction. ``experiments.evaluation.comparison`` uses the components.

Shapes: Q queries, S seeds, C sets of models.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_SMALLEST = 1e-12
# Of two equal variances, the difference is rounding; its root would be an error of a billionth.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Term:
    """A measure of one setting and its weight in a contrast.

    ``values_SQ``: one row a model. ``models``: their names; rows of the same models in several terms are paired, all
    others are independent. None: a ranking without seeds, in one row.
    """

    weight: float
    values_SQ: FloatArray
    models: tuple[Hashable, ...] | None


@dataclass(frozen=True)
class Spread:
    """Variance components of a contrast: of one query, of one seed, of one query at one seed.

    The contrast's variance at Q queries and S seeds a setting is ``of_queries / Q + of_seeds / S + of_both / (S Q)``.
    ``of_seeds``: None for one seed; ``of_queries`` then includes the interaction. ``settings``: sets of models behind
    the variance over seeds, uneven ones counting as fewer.
    """

    of_queries: float
    of_seeds: float | None
    of_both: float
    settings: float


@dataclass(frozen=True)
class SeedVariance:
    """Seeds' part of a contrast's variance.

    ``seen``: observed variance of the contrast's mean over seeds; ``noise``: the interaction's part of it; ``df``: its
    degrees of freedom by Satterthwaite; ``spare``: seeds beyond the first of each set; ``sd``: of one draw; see Spread.
    """

    seen: float
    noise: float
    df: float
    spare: float
    sd: float | None
    of_seeds: float | None
    of_both: float
    settings: float


def seed_variance(terms: Sequence[Term]) -> SeedVariance:
    """Sum the variance over seeds over sets of models; a set of one model borrows the mean of the others."""
    sets = _by_models(terms)
    several = [(values_SQ, weight) for values_SQ, weight in sets if len(values_SQ) > 1 and weight > 0]
    if not several:
        return SeedVariance(seen=0.0, noise=0.0, df=1.0, spare=1.0, sd=None, of_seeds=None, of_both=0.0, settings=0.0)
    single = sum(weight for values_SQ, weight in sets if len(values_SQ) == 1) / len(several)
    queries = several[0][0].shape[1]
    seeds_C = np.array([len(values_SQ) for values_SQ, _ in several], dtype=np.float64)
    weight_C = np.array([weight for _, weight in several])
    # per seed, in units of the set's squared weight
    variance_C = np.array([values_SQ.mean(axis=1).var(ddof=1) for values_SQ, _ in several]) / weight_C
    residual_C = np.array([_interaction(values_SQ) for values_SQ, _ in several]) / weight_C
    seen_C = variance_C * (weight_C / seeds_C + single)
    seen = float(seen_C.sum())
    spare = float(seeds_C.sum() - seeds_C.size)
    drawn_C = variance_C * (weight_C + single)
    return SeedVariance(
        seen=seen,
        noise=float((residual_C * (weight_C / seeds_C + single)).sum()) / queries,
        df=seen**2 / float((seen_C**2 / (seeds_C - 1)).sum()) if seen > 0 else spare,
        spare=spare,
        sd=float(drawn_C.sum()) ** 0.5,
        of_seeds=max(0.0, float(((variance_C - residual_C / queries) * (weight_C + single)).sum())),
        of_both=float((residual_C * (weight_C + single)).sum()),
        settings=float(drawn_C.sum() ** 2 / (drawn_C**2).sum()) if seen > 0 else float(seeds_C.size),
    )


def _by_models(terms: Sequence[Term]) -> list[tuple[FloatArray, float]]:
    """Sum weighted values, and squared weights, over the terms of the same models."""
    sums: dict[tuple[Hashable, ...], tuple[FloatArray, float]] = {}
    for term in terms:
        if term.models is not None:
            values_SQ, weight = sums.get(term.models, (np.zeros_like(term.values_SQ), 0.0))
            sums[term.models] = (values_SQ + term.weight * term.values_SQ, weight + term.weight**2)
    return list(sums.values())


def _interaction(values_SQ: FloatArray) -> float:
    """Return the mean square that neither the seed nor the query explains."""
    seeds, queries = values_SQ.shape
    residual_SQ = values_SQ - values_SQ.mean(axis=1, keepdims=True) - values_SQ.mean(axis=0) + values_SQ.mean()
    return float((residual_SQ**2).sum() / ((seeds - 1) * (queries - 1)))


def precision(over_queries: Any, queries: Any, seen: Any, noise: Any, df: Any, spare: Any) -> tuple[Any, Any]:
    """Return a contrast's standard error and its degrees of freedom; elementwise.

    ``over_queries``: the variance of its mean over queries; ``seen``, ``noise``, ``df``, ``spare``: see SeedVariance.
    ``experiments.evaluation.comparison`` explains the exponent.
    """
    excess = seen - noise
    total = over_queries + np.where(excess > _ROUNDING * seen, excess, 0.0)
    safe = np.where(total > 0, total, 1.0)
    of_seeds = np.minimum(1.0, seen / safe) ** (2 - 4 / (3 * spare)) / df
    of_queries = (over_queries / safe) ** 2 / (queries - 1)
    return np.sqrt(total), np.where(total > 0, 1 / np.maximum(of_seeds + of_queries, _SMALLEST), queries - 1)
