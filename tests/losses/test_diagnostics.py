"""Diagnostics of scores: each worked out by hand, and what they are of a collapsed or saturated model."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.job_files.history import DIAGNOSTICS
from experiments.losses.diagnostics import diagnostics
from experiments.losses.lce import lce

# softmax over the negatives: 1/4, 3/4 and 1/2, 1/2
TWO_GROUPS = torch.tensor([[2.0, 0.0, math.log(3)], [0.0, 1.0, 1.0]])


def value(name: str, scores_QN: torch.Tensor = TWO_GROUPS) -> float:
    return diagnostics(scores_QN)[name].item()


def test_margin_is_to_the_mean_negative():
    assert value("margin") == pytest.approx(((2 - math.log(3) / 2) + (0 - 1)) / 2)


def test_hardest_margin_is_to_the_highest_negative():
    assert value("hardest_margin") == pytest.approx(((2 - math.log(3)) + (0 - 1)) / 2)


def test_positive_on_top_is_the_share_of_queries_and_a_tie_is_not_on_top():
    assert value("positive_on_top", torch.tensor([[2.0, 1.0], [1.0, 1.0], [0.0, 1.0], [3.0, 1.0]])) == 0.5


def test_effective_negatives_is_the_exponential_of_the_entropy():
    first = math.exp(1 / 4 * math.log(4) + 3 / 4 * math.log(4 / 3))
    assert value("effective_negatives") == pytest.approx((first + 2) / 2)


def test_hardest_share_is_of_the_softmax_over_the_negatives():
    assert value("hardest_share") == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_hardest_share_is_that_of_the_gradient_of_lce_on_the_negatives():
    scores_QN = TWO_GROUPS[:1].clone().requires_grad_()
    lce(scores_QN).backward()
    assert scores_QN.grad is not None
    on_negatives = scores_QN.grad[0, 1:]
    assert value("hardest_share", TWO_GROUPS[:1]) == pytest.approx((on_negatives.max() / on_negatives.sum()).item())


def test_saturated_pairs_are_those_whose_bce_gradient_is_below_a_hundredth():
    # sigmoid(5) = .9933 and sigmoid(-5) = .0067, sigmoid(4) = .982: the positive at 5 and the negative at -5 are
    assert value("saturated_bce", torch.tensor([[5.0, -5.0, -4.0, 5.0]])) == 0.5


def test_score_spread_is_the_standard_deviation_of_all_scores():
    assert value("score_spread", torch.tensor([[1.0, 3.0], [5.0, 7.0]])) == pytest.approx(math.sqrt(5))


def test_scores_that_have_collapsed_to_one():
    found = {name: one.item() for name, one in diagnostics(torch.full((3, 8), 0.7)).items()}
    assert found["score_spread"] == pytest.approx(0, abs=1e-6)
    assert found["effective_negatives"] == pytest.approx(7)
    assert (found["margin"], found["positive_on_top"]) == (pytest.approx(0, abs=1e-6), 0)


def test_one_negative_has_all_of_the_weight():
    found = diagnostics(torch.tensor([[1.0, 0.0]]))
    assert (found["effective_negatives"].item(), found["hardest_share"].item()) == (1, 1)


def test_a_negative_far_below_the_others_weighs_nothing():
    assert value("effective_negatives", torch.tensor([[1.0, 0.0, -1e4]])) == 1


def test_they_are_named_fp32_and_without_gradient():
    found = diagnostics(torch.randn(2, 4, dtype=torch.bfloat16, requires_grad=True))
    assert tuple(found) == DIAGNOSTICS
    assert all(one.dtype == torch.float32 and one.ndim == 0 and not one.requires_grad for one in found.values())


@settings(deadline=None)  # the first call of torch is slow
@given(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=32), st.randoms())
def test_bounds_and_the_order_of_negatives(scores: list[float], random):
    shuffled = random.sample(scores[1:], len(scores) - 1)
    found, other = (diagnostics(torch.tensor([one])) for one in (scores, [scores[0], *shuffled]))
    assert 1 - 1e-4 <= found["effective_negatives"] <= (len(scores) - 1) * (1 + 1e-4)
    assert 1 / found["effective_negatives"] <= found["hardest_share"] * (1 + 1e-4) <= 1 + 2e-4
    assert found["hardest_margin"] <= found["margin"] + 1e-4
    for name in DIAGNOSTICS:
        torch.testing.assert_close(found[name], other[name], atol=1e-4, rtol=1e-4)


def test_with_labels_the_positive_may_be_anywhere():
    labels_QN = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    moved_QN = torch.stack([TWO_GROUPS[0, [1, 0, 2]], TWO_GROUPS[1, [1, 2, 0]]])
    labelled, plain = diagnostics(moved_QN, labels_QN), diagnostics(TWO_GROUPS)
    assert labelled.keys() == plain.keys()
    for name, wanted in plain.items():
        torch.testing.assert_close(labelled[name], wanted, msg=name)


def test_the_best_scored_of_several_positives_counts():
    # positives 3 and 1, negatives 2 and 0
    found = diagnostics(torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.tensor([[1.0, 0.0, 2.0, 0.0]]))
    assert (found["margin"].item(), found["hardest_margin"].item(), found["positive_on_top"].item()) == (2, 1, 1)


def test_a_list_without_a_positive_is_left_out_and_none_left_is_no_number():
    scores_QN = torch.tensor([[1.0, 0.0], [5.0, 9.0]])
    one = diagnostics(scores_QN, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert one["margin"].item() == 1
    none = diagnostics(scores_QN, torch.zeros(2, 2))
    assert math.isnan(none["margin"].item())
    assert none["score_spread"].item() == diagnostics(scores_QN)["score_spread"].item()
