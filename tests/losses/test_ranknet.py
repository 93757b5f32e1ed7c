"""RankNet (Burges 2005): values worked out by hand, and what must not change it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.lce import lce
from experiments.losses.ranknet import ranknet

SCORES = st.lists(st.floats(-20, 20), min_size=3, max_size=32)


def test_value_of_two_groups_worked_out_by_hand():
    # exp of minus the differences: group 1: 1 and 3 -> log 2 and log 4; group 2: 1/3 and 7 -> log 4/3 and log 8
    scores_QN = torch.tensor([[0.0, 0.0, math.log(3)], [math.log(3), 0.0, math.log(21)]])
    expected = (math.log(2) + math.log(4) + math.log(4 / 3) + math.log(8)) / 4
    assert ranknet(scores_QN).item() == pytest.approx(expected)


def test_sigma_multiplies_the_differences():
    # a difference of -log 3 is -2 log 3 -> log(1 + 9)
    assert ranknet(torch.tensor([[0.0, math.log(3)]]), sigma=2.0).item() == pytest.approx(math.log(10))


def test_one_negative_is_lce():
    scores_QN = torch.tensor([[1.5, -0.5], [-2.0, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(ranknet(scores_QN), lce(scores_QN))


def test_scores_far_apart_stay_finite():
    scores_QN = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    loss = ranknet(scores_QN)
    loss.backward()
    assert loss.item() == 2e4
    assert scores_QN.grad is not None
    assert scores_QN.grad.tolist() == [[-1.0, 1.0]]


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, st.floats(-20, 20))
def test_a_shift_of_a_group_changes_nothing(scores: list[float], shift: float):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    torch.testing.assert_close(ranknet(scores_QN + shift), ranknet(scores_QN), atol=1e-9, rtol=0)


@settings(deadline=None)
@given(SCORES, st.randoms())
def test_the_order_of_negatives_changes_nothing(scores: list[float], random):
    shuffled = random.sample(scores[1:], len(scores) - 1)
    first, second = (torch.tensor([one], dtype=torch.float64) for one in (scores, [scores[0], *shuffled]))
    torch.testing.assert_close(ranknet(first), ranknet(second))


def test_gradcheck_in_double_precision():
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(lambda scores: ranknet(scores, sigma=1.5), scores_QN)
