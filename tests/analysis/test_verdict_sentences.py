"""What a verdict says in words: the estimate, its p value, and what would decide it."""

import pytest
from helpers.claims import cell, claim, noisy, verdict

from experiments.analysis.claims import UNDECIDED


def test_an_undecided_claim_says_what_would_decide_it():
    found = verdict(claim(), noisy(0.02, 0), noisy(0.0, 1, loss="bce"))
    assert found.needs.startswith("+0.0")
    assert "About 7 to 56 seeds or 220 or more queries would decide it, were this about its true size." in found.needs
    assert "over 60 queries and 3 seeds." in found.needs


def test_a_difference_the_wrong_way_is_said_to_be_so():
    assert "It points the other way." in verdict(claim(), noisy(-0.02, 3), noisy(0.02, 0, loss="bce")).needs


@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_one_seed_decides_nothing_and_has_no_p_value(gain: float):
    found = verdict(claim(), cell(gain, seeds=1), cell(0.0, loss="bce", seeds=1))
    assert (found.state, found.p_holm, found.pairs[0].p_holm) == (UNDECIDED, None, None)
    assert "over 60 queries, this seed only. One seed a setting says nothing of others" in found.needs
    assert ", p " not in found.needs


def test_a_difference_the_other_way_has_the_p_value_of_a_contradiction():
    # averages have half of the 5 %
    found = verdict(claim(), noisy(0.0, 0), noisy(0.05, 1, loss="bce"))
    assert found.estimate is not None
    assert found.estimate.mean < 0
    assert found.p_holm == pytest.approx(min(1.0, 2 * found.estimate.p))


def test_several_seeds_need_no_such_warning():
    assert "seed a setting" not in verdict(claim(), cell(0.1), cell(0.0, loss="bce")).needs
