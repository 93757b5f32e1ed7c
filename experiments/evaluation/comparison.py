"""Compare settings that were trained with several seeds and measured on the same queries.

Queries and seeds are both samples, and they are crossed: every model answers every query. The standard error of a
difference has two parts, estimated as variance components (Cornfield and Tukey 1956; crossed random effects):

- over queries: the variance of the seed-averaged difference per query, divided by Q;
- over seeds: for every set of models, the variance of their means over queries divided by S, minus the interaction of
  seeds and queries, which the first part contains already. It is never negative.

The difference divided by its standard error is compared with Student's t. A variance of two or three seeds is often far
too small by chance. A bootstrap over queries and seeds declares a difference where there is none in 16 to 25 % of
comparisons at 3 and 2 seeds (Q 300, sd .05 over seeds). Satterthwaite's degrees of freedom, ``df_seeds / share ** 2``
with the seeds' share of the error, leave 12 % for 2 seeds against a first stage. The exponent ``2 - 4 / (3 df_seeds)``
leaves 6 %. With the spare seeds of all settings in place of ``df_seeds``, 10 % are left if seeds matter in one of two
settings, instead of 7 to 8 %; it finds more differences that no seed affects (53 instead of 45 % of .037 at 2 seeds).

A ``pool`` of all settings of a table or a claim is the least variance of seeds that a comparison takes. Without it, two
close seeds of one of six rows are enough for a corrected p of .05: in up to 12 % of tables of equals at 2 seeds (Q 300,
sd .05), and in 42 % if two seeds are the same ranking one time in eight.

Equal seeds of two settings are not paired: a seed decides order, draws and new weights, and little of that carries over
to another loss. Pairing would halve the few degrees of freedom; not pairing errs on the side of caution. Measurements
of the *same* models, as at several layers or on several first stages, are paired (``Term.models``).

``docs/statistics_simulated.md`` has how often a difference of zero is declared (``p <= .05``, or an interval that
excludes 0): without a pool in 1 to 7 % of comparisons at 2 to 5 seeds, the most if seeds matter in one of two settings.
A difference of .037 is found, at 300 queries and a seeds' sd of 0, .005 and .02, in 42, 37 and 13 % at 2 seeds, in 81,
75 and 29 % at 3, in 92, 90 and 54 % at 5 (1,000 comparisons of two settings). With one seed the interval is over
queries (``over``): if seeds matter, it excludes 0 in up to 67 % of comparisons of equals.

Shapes: Q queries, S seeds.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.common.errors import ExperimentError
from experiments.evaluation.significance import Interval, paired_permutation_test, paired_t_test
from experiments.evaluation.variance import FloatArray, PooledVariance, Spread, Term, precision, seed_variance

LEVEL = 0.05  # two-sided
POWER = 0.80
QUERIES = "queries"
QUERIES_AND_SEEDS = "queries and seeds"
SIZES = 0.67  # standard errors within which a true difference lies in half of all cases
SEEDS_LIMIT = 100
QUERIES_LIMIT = 100_000
# Smaller differences per query are rounding: values read from files have six significant digits.
_TIE = 1e-6
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison(Interval):
    """A difference, or another contrast of means, in the unit of the measure, with its inference.

    ``low`` and ``high``: 95 % interval; ``se``: standard error; ``df``: degrees of freedom; ``p``: two-sided p value
    for decisions, at most .05 exactly where the interval excludes 0. All refer to ``over``: "queries and seeds", or
    "queries" if no setting has more than one seed. ``p_t`` and ``p_permutation``: over queries only, of the
    seed-averaged values. ``wins``, ``ties``, ``losses``: queries whose seed-averaged difference is above, at or below
    0. ``seeds``: the fewest of a setting, 0 without seeds. ``detectable``: the smallest difference that as many queries
    and seeds detect with 80 % power at p <= .05. ``sd_seeds``: standard deviation of the difference over seeds, or None
    if unknown.
    """

    p: float
    se: float
    df: float
    over: str
    p_t: float
    p_permutation: float | None
    wins: int
    ties: int
    losses: int
    queries: int
    seeds: int
    detectable: float
    sd_seeds: float | None
    spread: Spread

    @property
    def over_seeds(self) -> bool:
        """Whether it speaks of other seeds too, so that it may be called significant."""
        return self.over == QUERIES_AND_SEEDS


@dataclass(frozen=True)
class Needed:
    """Seeds needed at the same queries, and queries needed at the same seeds; None if out of reach."""

    seeds: int | None
    queries: int | None


def compare(
    better_SQ: ArrayLike,
    worse_SQ: ArrayLike,
    better_seeds: Sequence[Hashable] | None,
    worse_seeds: Sequence[Hashable] | None,
    resamples: int = 10_000,
    pool: PooledVariance | None = None,
) -> Comparison:
    """Compare the mean of one setting with that of another, on the same queries in the same order.

    A row a seed; seeds None: a ranking without seeds, such as a first stage, in one row. Equal seeds are not paired
    (see above). A setting of one seed is assumed to vary as much as the other. ``resamples``: of the permutation test,
    0 for none. ``pool``: see ``contrast``.

    Raises:
        ExperimentError: shapes that do not fit, fewer than two queries, or values that are not finite.
    """
    terms = []
    for side, values, seeds in ((1.0, better_SQ, better_seeds), (-1.0, worse_SQ, worse_seeds)):
        models = None if seeds is None else tuple((side, seed) for seed in seeds)
        terms.append(Term(side, np.asarray(values, dtype=np.float64), models))
    return contrast(terms, resamples, pool)


def contrast(terms: Sequence[Term], resamples: int = 10_000, pool: PooledVariance | None = None) -> Comparison:
    """Test the weighted sum of the means of several settings on the same queries in the same order; see ``compare``.

    ``pool``: the seeds' variance of all settings of a table or a claim. Where it gives a larger standard error than the
    terms' own variance, it is taken instead, with its degrees of freedom.

    Raises:
        ExperimentError: shapes that do not fit, fewer than two queries, or values that are not finite.
    """
    _check(terms)
    difference_Q = np.sum([term.weight * term.values_SQ.mean(axis=0) for term in terms], axis=0)
    queries = difference_Q.size
    over_queries = float(difference_Q.var(ddof=1)) / queries
    seeds = seed_variance(terms)
    se, df = precision(over_queries, queries, seeds.seen, seeds.noise, seeds.df)
    if pool is not None and seeds.of_seeds is not None:
        pooled = seed_variance(terms, pool)
        pooled_se, pooled_df = precision(over_queries, queries, pooled.seen, pooled.noise, pooled.df)
        if pooled_se > se:
            seeds, se, df = pooled, pooled_se, pooled_df
    mean = float(difference_Q.mean())
    low, high, p = _student(mean, float(se), float(df))
    counts = [len(term.models) for term in terms if term.models is not None]
    wins, losses = int((difference_Q > _TIE).sum()), int((difference_Q < -_TIE).sum())
    return Comparison(
        mean=mean,
        low=low,
        high=high,
        p=p,
        se=float(se),
        df=float(df),
        over=QUERIES if seeds.of_seeds is None else QUERIES_AND_SEEDS,
        p_t=paired_t_test(difference_Q),
        p_permutation=paired_permutation_test(difference_Q, resamples) if resamples else None,
        wins=wins,
        ties=queries - wins - losses,
        losses=losses,
        queries=queries,
        seeds=min(counts, default=0),
        detectable=float(detectable_difference(se, df)),
        sd_seeds=seeds.sd,
        spread=Spread(
            of_queries=max(0.0, queries * (over_queries - seeds.noise)),
            of_seeds=seeds.of_seeds,
            of_both=seeds.of_both,
            settings=seeds.settings,
        ),
    )


def detectable_difference(se: float | FloatArray, df: float | FloatArray, level: float = LEVEL) -> FloatArray:
    """Return the smallest difference found with 80 % power at a two-sided level, a multiple of its standard error.

    The multiple is the sum of the two quantiles of t (Bloom 1995), 2.8 for many degrees of freedom.
    """
    from scipy.special import stdtrit

    multiple = stdtrit(df, 1 - level / 2) + stdtrit(df, POWER)
    return np.asarray(multiple * np.asarray(se), dtype=np.float64)


def needed(
    comparison: Comparison, difference: float | None = None, level: float = LEVEL, spread: Spread | None = None
) -> Needed:
    """Compute how many seeds, or how many queries, would detect a difference with 80 % power; no fewer than now.

    ``difference``: the observed mean by default. ``spread``: the comparison's by default. Seeds are tried up to 100,
    queries up to 100,000 in steps of 2 %. Without a second seed the seeds' variance is unknown, and only queries are
    counted.
    """
    target = abs(comparison.mean if difference is None else difference)
    spread = spread or comparison.spread
    more_seeds = np.arange(max(2, comparison.seeds), SEEDS_LIMIT + 1)
    steps = np.geomspace(comparison.queries, max(comparison.queries, QUERIES_LIMIT), 600)
    more_queries = np.unique(np.ceil(np.round(steps, 6)).astype(np.int64))
    by_seeds = _first(more_seeds, _planned(spread, more_seeds, comparison.queries, level), target)
    by_queries = _first(more_queries, _planned(spread, comparison.seeds, more_queries, level), target)
    return Needed(None if spread.of_seeds is None else by_seeds, by_queries)


def needed_range(
    comparison: Comparison, difference: float | None = None, level: float = LEVEL
) -> tuple[Needed, Needed] | None:
    """Return the fewest and the most seeds, or queries, that ``needed`` names for sizes that fit what was seen.

    The sizes are the difference plus and minus ``SIZES`` standard errors; the seeds' variance is taken at the lower and
    at the upper quartile of what it may be. None if the difference is within its own noise, one standard error.
    """
    size = abs(comparison.mean if difference is None else difference)
    if size <= comparison.se:
        return None
    away = SIZES * comparison.se
    low, high = _with_seeds(comparison, 0.25), _with_seeds(comparison, 0.75)
    return needed(comparison, size + away, level, low), needed(comparison, size - away, level, high)


def _with_seeds(comparison: Comparison, share: float) -> Spread:
    """Return the spread with the quantile ``share`` of what the seeds' variance may be, by chi-square."""
    spread = comparison.spread
    if spread.of_seeds is None:
        return spread
    from scipy.special import chdtri

    df = spread.settings * max(1, comparison.seeds - 1)
    noise = spread.of_both / comparison.queries
    scale = df / float(chdtri(df, share))  # the quantile with the upper tail ``share``
    return replace(spread, of_seeds=max(0.0, (spread.of_seeds + noise) * scale - noise))


