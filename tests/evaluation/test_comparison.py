"""What may be concluded from a difference that was measured with several seeds on the same queries."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.common.errors import ExperimentError
from experiments.evaluation.comparison import (
    QUERIES,
    QUERIES_AND_SEEDS,
    Needed,
    beyond,
    compare,
    contrast,
    detectable_difference,
    equivalence,
    needed,
    needed_range,
)
from experiments.evaluation.variance import Term

# Two seeds, three queries, against a first stage of zeros. The means of the seeds are 1/3 and 2/3, those of the
# queries 0, 0.5 and 1, that of all 0.5.
RERANKED = [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
ZEROS = [[0.0, 0.0, 0.0]]
SEEDS = (1, 2)

values_SQ = arrays(np.float64, (3, 6), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))


class TestCompare:
    def test_the_mean_is_that_of_one_minus_that_of_the_other(self) -> None:
        assert compare([[1.0, 0.5]], [[0.5, 0.5]], (1,), (1,)).mean == pytest.approx(0.25)

    def test_the_variance_over_seeds_is_added_to_that_over_queries(self) -> None:
        found = compare(RERANKED, ZEROS, SEEDS, None)
        # Over queries: 0, 0.5, 1 have the variance 1/4, so 1/12 of their mean. Over seeds: 1/3 and 2/3 have the
        # variance 1/18, so 1/36 of their mean. Interaction: the residuals are 1/6, -1/3, 1/6 and their negatives, their
        # squares add up to 1/3, so 1/6 with (2 - 1)(3 - 1) degrees of freedom, and 1/6 / 6 = 1/36 of the mean is
        # counted in both. 1/12 + 1/36 - 1/36 = 1/12.
        assert found.se**2 == pytest.approx(1 / 12)
        assert found.spread.of_seeds == pytest.approx(0.0)
        assert found.spread.of_both == pytest.approx(1 / 6)
        assert found.spread.of_queries == pytest.approx(1 / 4 - 1 / 12)

    def test_degrees_of_freedom_are_few_where_much_of_the_error_may_be_the_seeds(self) -> None:
        # The seeds' share as seen is (1/36) / (1/12) = 1/3 with one degree of freedom and the exponent 2 - 4/3 = 2/3;
        # the queries' share is all of it, with two.
        assert compare(RERANKED, ZEROS, SEEDS, None).df == pytest.approx(1 / ((1 / 3) ** (2 / 3) + 1 / 2))

    def test_seeds_that_shift_every_query_are_all_of_the_error_when_queries_do_not_differ(self) -> None:
        found = compare([[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]], ZEROS, SEEDS, None)
        # t = 0.2 / (0.1 sqrt 2 / sqrt 2) = 2 with one degree of freedom: p = 1 - 2 atan(2) / pi
        assert found.df == pytest.approx(1.0)
        assert found.p == pytest.approx(1 - 2 * np.arctan(2) / np.pi)

    def test_both_settings_add_their_variance_over_seeds_even_of_equal_seeds(self) -> None:
        shifted = [[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]]
        found = compare(shifted, shifted, SEEDS, SEEDS)
        # each mean has the variance 0.02 / 2
        assert found.se**2 == pytest.approx(0.02)
        assert found.df == pytest.approx(2.0)
        assert found.sd_seeds == pytest.approx(0.2)

    def test_one_seed_gives_the_t_test_over_queries_and_says_so(self) -> None:
        found = compare([[0.0, 1.0, 2.0]], ZEROS, (1,), None)
        # t = 1 / (1 / sqrt 3) with two degrees of freedom: p = 1 - sqrt 3 / sqrt 5
        assert found.p == found.p_t == pytest.approx(1 - 3**0.5 / 5**0.5)
        assert (found.over, found.sd_seeds, found.seeds) == (QUERIES, None, 1)

    def test_several_seeds_speak_of_other_seeds_too(self) -> None:
        assert compare(RERANKED, ZEROS, SEEDS, None).over == QUERIES_AND_SEEDS

    def test_a_setting_of_one_seed_borrows_the_variance_of_the_other(self) -> None:
        shifted = [[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]]
        # 0.02 / 2 of the two seeds, and 0.02 of the one
        assert compare(shifted, ZEROS, SEEDS, (1,)).se ** 2 == pytest.approx(0.03)

    def test_a_first_stage_lends_nothing(self) -> None:
        shifted = [[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]]
        assert compare(shifted, ZEROS, SEEDS, None).se ** 2 == pytest.approx(0.01)

    def test_queries_are_won_lost_or_tied_after_averaging_seeds_and_up_to_rounding(self) -> None:
        better = [[1.0, 0.5, 0.333333, 0.0], [0.0, 0.5, 0.333333, 0.0]]
        found = compare(better, [[0.25, 0.75, 1 / 3, 0.0]], SEEDS, None)
        assert (found.wins, found.ties, found.losses) == (1, 2, 1)

    def test_the_permutation_test_is_over_queries(self) -> None:
        assert compare([[1.0, 1.0, 1.0]], ZEROS, (1,), None).p_permutation == pytest.approx(2 / 8)

    @pytest.mark.parametrize(("gain", "p"), [(0.0, 1.0), (0.5, 0.0)])
    def test_where_nothing_varies_the_difference_is_certain(self, gain: float, p: float) -> None:
        found = compare([[gain] * 3, [gain] * 3], ZEROS, SEEDS, None)
        assert (found.low, found.high, found.p) == (gain, gain, p)

    def test_refuses_one_query(self) -> None:
        with pytest.raises(ExperimentError, match="two or more queries"):
            compare([[1.0]], [[0.5]], (1,), (1,))

    def test_refuses_different_queries(self) -> None:
        with pytest.raises(ExperimentError, match="of the same two or more queries"):
            compare([[1.0, 0.5]], [[0.5, 0.1, 1.0]], (1,), (1,))

    def test_refuses_rows_without_a_seed(self) -> None:
        with pytest.raises(ExperimentError, match="a row for each model"):
            compare(RERANKED, ZEROS, (1,), None)

    def test_refuses_nan(self) -> None:
        with pytest.raises(ExperimentError, match="NaN"):
            compare([[1.0, float("nan")]], [[0.5, 0.5]], (1,), (1,))

    @given(values_SQ, values_SQ)
    def test_the_other_way_round_only_signs_change(self, one_SQ: np.ndarray, other_SQ: np.ndarray) -> None:
        there = compare(one_SQ, other_SQ, range(3), range(3), resamples=1)
        back = compare(other_SQ, one_SQ, range(3), range(3), resamples=1)
        assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low))
        assert (there.p, there.se) == pytest.approx((back.p, back.se))
        assert (there.wins, there.losses) == (back.losses, back.wins)

    @example(
        one_SQ=np.array([[0.25, 0.25, 0, 0.25, 0, 0.25], [0, 0.25, 0.25, 0.25, 0.25, 0.25], [0.25] * 6]),
        other_SQ=np.array([[0.25, 0.25, 0, 0.25, 0, 0.25], [0, 0.25, 0.25, 0.25, 0.25, 0.25], [0.25] * 6]),
        order=[1, 0, 2, 3, 4, 5],  # seeds vary exactly as much as the interaction: their difference is rounding
    )
    @given(values_SQ, values_SQ, st.permutations(range(6)))
    def test_the_order_of_queries_does_not_matter(
        self, one_SQ: np.ndarray, other_SQ: np.ndarray, order: list[int]
    ) -> None:
        # Values as coarse as measures are: a spread of a billionth is lost in the rounding of sums.
        one_SQ, other_SQ = np.round(one_SQ, 3), np.round(other_SQ, 3)
        found = compare(one_SQ, other_SQ, range(3), range(3), resamples=1)
        moved = compare(one_SQ[:, order], other_SQ[:, order], range(3), range(3), resamples=1)
        assert (moved.mean, moved.low, moved.high) == pytest.approx((found.mean, found.low, found.high), abs=1e-9)

    @given(values_SQ, values_SQ, st.floats(-1, 1))
    def test_a_shift_moves_the_interval(self, one_SQ: np.ndarray, other_SQ: np.ndarray, shift: float) -> None:
        found = compare(one_SQ, other_SQ, range(3), range(3), resamples=1)
        moved = compare(one_SQ + shift, other_SQ, range(3), range(3), resamples=1)
        assert (moved.low, moved.high) == pytest.approx((found.low + shift, found.high + shift), abs=1e-6)

    @given(values_SQ, values_SQ)
    def test_the_interval_excludes_zero_exactly_where_p_is_at_most_5_per_cent(
        self, one_SQ: np.ndarray, other_SQ: np.ndarray
    ) -> None:
        found = compare(one_SQ, other_SQ, range(3), range(3), resamples=1)
        assert found.excludes_zero == (found.p <= 0.05)

    @given(values_SQ, values_SQ)
    def test_seeds_never_make_a_difference_more_certain_than_its_queries_do(
        self, one_SQ: np.ndarray, other_SQ: np.ndarray
    ) -> None:
        found = compare(one_SQ, other_SQ, range(3), range(3), resamples=1)
        assert found.se**2 >= (one_SQ.mean(axis=0) - other_SQ.mean(axis=0)).var(ddof=1) / 6 - 1e-12

    def test_thirty_cells_of_7000_queries_and_three_seeds_take_seconds(self) -> None:
        generator = np.random.default_rng(0)
        cells = generator.choice([0.0, 0.1, 0.2, 0.5, 1.0], (30, 3, 7000))
        started = time.process_time()
        for cell in cells:
            compare(cell, cells[0, :1], range(3), None)
        assert time.process_time() - started < 10

    def test_is_deterministic(self) -> None:
        sides = np.random.default_rng(1).random((2, 3, 50))
        assert compare(*sides, range(3), range(3)) == compare(*sides, range(3), range(3))


class TestContrast:
    def test_measurements_of_the_same_models_are_paired(self) -> None:
        # a seed that shifts two layers alike does not move their difference
        high, low = np.array([[0.4, 0.6], [0.8, 1.0]]), np.array([[0.1, 0.1], [0.5, 0.5]])
        paired = contrast([Term(1.0, high, ("a", "b")), Term(-1.0, low, ("a", "b"))])
        assert paired.sd_seeds == pytest.approx(0.0)
        apart = contrast([Term(1.0, high, ("a", "b")), Term(-1.0, low, ("c", "d"))])
        assert apart.sd_seeds == pytest.approx(0.4)

    def test_a_slope_is_a_weighted_sum(self) -> None:
        rows = [np.array([[level, level + 0.1]]) for level in (0.1, 0.3, 0.5)]
        weights = (-0.5, 0.0, 0.5)  # over x = 0, 1, 2
        found = contrast([Term(weight, row, (i,)) for i, (weight, row) in enumerate(zip(weights, rows, strict=True))])
        assert found.mean == pytest.approx(0.2)


class TestPlanning:
    def test_80_per_cent_power_takes_2_8_standard_errors(self) -> None:
        # 1.960 + 0.842
        assert detectable_difference(0.01, 1e9) == pytest.approx(0.02802, abs=1e-5)

    def test_few_degrees_of_freedom_take_more(self) -> None:
        # t of 97.5 % and 80 % with one degree of freedom: 12.706 + 1.376
        assert detectable_difference(0.01, 1) == pytest.approx(0.14083, abs=1e-5)

    def test_a_comparison_knows_what_it_could_have_detected(self) -> None:
        found = compare(RERANKED, ZEROS, SEEDS, None)
        assert found.detectable == pytest.approx(float(detectable_difference(found.se, found.df)))

    def test_of_one_seed_only_the_queries_needed_are_known(self) -> None:
        # mean 0.1, standard deviation 1: a standard error of 0.1 / 2.8 takes 28^2 = 785 queries, with t a few more
        found = compare([[1.1, -0.9] * 50], [[0.0] * 100], (1,), None)
        plan = needed(found)
        assert plan.seeds is None
        assert plan.queries == pytest.approx(790, rel=0.03)

    def test_more_queries_do_not_help_against_seeds(self) -> None:
        # queries do not differ, so a difference of 0.1 beside a spread of 0.14 is a matter of seeds alone
        found = compare([[0.0, 0.0, 0.0], [0.2, 0.2, 0.2]], ZEROS, SEEDS, None)
        assert found.sd_seeds == pytest.approx(0.1414, abs=1e-4)
        plan = needed(found)
        assert plan.queries is None
        # textbook: a one-sample t test of an effect of 0.707 standard deviations takes about 18
        assert plan.seeds in range(17, 20)

    def test_nothing_finds_no_difference(self) -> None:
        assert needed(compare(RERANKED, ZEROS, SEEDS, None), difference=0.0) == Needed(None, None)

    def test_what_is_detectable_needs_no_more(self) -> None:
        generator = np.random.default_rng(2)
        query_Q, seed_S = generator.normal(size=50), generator.normal(size=3)
        found = compare(query_Q + seed_S[:, None] + generator.normal(size=(3, 50)), np.zeros((1, 50)), range(3), None)
        assert needed(found, difference=found.detectable * 1.01) == Needed(3, 50)

    @settings(max_examples=30)
    @given(values_SQ, values_SQ)
    def test_a_smaller_difference_never_needs_less(self, one_SQ: np.ndarray, other_SQ: np.ndarray) -> None:
        found = compare(one_SQ, other_SQ, range(3), range(3), resamples=1)
        small, large = needed(found, 0.05), needed(found, 0.1)
        for less, more in ((large.seeds, small.seeds), (large.queries, small.queries)):
            assert (more or 10**9) >= (less or 10**9)


class TestNeededRange:
    # Four seeds 0.1 apart or equal, queries that agree: the mean 0.06 has a variance over seeds of 0.01 / 3 and a
    # standard error of sqrt(0.01 / 3 / 4) = 0.0289 with three degrees of freedom.
    FOUND = compare([[0.01, 0.01], [0.11, 0.11]] * 2, [[0.0, 0.0]], range(4), None)

    def test_it_is_what_the_difference_and_the_variance_may_be(self) -> None:
        sizes = needed_range(self.FOUND)
        assert sizes is not None
        fewest, most = sizes
        middle = needed(self.FOUND)
        assert fewest.seeds is not None
        assert most.seeds is not None
        assert middle.seeds is not None
        assert fewest.seeds < middle.seeds < most.seeds
        # 0.06 + 0.67 * 0.0289 = 0.079 and three times less than the upper quartile of chi-square, 4.108, as variance:
        # a standard deviation of 0.049, so 2.8 * 0.049 / sqrt 4 = 0.069 are found with five seeds or so
        assert fewest.seeds in (4, 5, 6)

    def test_within_one_standard_error_there_is_none(self) -> None:
        assert needed_range(self.FOUND, self.FOUND.se) is None
        assert needed_range(self.FOUND, 1.01 * self.FOUND.se) is not None

    def test_with_one_seed_it_is_of_queries_alone(self) -> None:
        sizes = needed_range(compare([[0.3, -0.1, 0.2, 0.1, -0.1, 0.2]], [[0.0] * 6], (1,), None))
        assert sizes is not None
        assert (sizes[0].seeds, sizes[1].seeds) == (None, None)
        assert sizes[0].queries is not None
        assert sizes[1].queries is not None
        assert 6 <= sizes[0].queries < sizes[1].queries


class TestMargins:
    # mean 0.1, standard error 0.1, 99 degrees of freedom
    FOUND = compare([[1.1, -0.9] * 50], [[0.0] * 100], (1,), None)

    def test_equivalence_is_a_one_sided_test_of_the_nearer_margin(self) -> None:
        # (0.3 - 0.1) / 0.1005 = 1.99: one-sided p .025
        assert equivalence(self.FOUND, 0.3) == pytest.approx(0.0247, abs=5e-4)

    def test_nothing_is_equivalent_within_less_than_was_seen(self) -> None:
        assert equivalence(self.FOUND, 0.05) > 0.5

    def test_beyond_a_margin_is_further_than_beyond_zero(self) -> None:
        assert beyond(self.FOUND, 0.05) > beyond(self.FOUND, 0.0) == pytest.approx(self.FOUND.p)

    def test_a_difference_within_the_margin_is_not_beyond_it(self) -> None:
        assert beyond(self.FOUND, 0.2) == 1.0
