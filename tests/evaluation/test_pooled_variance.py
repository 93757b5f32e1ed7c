"""The least variance of seeds that a comparison takes: the average over a table's or a claim's settings."""

import numpy as np
import pytest

from experiments.evaluation.comparison import QUERIES, compare
from experiments.evaluation.variance import Term, pooled_variance

ZEROS = [[0.0, 0.0, 0.0]]
SEEDS = (1, 2)


class TestPool:
    # means of two seeds that are equal, and 0.2 apart: variances 0 and 0.02, on average 0.01
    CLOSE, APART = np.array([[0.1] * 3] * 2), np.array([[0.1] * 3, [0.3] * 3])
    POOL = pooled_variance([[Term(1.0, CLOSE, ("a", "b"))], [Term(1.0, APART, ("c", "d"))]])

    def test_it_is_the_average_with_the_degrees_of_freedom_of_uneven_variances(self) -> None:
        assert self.POOL is not None
        assert self.POOL.variance == pytest.approx(0.01)
        assert self.POOL.df == pytest.approx(1.0)  # (0 + 0.02) ** 2 / (0 ** 2 + 0.02 ** 2)

    def test_even_variances_add_their_degrees_of_freedom(self) -> None:
        even = pooled_variance([[Term(1.0, self.APART, ("a", "b")), Term(-1.0, self.APART, ("c", "d"))]])
        assert even is not None
        assert (even.variance, even.df) == pytest.approx((0.02, 2.0))

    def test_more_seeds_count_more(self) -> None:
        # variances 0 of two seeds, and 0.04 of three
        three = np.array([[0.1] * 3, [0.3] * 3, [0.5] * 3])
        pool = pooled_variance([[Term(1.0, self.CLOSE, ("a", "b"))], [Term(1.0, three, ("c", "d", "e"))]])
        assert pool is not None
        assert pool.variance == pytest.approx(2 / 3 * 0.04)

    def test_models_of_several_contrasts_count_once(self) -> None:
        twice = [[Term(1.0, self.CLOSE, ("a", "b"))]] * 2 + [[Term(1.0, self.APART, ("c", "d"))]]
        assert pooled_variance(twice) == self.POOL

    def test_of_one_seed_each_there_is_none(self) -> None:
        assert pooled_variance([[Term(1.0, self.CLOSE[:1], ("a",))]]) is None

    def test_seeds_that_are_close_by_chance_take_its_variance(self) -> None:
        alone = compare(self.CLOSE, ZEROS, SEEDS, None)
        pooled = compare(self.CLOSE, ZEROS, SEEDS, None, pool=self.POOL)
        assert (alone.se, alone.p) == (pytest.approx(0.0), 0.0)
        assert pooled.se == pytest.approx((0.01 / 2) ** 0.5)
        # t = 0.1 / 0.0707 with one degree of freedom: p = 1 - 2 atan(sqrt 2) / pi
        assert pooled.p == pytest.approx(1 - 2 * np.arctan(2**0.5) / np.pi)

    def test_seeds_that_vary_more_keep_their_own(self) -> None:
        assert compare(self.APART, ZEROS, SEEDS, None, pool=self.POOL) == compare(self.APART, ZEROS, SEEDS, None)

    def test_one_seed_stays_over_its_queries(self) -> None:
        alone = compare([[0.1, 0.2, 0.4]], ZEROS, (1,), None, pool=self.POOL)
        assert (alone.over, alone.over_seeds) == (QUERIES, False)