def equivalence(comparison: Comparison, margin: float) -> float:
    """Return the p value of two one-sided t tests that the true difference lies within the margin (Schuirmann 1987)."""
    return _upper_tail(margin - abs(comparison.mean), comparison)


def beyond(comparison: Comparison, margin: float) -> float:
    """Return the two-sided p value of a difference larger than the margin in either direction."""
    return min(1.0, 2 * _upper_tail(abs(comparison.mean) - margin, comparison))


def _planned(spread: Spread, seeds: Any, queries: Any, level: float) -> FloatArray:
    """Detectable difference of a design with other numbers of seeds or queries; elementwise."""
    if spread.of_seeds is None:
        return detectable_difference(np.sqrt(spread.of_queries / queries), queries - 1, level)
    noise = spread.of_both / (seeds * queries)
    seen = spread.of_seeds / seeds + noise
    df_seeds = spread.settings * np.maximum(1, seeds - 1)
    return detectable_difference(*precision(spread.of_queries / queries + noise, queries, seen, noise, df_seeds), level)


def _first(sizes: NDArray[np.int64], detectable: FloatArray, target: float) -> int | None:
    enough = np.flatnonzero(np.broadcast_to(detectable, sizes.shape) <= target)
    return int(sizes[enough[0]]) if enough.size and target > 0 else None


