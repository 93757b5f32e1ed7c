"""Pairwise hinge (Pradeep 2022): values worked out by hand, and what must not change it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.hinge import hinge

SCORES = st.lists(st.floats(-20, 20), min_size=3, max_size=32)


def test_value_of_two_groups_worked_out_by_hand():
    # group 1: differences 2 and 0.5 -> 0 and 0.5; group 2: differences -1 and 1 -> 2 and 0
    scores_QN = torch.tensor([[2.0, 0.0, 1.5], [0.0, 1.0, -1.0]])
    assert hinge(scores_QN).item() == pytest.approx((0 + 0.5 + 2 + 0) / 4)


def test_a_wider_margin_asks_for_more():
    # differences 2 and 0.5 under a margin of 3 -> 1 and 2.5
    assert hinge(torch.tensor([[2.0, 0.0, 1.5]]), margin=3.0).item() == pytest.approx(1.75)


def test_a_negative_beyond_the_margin_has_no_gradient():
    scores_QN = torch.tensor([[2.0, 0.0, 1.5]], requires_grad=True)
    hinge(scores_QN).backward()
    assert scores_QN.grad is not None
    assert scores_QN.grad.tolist() == [[-0.5, 0.0, 0.5]]


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, st.floats(-20, 20))
def test_a_shift_of_a_group_changes_nothing(scores: list[float], shift: float):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    torch.testing.assert_close(hinge(scores_QN + shift), hinge(scores_QN), atol=1e-9, rtol=0)


@settings(deadline=None)
@given(SCORES, st.randoms())
def test_the_order_of_negatives_changes_nothing(scores: list[float], random):
    shuffled = random.sample(scores[1:], len(scores) - 1)
    first, second = (torch.tensor([one], dtype=torch.float64) for one in (scores, [scores[0], *shuffled]))
    torch.testing.assert_close(hinge(first), hinge(second))


def test_gradcheck_in_double_precision():
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(hinge, scores_QN)
