"""What an interval, a p value and a correction for many hypotheses say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.evaluation.significance import (
    Interval,
    holm,
    paired_bootstrap,
    paired_permutation_test,
    paired_t_test,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def reciprocal_rank_differences(generator: np.random.Generator, queries: int) -> np.ndarray:
    """RR@10 of two rankers of equal quality, subtracted: most differences are zero, some are large."""
    first, second = (1.0 / generator.integers(1, 11, queries) for _ in range(2))
    return np.where(generator.random(queries) < 0.5, 0.0, first - second)


class TestPairedBootstrap:
    def test_two_queries_have_the_three_means_that_they_can_be_resampled_to(self) -> None:
        # The means of two draws from {0, 1} are 0 (1/4 of the time), 0.5 (1/2) and 1 (1/4): 95 % reach from 0 to 1.
        assert paired_bootstrap([0.0, 1.0]) == Interval(mean=0.5, low=0.0, high=1.0)

    def test_of_many_symmetric_differences_is_the_normal_interval(self) -> None:
        # 200 times +1 and 200 times -1: mean 0, standard error sqrt(1 / 400) = 0.05, so +-1.96 x 0.05 = +-0.098.
        interval = paired_bootstrap([1.0, -1.0] * 200)
        assert interval.mean == 0.0
        assert interval.low == pytest.approx(-0.098, abs=0.006)
        assert interval.high == pytest.approx(0.098, abs=0.006)

    def test_is_narrower_at_a_lower_level(self) -> None:
        differences = [1.0, -1.0] * 200
        # 1.645 x 0.05 = 0.082
        assert paired_bootstrap(differences, level=0.90).high == pytest.approx(0.082, abs=0.006)

    def test_leans_to_the_side_of_rare_large_gains(self) -> None:
        interval = paired_bootstrap([0.0] * 95 + [1.0] * 5)
        assert interval.high - interval.mean > interval.mean - interval.low

    @pytest.mark.parametrize("difference", [0.0, 0.25, -0.1])
    def test_of_equal_differences_has_no_width(self, difference: float) -> None:
        interval = paired_bootstrap([difference] * 7)
        assert (interval.low, interval.high) == (interval.mean, interval.mean)
        assert interval.mean == pytest.approx(difference)

    def test_of_differences_that_are_equal_but_for_rounding_is_not_nan(self) -> None:
        interval = paired_bootstrap([0.3, 0.1 + 0.2, 0.3])
        assert interval.low == interval.high == pytest.approx(0.3)

    def test_is_determined_by_the_seed(self) -> None:
        differences = np.random.default_rng(5).normal(size=50)
        assert paired_bootstrap(differences, seed=1) == paired_bootstrap(differences, seed=1)
        assert paired_bootstrap(differences, seed=1) != paired_bootstrap(differences, seed=2)

    @pytest.mark.parametrize("too_few", [[], [0.5]])
    def test_refuses_fewer_than_two_queries(self, too_few: list[float]) -> None:
        with pytest.raises(ExperimentError, match="at least two queries"):
            paired_bootstrap(too_few)

    def test_refuses_nan(self) -> None:
        with pytest.raises(ExperimentError, match="NaN"):
            paired_bootstrap([0.1, float("nan")])

    def test_excludes_zero_in_about_one_of_twenty_comparisons_of_equals(self) -> None:
        generator = np.random.default_rng(0)
        samples = [reciprocal_rank_differences(generator, 200) for _ in range(400)]
        alarms = np.mean([paired_bootstrap(sample, resamples=1_000).excludes_zero for sample in samples])
        assert 0.02 < alarms < 0.08


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.01, 0.2, True), (-0.2, -0.01, True), (-0.1, 0.1, False), (0.0, 0.1, False), (0.0, 0.0, False)],
)
def test_an_interval_that_touches_zero_does_not_exclude_it(low: float, high: float, expected: bool) -> None:
    assert Interval(mean=(low + high) / 2, low=low, high=high).excludes_zero is expected


class TestPairedPermutationTest:
    def test_counts_the_sign_patterns_that_are_as_extreme(self) -> None:
        # Of the 8 sign patterns of three equal gains, only +++ and --- have a mean as far from zero.
        assert paired_permutation_test([1.0, 1.0, 1.0]) == pytest.approx(2 / 8)

    def test_weighs_a_difference_by_its_size(self) -> None:
        # Sums of (+-3, +-1, +-1) as far from zero as 3 - 1 + 1 = 3: those of +3 with (+,+), (+,-), (-,+), and their
        # negatives.
        assert paired_permutation_test([3.0, -1.0, 1.0]) == pytest.approx(6 / 8)

    def test_finds_nothing_where_nothing_differs(self) -> None:
        assert paired_permutation_test([0.0] * 30, resamples=200) == 1.0

    def test_rejects_about_one_of_twenty_comparisons_of_equals(self) -> None:
        generator = np.random.default_rng(1)
        samples = [reciprocal_rank_differences(generator, 40) for _ in range(600)]
        rejected = np.mean([paired_permutation_test(sample, resamples=400) <= 0.05 for sample in samples])
        assert 0.02 < rejected < 0.09


class TestPairedTTest:
    def test_of_a_case_worked_by_hand(self) -> None:
        # Mean 1, standard deviation 1, so t = 1 / (1 / sqrt 3) = 1.732 with 2 degrees of freedom: p = 1 - t /
        # sqrt(t^2 + 2) = 0.2254.
        assert paired_t_test([0.0, 1.0, 2.0]) == pytest.approx(1 - 3**0.5 / 5**0.5)

    @pytest.mark.parametrize(("difference", "expected"), [(0.0, 1.0), (0.2, 0.0), (-0.2, 0.0)])
    def test_of_equal_differences_is_certain(self, difference: float, expected: float) -> None:
        assert paired_t_test([difference] * 5) == expected

    def test_rejects_about_one_of_twenty_comparisons_of_equals(self) -> None:
        generator = np.random.default_rng(2)
        rejected = [paired_t_test(reciprocal_rank_differences(generator, 200)) <= 0.05 for _ in range(500)]
        assert 0.02 < np.mean(rejected) < 0.08


class TestHolm:
    def test_multiplies_by_the_number_of_hypotheses_that_are_left(self) -> None:
        # 0.01 x 4 = 0.04; 0.02 x 3 = 0.06; 0.2 x 2 = 0.4; 0.5 x 1 = 0.5
        assert holm([0.01, 0.02, 0.2, 0.5]) == pytest.approx([0.04, 0.06, 0.4, 0.5])

    def test_keeps_the_order_given_and_never_steps_down(self) -> None:
        # Sorted: 0.01 x 3 = 0.03; 0.03 x 2 = 0.06; 0.04 x 1 = 0.04, raised to the 0.06 before it.
        assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])

    def test_of_nothing_is_nothing(self) -> None:
        assert holm([]).shape == (0,)

    @given(p_values)
    def test_lies_between_the_p_value_and_bonferronis(self, p_values: list[float]) -> None:
        raw, adjusted = np.asarray(p_values), holm(p_values)
        assert (adjusted >= raw).all()
        assert (adjusted <= np.minimum(raw * raw.size, 1.0)[np.argsort(raw)].max()).all()

    @given(p_values)
    def test_keeps_the_ranking_of_the_p_values(self, p_values: list[float]) -> None:
        adjusted_in_order = holm(p_values)[np.argsort(p_values, kind="stable")]
        assert (np.diff(adjusted_in_order) >= 0).all()