def _student(mean: float, se: float, df: float) -> tuple[float, float, float]:
    if se <= _ROUNDING:
        return mean, mean, 1.0 if abs(mean) <= _ROUNDING else 0.0
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

    half = float(stdtrit(df, 1 - LEVEL / 2)) * se
    return mean - half, mean + half, float(2 * stdtr(df, -abs(mean) / se))


def _upper_tail(distance: float, comparison: Comparison) -> float:
    if comparison.se <= _ROUNDING:
        return 0.0 if distance > _ROUNDING else 1.0
    from scipy.special import stdtr

    return float(stdtr(comparison.df, -distance / comparison.se))


def _check(terms: Sequence[Term]) -> None:
    shapes = [term.values_SQ.shape for term in terms]
    if len({shape[-1] for shape in shapes}) != 1 or any(len(shape) != 2 or shape[1] < 2 for shape in shapes):
        raise ExperimentError(f"a comparison needs values by seed of the same two or more queries; shapes are {shapes}")
    if any(shape[0] != len(term.models or (None,)) for shape, term in zip(shapes, terms, strict=True)):
        raise ExperimentError(f"a comparison needs a row for each model and at least one; the shapes are {shapes}")
    if not all(np.isfinite(term.values_SQ).all() for term in terms):
        raise ExperimentError("a comparison needs finite values: a per-query value is NaN or infinite")
