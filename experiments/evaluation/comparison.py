"""Differences between settings that were trained with several seeds and measured on the same queries.

Queries and seeds are both samples, and they are crossed: every model answers every query. A difference that holds for
other queries and other seeds has to stand out from both, so its standard error has two parts, estimated as variance
components (Cornfield and Tukey 1956; crossed random effects):

- over queries: the variance of the seed-averaged difference per query, divided by Q;
- over seeds: for every set of models, the variance of their means over queries divided by S, less what the interaction
  of seeds and queries adds to that, which the first part contains already. It is never taken as negative.

The difference divided by its standard error is compared with Student's t. The trouble is the number of seeds: a
variance of two or three values is by chance often far too small. A bootstrap over both, queries and seeds resampled,
finds a difference where there is none in 16 to 25 % of comparisons at 3 and 2 seeds (Q 300, sd .05 over seeds).
Satterthwaite's degrees of freedom, ``df_seeds / share ** 2`` with the share of the error that is the seeds', leave 12 %
where 2 seeds stand against a first stage. So the exponent here is ``2 - 4 / (3 n)``, n counting the seeds beyond the
first of each setting: 6 %. Cochran and Cox's rule is as safe and finds less: of differences of .037 that no seed
affects 39 % instead of 52 % at 2 seeds (Q 300).

Two settings trained with the same seed are not taken for a pair: a seed decides order, draws and new weights, and
little of that luck should carry over to another loss. Pairing would halve the few degrees of freedom; where luck does
carry over, not pairing errs on the side of caution. Measurements of the *same* models, as at several layers or on
several first stages, are paired (``Term.models``).

``tests/evaluation/test_null.py`` says how often a difference of zero is declared (``p <= .05``; the same as an interval
that excludes 0): in 1 to 6 % of comparisons at 2 to 5 seeds, in up to 9 % where seeds matter in one of two settings.

A difference of .037 is found, at 300 queries and a seeds' sd of 0, .005 and .02, in 50, 43 and 17 % at 2 seeds, in 82,
74 and 32 % at 3, in 94, 90 and 55 % at 5 (1,000 comparisons of two settings). Two seeds are enough for large
differences only. With one seed nothing is known of others: the interval is over queries (``over``), which
then means little: with seeds that matter it excludes 0 in up to 67 % of comparisons of equals.

Shapes: Q queries, S seeds.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.common.errors import ExperimentError
from experiments.evaluation.significance import paired_permutation_test, paired_t_test
from experiments.evaluation.variance import FloatArray, Spread, Term, precision, seed_variance

LEVEL = 0.05  # two-sided
POWER = 0.80
QUERIES = "queries"
QUERIES_AND_SEEDS = "queries and seeds"
SEEDS_LIMIT = 100
QUERIES_LIMIT = 100_000
# Values read from files have six significant digits: smaller differences per query are rounding.
_TIE = 1e-6
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """A difference, or another contrast of means, in the unit of the measure, and what may be concluded from it.

    ``low`` and ``high``: its 95 % interval, ``se`` its standard error and ``df`` its degrees of freedom; ``p``: the
    two-sided p value that decisions rest on, which is at most .05 exactly where the interval excludes 0. These four
    speak of what ``over`` says: "queries and seeds", or "queries" where no setting has more than one seed.
    ``p_t`` and ``p_permutation`` are over queries only, of the seed-averaged values. ``wins``, ``ties``, ``losses``:
    queries whose seed-averaged difference is above, at or below 0. ``seeds``: the fewest that a setting has, 0 if seeds
    play no part. ``detectable``: the smallest difference that as many queries and seeds detect with 80 % power at p <=
    .05. ``sd_seeds``: how far the difference moves with other seeds, a standard deviation; None if that is unknown.
    """

    mean: float
    low: float
    high: float
    p: float
    se: float
    df: float
    over: str
    p_t: float
    p_permutation: float
    wins: int
    ties: int
    losses: int
    queries: int
    seeds: int
    detectable: float
    sd_seeds: float | None
    spread: Spread

    @property
    def excludes_zero(self) -> bool:
        """Whether zero, "no difference", lies outside of the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Needed:
    """What it would take: the seeds at the same queries, and the queries at the same seeds; None for out of reach."""

    seeds: int | None
    queries: int | None


