"""When a claim is supported, contradicted, undecided or missing, and what a verdict says would decide it."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.claims import LEVEL_Q, QUERIES, cell, claim, noisy, verdict
from helpers.settings import setting_of

from experiments.analysis.claims import CONTRADICTED, MISSING, SUPPORTED, UNDECIDED, judge
from experiments.common.errors import ExperimentError


class TestBeats:
    def test_is_supported_by_a_clear_difference(self):
        found = verdict(claim(), cell(0.1), cell(0.0, loss="bce"))
        assert found.state == SUPPORTED
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.1)

    def test_is_contradicted_by_a_clear_difference_the_other_way(self):
        assert verdict(claim(), cell(0.0), cell(0.1, loss="bce")).state == CONTRADICTED

    def test_is_undecided_where_nothing_is_clear(self):
        found = verdict(claim(), noisy(0.02, 0), noisy(0.0, 1, loss="bce"))
        assert found.state == UNDECIDED
        assert found.estimate is not None
        assert found.estimate.p > 0.05

    def test_compares_cells_that_are_equal_in_all_other_labels(self):
        samples = [cell(gain, loss=loss, negatives=n) for loss, gain in (("lce", 0.1), ("bce", 0.0)) for n in (1, 7)]
        found = verdict(claim(), *samples)
        assert [dict(pair.labels) for pair in found.pairs] == [{"negatives": 1}, {"negatives": 7}]
        assert [pair.comparison.mean for pair in found.pairs] == pytest.approx([0.1, 0.1])

    def test_the_estimate_is_the_average_over_pairs(self):
        samples = [cell(0.1, negatives=1), cell(0.3, negatives=7), *(cell(0, loss="bce", negatives=n) for n in (1, 7))]
        found = verdict(claim(), *samples)
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.2)

    def test_one_pair_that_is_clearly_the_other_way_contradicts_whatever_the_average(self):
        samples = [cell(-0.1, negatives=1), cell(0.3, negatives=7), *(cell(0, loss="bce", negatives=n) for n in (1, 7))]
        found = verdict(claim(), *samples)
        assert found.state == CONTRADICTED
        assert "The other way: negatives 1: -0.100" in found.needs

    def test_p_values_of_pairs_are_corrected_for_their_number_and_for_the_average_that_decides_too(self):
        samples = [
            noisy(gain, seed, loss=loss, negatives=n)
            for seed, (loss, gain, n) in enumerate(
                [("lce", 0.1, 1), ("lce", 0.05, 7), ("bce", 0.0, 1), ("bce", 0.0, 7)]
            )
        ]
        raw, corrected = zip(
            *((pair.comparison.p, pair.p_holm) for pair in verdict(claim(), *samples).pairs), strict=True
        )
        # two pairs, and half of the 5 % is left to the average
        assert min(corrected) == pytest.approx(2 * 2 * min(raw))

    def test_a_pair_whose_seeds_agree_by_chance_is_taken_to_vary_as_much_as_all_pairs_do(self):
        apart = np.array([[-0.1], [0.1]])
        samples = [
            replace(sample, values_SQ=sample.values_SQ + (apart if sample.labels["negatives"] == 7 else 0.0))
            for loss in ("lce", "bce")
            for n in (1, 7)
            for sample in [cell(-0.1 if (loss, n) == ("lce", 1) else 0.0, seeds=2, loss=loss, negatives=n)]
        ]
        found = verdict(claim(), *samples)
        agreeing, disagreeing = (pair.comparison for pair in found.pairs)
        # Seeds of one mean, and of means 0.2 apart, whose variance is 0.02: on average 0.01, so 0.005 of a mean of two
        # seeds and 0.1 ** 2 of a difference; the queries agree but for the wobble of 0.05.
        assert agreeing.se == pytest.approx(0.1, abs=0.001)
        assert disagreeing.se == pytest.approx(0.02**0.5, abs=0.001)
        assert found.state == UNDECIDED

    def test_speaks_of_the_cells_of_its_where_only(self):
        samples = [cell(0.1), cell(0.0, loss="bce"), cell(-0.1, source="dense"), cell(0.0, loss="bce", source="dense")]
        assert verdict(claim(where={"source": "bm25"}), *samples).state == SUPPORTED

    def test_a_stand_in_takes_the_place_of_the_published_label(self):
        samples = [cell(0.1, source="colbert"), cell(0.0, loss="bce", source="colbert")]
        one = claim(where={"source": "tct_colbert"})
        assert verdict(one, *samples, stand_ins={"colbert": "tct_colbert"}).state == SUPPORTED
        assert verdict(one, *samples).state == MISSING

    def test_a_setting_that_only_one_of_the_two_can_have_does_not_keep_them_apart(self):
        samples = [
            cell(0.1, **{"loss.temperature": 0.5}),
            cell(0.2, **{"loss.temperature": 1.0}),
            cell(0.0, loss="bce"),
        ]
        found = verdict(claim(), *samples)
        assert [pair.comparison.mean for pair in found.pairs] == pytest.approx([0.1, 0.2])

    def test_a_setting_that_both_have_keeps_them_apart(self):
        samples = [cell(0.1, **{"optimizer.lr": 1e-4}), cell(0.0, loss="bce", **{"optimizer.lr": 2e-4})]
        found = verdict(claim(), *samples)
        assert found.state == MISSING
        assert found.needs == "No two finished cells are equal in all other labels: they differ in optimizer.lr."

    def test_layers_of_one_model_are_paired_by_seed(self):
        shift_S = np.array([[0.0], [0.2], [0.4]])
        layers = [
            setting_of({"layer": layer}, LEVEL_Q + shift_S + 0.01 * layer, QUERIES, ("a", "b", "c")) for layer in (2, 6)
        ]
        one = claim(better={"layer": 6}, worse={"layer": 2}, of="layers")
        (found,) = judge([one], [cell(0.0)], layers, {})
        # all seeds and queries agree on 0.04, however far apart the seeds are
        assert found.state == SUPPORTED
        assert found.estimate is not None
        assert found.estimate.sd_seeds == pytest.approx(0.0)

    def test_seeds_that_disagree_leave_a_difference_undecided(self):
        apart = cell(0.1)
        apart = replace(apart, values_SQ=apart.values_SQ + np.array([[-0.15], [0.0], [0.15]]))
        found = verdict(claim(), apart, cell(0.0, loss="bce"))
        assert found.state == UNDECIDED
        assert "seeds would decide it" in found.needs
        assert "queries would" not in found.needs

    def test_of_a_difference_within_its_own_noise_no_number_of_seeds_is_named(self):
        # the mean of three seeds that are 0.2 apart has a standard error of 0.2 / sqrt 3 = 0.115
        apart = cell(0.1)
        apart = replace(apart, values_SQ=apart.values_SQ + np.array([[-0.2], [0.0], [0.2]]))
        found = verdict(claim(), apart, cell(0.0, loss="bce"))
        assert found.needs.endswith("The difference is within its own noise: no number of seeds can be named.")

    def test_of_cells_measured_on_different_queries_nothing_is_judged_and_nothing_else_is_lost(self):
        other = [f"z{i}" for i in range(60)]
        samples = [cell(0.1), cell(0.0, loss="bce")]
        samples += [cell(0.1, data="medquad", query_ids=other), cell(0.0, loss="bce", data="medquad", query_ids=other)]
        found = verdict(claim(), *samples)
        assert (found.state, found.estimate) == (MISSING, None)
        assert (
            found.needs == "Its cells were measured on different queries: name the data that it speaks of in its where."
        )

    def test_queries_in_another_order_are_the_same_queries(self):
        one, other = cell(0.1), cell(0.0, loss="bce")
        turned = replace(other, values_SQ=other.values_SQ[:, ::-1], query_ids=other.query_ids[::-1])
        assert verdict(claim(), one, turned).estimate == verdict(claim(), one, other).estimate


class TestTrends:
    RISING = (cell(0.0, negatives=1), cell(0.05, negatives=2), cell(0.1, negatives=4), cell(0.15, negatives=8))

    def test_rises_by_the_slope_per_doubling(self):
        found = verdict(claim("rises", over="negatives"), *self.RISING)
        assert found.state == SUPPORTED
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.05)
        assert "+0.050" in found.needs
        assert "per doubling of negatives" in found.needs

    def test_its_pairs_are_the_steps(self):
        found = verdict(claim("rises", over="negatives"), *reversed(self.RISING))
        assert [pair.labels["negatives"] for pair in found.pairs] == ["1 to 2", "2 to 4", "4 to 8"]
        assert [pair.comparison.mean for pair in found.pairs] == pytest.approx([0.05] * 3)

    def test_what_rises_does_not_fall(self):
        assert verdict(claim("falls", over="negatives"), *self.RISING).state == CONTRADICTED

    def test_what_falls_falls(self):
        falling = [cell(-0.05 * i, negatives=n) for i, n in enumerate((1, 2, 4))]
        found = verdict(claim("falls", over="negatives"), *falling)
        assert found.state == SUPPORTED
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(-0.05)

    def test_a_clear_step_back_contradicts(self):
        found = verdict(claim("rises", over="negatives"), *self.RISING, cell(0.05, negatives=16))
        assert found.state == CONTRADICTED
        assert "The other way: negatives 8 to 16: -0.100" in found.needs

    def test_a_slope_is_taken_in_each_setting_and_averaged(self):
        steeper = [cell(0.1 * i, negatives=n, source="dense") for i, n in enumerate((1, 2, 4, 8))]
        found = verdict(claim("rises", over="negatives"), *self.RISING, *steeper)
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.075)
        assert found.pairs[0].labels == {"negatives": "1 to 2", "source": "bm25"}

    def test_a_number_may_have_a_unit(self):
        budgets = [cell(0.1 * i, budget=text) for i, text in enumerate(("1,000 groups", "2,000 groups"))]
        found = verdict(claim("rises", over="budget"), *budgets)
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.1)

    def test_over_layers_it_is_per_layer_and_begins_at_zero(self):
        layers = [cell(0.02 * layer, layer=layer) for layer in (0, 1, 2)]
        (found,) = judge([claim("rises", over="layer", of="layers")], [cell(0.0)], layers, {})
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.02)
        assert "a layer" in found.needs

    def test_one_value_makes_no_trend(self):
        found = verdict(claim("rises", over="negatives"), cell(0.0, negatives=7))
        assert found.state == MISSING
        assert found.needs == "A trend needs finished cells of two or more values of negatives; there is 7 only."

    def test_values_that_differ_in_more_make_no_trend(self):
        found = verdict(claim("rises", over="negatives"), cell(0, negatives=1), cell(0, negatives=7, source="dense"))
        assert found.needs == "No two finished cells are equal but for negatives: they differ in source too."

    def test_zero_has_no_logarithm(self):
        with pytest.raises(ExperimentError, match="trend over log2 of negatives, which 0 does not have"):
            verdict(claim("rises", over="negatives"), cell(0.0, negatives=0), cell(0.1, negatives=7))


class TestWithin:
    def test_is_supported_by_a_difference_that_is_clearly_smaller(self):
        assert verdict(claim("within", margin=0.05), cell(0.01), cell(0.0, loss="bce")).state == SUPPORTED

    def test_is_contradicted_by_a_difference_that_is_clearly_larger_whatever_its_sign(self):
        for gain in (0.1, -0.1):
            assert verdict(claim("within", margin=0.05), cell(gain), cell(0.0, loss="bce")).state == CONTRADICTED

    def test_is_undecided_where_the_difference_may_be_larger(self):
        # 0.03 is more than a standard error inside of the margin of 0.08, and too little for a decision
        found = verdict(claim("within", margin=0.08), noisy(0.0, 0), noisy(0.0, 1, loss="bce"))
        assert found.state == UNDECIDED
        assert "would decide it" in found.needs

    def test_no_number_of_seeds_is_named_where_the_margin_is_near(self):
        found = verdict(claim("within", margin=0.05), noisy(0.0, 0), noisy(0.0, 1, loss="bce"))
        assert "The distance to the margin is within its own noise" in found.needs

    def test_a_relative_margin_is_a_share_of_the_worse_ones_mean(self):
        # 10 % of 0.5
        relative = claim("within", margin=0.1, relative=True)
        assert verdict(relative, cell(0.04), cell(0.0, loss="bce")).state == SUPPORTED
        assert verdict(relative, cell(0.06), cell(0.0, loss="bce")).state == CONTRADICTED


class TestMissing:
    def test_a_side_without_finished_cells_is_named(self):
        found = verdict(claim(where={"negatives": 7}), cell(0.1))
        assert (found.state, found.estimate, found.pairs) == (MISSING, None, ())
        assert found.needs == "No finished cell has negatives 7, loss bce."

    def test_a_label_that_no_finished_cell_has_is_named(self):
        found = verdict(claim(where={"infused": "none"}), cell(0.1), cell(0.0, loss="bce"))
        assert (found.state, found.needs) == (MISSING, "No finished cell has the label 'infused'.")

    def test_layers_are_not_looked_for_among_test_results(self):
        assert verdict(claim(of="layers"), cell(0.1), cell(0.0, loss="bce")).state == MISSING

    def test_cells_without_a_counterpart_are_left_out_and_named(self):
        found = verdict(claim(), cell(0.1), cell(0.0, loss="bce"), cell(0.1, negatives=31), cell(0.1, negatives=63))
        assert found.state == SUPPORTED
        assert "Without a counterpart, and so left out: negatives 31; negatives 63." in found.needs


class TestSeveralClaims:
    def test_support_is_corrected_for_their_number(self):
        samples = [noisy(0.085, 0), noisy(0.0, 1, loss="bce"), noisy(0.0, 2, loss="hinge")]
        alone = verdict(claim(), *samples)
        both = judge([claim(), claim(better={"loss": "bce"}, worse={"loss": "hinge"})], samples, [], {})
        assert (alone.p_holm, both[0].p_holm) == pytest.approx((alone.estimate.p, 2 * alone.estimate.p))

    def test_pairs_are_corrected_for_those_of_all_claims(self):
        samples = [noisy(0.085, 0), noisy(0.0, 1, loss="bce"), noisy(0.0, 2, loss="hinge")]
        first, _ = judge([claim(), claim(better={"loss": "bce"}, worse={"loss": "hinge"})], samples, [], {})
        (pair,) = first.pairs
        assert pair.p_holm == pytest.approx(2 * 2 * pair.comparison.p)

    def test_those_of_one_seed_do_not_count(self):
        samples = [noisy(0.1, 0), noisy(0.0, 1, loss="bce"), noisy(0.0, 2, seeds=1, loss="hinge", source="dense")]
        samples.append(noisy(0.0, 3, seeds=1, loss="bce", source="dense"))
        of_seeds = claim(where={"source": "bm25"})
        both = judge([of_seeds, claim(better={"loss": "hinge"}, where={"source": "dense"})], samples, [], {})
        assert both[0].p_holm == verdict(of_seeds, *samples).p_holm
        assert both[1].p_holm is None

    def test_missing_ones_do_not_count(self):
        samples = [noisy(0.1, 0), noisy(0.0, 1, loss="bce")]
        both = judge([claim(), claim(where={"negatives": 31})], samples, [], {})
        assert both[0].p_holm == verdict(claim(), *samples).p_holm
        assert both[1].p_holm is None

    def test_of_no_claims_there_are_no_verdicts(self):
        assert judge([], [cell(0.0)], [], {}) == []
