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
    degrees of freedom by Satterthwaite; ``sd``: of one draw; see Spread.
    """

    seen: float
    noise: float
    df: float
    sd: float | None
    of_seeds: float | None
    of_both: float
    settings: float


@dataclass(frozen=True)
class PooledVariance:
    """Average seeds' variance of several settings, per seed and unit of a contrast's squared weight.

    ``variance``: of their means over queries; ``interaction``: the mean square that neither seed nor query explains;
    ``df``: degrees of freedom of ``variance`` by Satterthwaite, so fewer for uneven settings; ``settings``: see Spread.
    """

    variance: float
    interaction: float
    df: float
    settings: float


def pooled_variance(contrasts: Sequence[Sequence[Term]]) -> PooledVariance | None:
    """Average the seeds' variance over the models of several contrasts, by their spare seeds; None for one seed each.

    Models that several contrasts share count once, with their average.
    """
    by_models: dict[tuple[Hashable, ...], list[tuple[float, float]]] = {}
    for terms in contrasts:
        for models, (values_SQ, weight) in _by_models(terms).items():
            if len(models) > 1 and weight > 0:
                by_models.setdefault(models, []).append(_per_weight(values_SQ, weight))
    if not by_models:
        return None
    variance_C, interaction_C = np.array([np.mean(found, axis=0) for found in by_models.values()]).T
    spare_C = np.array([len(models) - 1 for models in by_models], dtype=np.float64)
    varies = bool(variance_C.sum() > 0)
    sum_squares = float((variance_C**2).sum())
    return PooledVariance(
        variance=float(np.average(variance_C, weights=spare_C)),
        interaction=float(np.average(interaction_C, weights=spare_C)),
        df=float((spare_C * variance_C).sum() ** 2 / (spare_C * variance_C**2).sum()) if varies else spare_C.sum(),
        settings=float(variance_C.sum() ** 2) / sum_squares if varies else float(spare_C.size),
    )


def seed_variance(terms: Sequence[Term], pool: PooledVariance | None = None) -> SeedVariance:
    """Sum the variance over seeds over sets of models; a set of one model borrows the mean of the others.

    ``pool``: replaces the sets' own variances by this average.
    """
    sets = list(_by_models(terms).values())
    several = [(values_SQ, weight) for values_SQ, weight in sets if len(values_SQ) > 1 and weight > 0]
    if not several:
        return SeedVariance(seen=0.0, noise=0.0, df=1.0, sd=None, of_seeds=None, of_both=0.0, settings=0.0)
    single = sum(weight for values_SQ, weight in sets if len(values_SQ) == 1) / len(several)
    queries = several[0][0].shape[1]
    seeds_C = np.array([len(values_SQ) for values_SQ, _ in several], dtype=np.float64)
    weight_C = np.array([weight for _, weight in several])
    if pool is None:
        variance_C, residual_C = np.array([_per_weight(values_SQ, weight) for values_SQ, weight in several]).T
    else:
        variance_C, residual_C = np.full_like(weight_C, pool.variance), np.full_like(weight_C, pool.interaction)
    seen_C = variance_C * (weight_C / seeds_C + single)
    seen = float(seen_C.sum())
    drawn_C = variance_C * (weight_C + single)
    df = seen**2 / float((seen_C**2 / (seeds_C - 1)).sum()) if seen > 0 else float((seeds_C - 1).sum())
    settings = float(drawn_C.sum() ** 2 / (drawn_C**2).sum()) if seen > 0 else float(seeds_C.size)
    return SeedVariance(
        seen=seen,
        noise=float((residual_C * (weight_C / seeds_C + single)).sum()) / queries,
        df=df if pool is None else pool.df,
        sd=float(drawn_C.sum()) ** 0.5,
        of_seeds=max(0.0, float(((variance_C - residual_C / queries) * (weight_C + single)).sum())),
        of_both=float((residual_C * (weight_C + single)).sum()),
        settings=settings if pool is None else pool.settings,
    )


def _by_models(terms: Sequence[Term]) -> dict[tuple[Hashable, ...], tuple[FloatArray, float]]:
    """Sum weighted values, and squared weights, over the terms of the same models."""
    sums: dict[tuple[Hashable, ...], tuple[FloatArray, float]] = {}
    for term in terms:
        if term.models is not None:
            values_SQ, weight = sums.get(term.models, (np.zeros_like(term.values_SQ), 0.0))
            sums[term.models] = (values_SQ + term.weight * term.values_SQ, weight + term.weight**2)
    return sums


def _per_weight(values_SQ: FloatArray, weight: float) -> tuple[float, float]:
    """Return the variance of the means over queries and the interaction's mean square, by unit of squared weight."""
    return float(values_SQ.mean(axis=1).var(ddof=1)) / weight, _interaction(values_SQ) / weight


def _interaction(values_SQ: FloatArray) -> float:
    """Return the mean square that neither the seed nor the query explains."""
    seeds, queries = values_SQ.shape
    residual_SQ = values_SQ - values_SQ.mean(axis=1, keepdims=True) - values_SQ.mean(axis=0) + values_SQ.mean()
    return float((residual_SQ**2).sum() / ((seeds - 1) * (queries - 1)))


def precision(over_queries: Any, queries: Any, seen: Any, noise: Any, df: Any) -> tuple[Any, Any]:
    """Return a contrast's standard error and its degrees of freedom; elementwise.

    ``over_queries``: the variance of its mean over queries; ``seen``, ``noise``, ``df``: see SeedVariance.
    ``experiments.evaluation.comparison`` explains the exponent.
    """
    excess = seen - noise
    total = over_queries + np.where(excess > _ROUNDING * seen, excess, 0.0)
    safe = np.where(total > 0, total, 1.0)
    of_seeds = np.minimum(1.0, seen / safe) ** (2 - 4 / (3 * df)) / df
    of_queries = (over_queries / safe) ** 2 / (queries - 1)
    return np.sqrt(total), np.where(total > 0, 1 / np.maximum(of_seeds + of_queries, _SMALLEST), queries - 1)