def compare(
    better_SQ: ArrayLike,
    worse_SQ: ArrayLike,
    better_seeds: Sequence[Hashable] | None,
    worse_seeds: Sequence[Hashable] | None,
    resamples: int = 10_000,
) -> Comparison:
    """The mean of one setting minus that of another, on the same queries in the same order.

    A row a seed; None for the seeds of a ranking that none changes, such as a first stage, in one row. Equal seeds do
    not make a pair (see above). A setting of one seed beside one of several is taken to vary as much as that one.
    ``resamples``: of the permutation test.

    Raises:
        ExperimentError: shapes that do not fit, fewer than two queries, or values that are not finite.
    """
    terms = []
    for side, values, seeds in ((1.0, better_SQ, better_seeds), (-1.0, worse_SQ, worse_seeds)):
        models = None if seeds is None else tuple((side, seed) for seed in seeds)
        terms.append(Term(side, np.asarray(values, dtype=np.float64), models))
    return contrast(terms, resamples)


def contrast(terms: Sequence[Term], resamples: int = 10_000) -> Comparison:
    """The weighted sum of the means of several settings on the same queries in the same order.

    ``resamples``: of the permutation test.

    Raises:
        ExperimentError: shapes that do not fit, fewer than two queries, or values that are not finite.
    """
    _check(terms)
    difference_Q = np.sum([term.weight * term.values_SQ.mean(axis=0) for term in terms], axis=0)
    queries = difference_Q.size
    seeds = seed_variance(terms)
    over_queries = float(difference_Q.var(ddof=1)) / queries
    se, df = precision(over_queries, queries, seeds.seen, seeds.noise, seeds.df, seeds.spare)
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
        p_permutation=paired_permutation_test(difference_Q, resamples),
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
    """The smallest difference that is found with 80 % power at a two-sided level: a multiple of its standard error.

    The multiple is the sum of the two quantiles of t (Bloom 1995), 2.8 for many degrees of freedom.
    """
    from scipy.special import stdtrit

    multiple = stdtrit(df, 1 - level / 2) + stdtrit(df, POWER)
    return np.asarray(multiple * np.asarray(se), dtype=np.float64)


def needed(comparison: Comparison, difference: float | None = None, level: float = LEVEL) -> Needed:
    """How many seeds, or how many queries, would detect a difference with 80 % power; as many as there are if they do.

    ``difference``: the observed mean unless given. Seeds are looked for up to 100, queries up to 100,000 in steps of 2
    %. Without a second seed nothing is known of seeds, and only queries are counted.
    """
    wanted = abs(comparison.mean if difference is None else difference)
    spread = comparison.spread
    more_seeds = np.arange(max(2, comparison.seeds), SEEDS_LIMIT + 1)
    steps = np.geomspace(comparison.queries, max(comparison.queries, QUERIES_LIMIT), 600)
    more_queries = np.unique(np.ceil(np.round(steps, 6)).astype(np.int64))
    by_seeds = _first(more_seeds, _planned(spread, more_seeds, comparison.queries, level), wanted)
    by_queries = _first(more_queries, _planned(spread, comparison.seeds, more_queries, level), wanted)
    return Needed(None if spread.of_seeds is None else by_seeds, by_queries)


def equivalence(comparison: Comparison, margin: float) -> float:
    """The p value of two one-sided t tests that the true difference lies within the margin (Schuirmann 1987)."""
    return _upper_tail(margin - abs(comparison.mean), comparison)


def beyond(comparison: Comparison, margin: float) -> float:
    """The two-sided p value of a difference that is larger than the margin, whatever its direction."""
    return min(1.0, 2 * _upper_tail(abs(comparison.mean) - margin, comparison))


def _planned(spread: Spread, seeds: Any, queries: Any, level: float) -> FloatArray:
    """The detectable difference of a design with other numbers of seeds or queries; elementwise."""
    if spread.of_seeds is None:
        return detectable_difference(np.sqrt(spread.of_queries / queries), queries - 1, level)
    noise = spread.of_both / (seeds * queries)
    seen = spread.of_seeds / seeds + noise
    df_seeds = spread.settings * np.maximum(1, seeds - 1)
    return detectable_difference(
        *precision(spread.of_queries / queries + noise, queries, seen, noise, df_seeds, df_seeds), level
    )


def _first(sizes: NDArray[np.int64], detectable: FloatArray, wanted: float) -> int | None:
    enough = np.flatnonzero(np.broadcast_to(detectable, sizes.shape) <= wanted)
    return int(sizes[enough[0]]) if enough.size and wanted > 0 else None


def _student(mean: float, se: float, df: float) -> tuple[float, float, float]:
    """The 95 % interval and the two-sided p value; certain where nothing varies."""
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
        raise ExperimentError(
            f"a comparison needs values by seed and query, of the same two or more queries; the shapes are {shapes}"
        )
    if any(shape[0] != len(term.models or (None,)) for shape, term in zip(shapes, terms, strict=True)):
        raise ExperimentError(f"a comparison needs a row for each model and at least one; the shapes are {shapes}")
    if not all(np.isfinite(term.values_SQ).all() for term in terms):
        raise ExperimentError("a comparison needs finite values: a per-query value is NaN or infinite")
