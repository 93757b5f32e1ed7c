"""Test per-query differences between two rankings of the same queries.

Everything here is paired: only the differences query by query enter. Queries are the sample, so an interval or a p
value is about other queries of the same kind, not about other seeds or other data.

Smucker, Allan and Carterette (CIKM 2007) found the bootstrap, the randomisation test and Student's t test to agree on
retrieval measures. They advise against the sign and the Wilcoxon test, which drop the size of a difference.

Shapes: Q queries, M hypotheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.common.errors import ExperimentError

FloatArray = NDArray[np.float64]

# Values per batch of resamples (16 MB): all at once would take 560 MB for 7,000 queries.
_VALUES_PER_BATCH = 2_000_000
# Smaller differences of measures are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean with a confidence interval, in the unit of the measure."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero, "no difference", lies outside of the interval."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(difference_Q: ArrayLike, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Return the mean of per-query differences and its bootstrap interval over queries.

    The interval uses percentiles, not BCa (Efron 1987). On 2,000 simulated pairs of equally good rankings it wrongly
    excluded zero in 6.8 % (60 queries) and 5.1 % (300 queries), BCa in 9.2 % and 5.6 %. It understates a rare, large
    gain: where 8 % of 300 queries gain and none loses, it is below the true mean in 5.0 % and above it in 1.4 % (BCa:
    3.2 % and 2.2 %). Equal seeds give equal resamples, shared by the rows of a table. Equal differences give no width.

    Raises:
        ExperimentError: fewer than two queries.
    """
    values_Q = _checked(difference_Q)
    mean = float(values_Q.mean())
    if np.ptp(values_Q) <= _ROUNDING:
        return Interval(mean, mean, mean)
    from scipy import stats

    result = stats.bootstrap(
        (values_Q,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _VALUES_PER_BATCH // values_Q.size),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(mean, float(result.confidence_interval.low), float(result.confidence_interval.high))


def paired_permutation_test(difference_Q: ArrayLike, resamples: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p value of Fisher's randomisation test: how often random signs give a mean as far from zero.

    Exact, over all 2^Q sign patterns of the Q differences that are not zero, if these are no more than ``resamples``;
    otherwise of that many random patterns, with the observed one added.

    Raises:
        ExperimentError: fewer than two queries.
    """
    values_Q = _checked(difference_Q)
    values_Q = values_Q[np.abs(values_Q) > _ROUNDING]
    if values_Q.size == 0:
        return 1.0
    observed = abs(float(values_Q.sum()))
    as_far = observed - _ROUNDING * float(np.abs(values_Q).sum())
    if 2**values_Q.size <= resamples:
        signs = np.array(list(product((-1.0, 1.0), repeat=values_Q.size)))
        return float(np.mean(np.abs(signs @ values_Q) >= as_far))
    sums = _random_sign_sums(values_Q, resamples, np.random.default_rng(seed))
    return float((np.count_nonzero(np.abs(sums) >= as_far) + 1) / (resamples + 1))


def _random_sign_sums(values_Q: FloatArray, resamples: int, generator: np.random.Generator) -> FloatArray:
    """Sum values with random signs, once a resample.

    A random byte looks up the sum of eight values among their 256 sign patterns: 10,000 resamples of 7,000 values take
    20 ms, while scipy's permutation_test takes 4 s.
    """
    patterns = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0
    padded_Q = np.pad(values_Q, (0, -values_Q.size % 8))
    sums = np.zeros(resamples)
    for sums_by_byte in padded_Q.reshape(-1, 8) @ patterns.T:
        sums += sums_by_byte[generator.integers(0, 256, resamples, dtype=np.uint8)]
    return sums


def paired_t_test(difference_Q: ArrayLike) -> float:
    """Return the two-sided p value of Student's paired t test.

    If all differences are equal, the statistic is not finite: p is 1 if they are zero and 0 otherwise.

    Raises:
        ExperimentError: fewer than two queries.
    """
    values_Q = _checked(difference_Q)
    if np.ptp(values_Q) <= _ROUNDING:
        return 1.0 if abs(values_Q[0]) <= _ROUNDING else 0.0
    from scipy.special import stdtr  # scipy.stats takes a second to import

    statistic = values_Q.mean() / np.sqrt(values_Q.var(ddof=1) / values_Q.size)
    return float(2 * stdtr(values_Q.size - 1, -abs(statistic)))


def holm(p_values_M: Sequence[float] | FloatArray) -> FloatArray:
    """Correct p values for the number of hypotheses by Holm's step-down procedure (1979), in the given order.

    Rejecting results of at most alpha keeps the probability of any false rejection at alpha, whatever the dependence.
    """
    p_M = np.asarray(p_values_M, dtype=np.float64)
    order_M = np.argsort(p_M, kind="stable")
    stepped_M = p_M[order_M] * np.arange(p_M.size, 0, -1)
    adjusted_M = np.empty_like(p_M)
    adjusted_M[order_M] = np.minimum(np.maximum.accumulate(stepped_M), 1.0)
    return adjusted_M


def _checked(difference_Q: ArrayLike) -> FloatArray:
    values_Q = np.asarray(difference_Q, dtype=np.float64)
    if values_Q.ndim != 1 or values_Q.size < 2:
        raise ExperimentError(
            f"a paired comparison needs one difference a query and at least two queries, got shape {values_Q.shape}: "
            "measure on more test queries"
        )
    if not np.isfinite(values_Q).all():
        raise ExperimentError("a paired comparison needs finite differences: a per-query value is NaN or infinite")
    return values_Q
