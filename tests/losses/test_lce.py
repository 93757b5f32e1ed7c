"""LCE (Gao 2021): values worked out by hand, and what must not change it."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn.functional import softplus

from experiments.losses.lce import lce

SCORES = st.floats(-20, 20)


def test_value_of_two_groups_worked_out_by_hand():
    # group 1: exp 1, 1, 2 with the positive's 2 -> p = 2 / 4; group 2: 1 of 1 + 3 + 4 -> p = 1 / 8
    scores_QN = torch.tensor([[2.0, 1.0, 1.0], [1.0, 3.0, 4.0]]).log()
    assert lce(scores_QN).item() == torch.tensor((math.log(2) + math.log(8)) / 2).item()


def test_one_negative_is_softplus_of_the_difference():
    scores_QN = torch.tensor([[1.5, -0.5]], dtype=torch.float64)
    torch.testing.assert_close(lce(scores_QN), softplus(torch.tensor(-2.0, dtype=torch.float64)))


def test_equal_scores_give_the_log_of_the_group_size():
    torch.testing.assert_close(lce(torch.full((3, 8), 0.7)), torch.tensor(math.log(8)))


@given(st.lists(SCORES, min_size=2, max_size=32), SCORES)
def test_a_shift_of_a_group_changes_nothing(scores: list[float], shift: float):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    torch.testing.assert_close(lce(scores_QN + shift), lce(scores_QN), atol=1e-9, rtol=0)


@given(st.lists(SCORES, min_size=3, max_size=32), st.randoms())
def test_the_order_of_negatives_changes_nothing(scores: list[float], random):
    shuffled = scores[1:]
    random.shuffle(shuffled)
    first, second = (
        torch.tensor([scores], dtype=torch.float64),
        torch.tensor([[scores[0], *shuffled]], dtype=torch.float64),
    )
    torch.testing.assert_close(lce(first), lce(second))


def test_gradient_is_the_softmax_less_the_target():
    scores_QN = torch.tensor([[0.0, math.log(3.0)]], requires_grad=True)
    lce(scores_QN).backward()
    torch.testing.assert_close(scores_QN.grad, torch.tensor([[-0.75, 0.75]]))


def test_gradcheck_in_double_precision():
    assert gradcheck(
        lce, torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    )
