"""p-ListMLE (Lan 2014): values worked out by hand, sentence-transformers' on the same scores, what changes nothing."""

import math

import pytest
import torch
from helpers.library_losses import listwise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.p_listmle import p_listmle, position_weights

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)
LOGS = torch.tensor([[3.0, 1.0, 6.0]]).log()


def test_weights_of_positions_worked_out_by_hand():
    # n = 3: 2^2 - 1, 2^1 - 1, 0 of 4; n = 2: 2^1 - 1, 0 of 1; n = 1: nothing comes after it
    listed_QN = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    assert position_weights(listed_QN).tolist() == [[0.75, 0.25, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_weights_of_a_list_of_a_thousand_are_finite_and_halve():
    weights_N = position_weights(torch.ones(1, 1000, dtype=torch.bool))[0]
    assert weights_N[:4].tolist() == pytest.approx([1 / 2, 1 / 4, 1 / 8, 1 / 16])
    assert weights_N.sum().item() == pytest.approx(1)


def test_value_of_a_group_worked_out_by_hand():
    # the teacher's order is the third, the first, the second: 6 of 6 + 3 + 1, then 3 of 3 + 1, then what is left
    expected = 3 / 4 * math.log(10 / 6) + 1 / 4 * math.log(4 / 3)
    assert p_listmle(LOGS, torch.tensor([[0.2, 0.1, 0.3]])).item() == pytest.approx(expected)


def test_the_first_position_of_a_wrong_order_costs_most():
    # the reverse order: 1 of 10, then 3 of 3 + 6
    expected = 3 / 4 * math.log(10) + 1 / 4 * math.log(9 / 3)
    assert p_listmle(LOGS, torch.tensor([[2.0, 3.0, 1.0]])).item() == pytest.approx(expected)


def test_passages_that_the_teacher_scores_the_same_stay_in_the_groups_order():
    tied, in_order = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[3.0, 2.0, 1.0]])
    assert p_listmle(LOGS, tied) == p_listmle(LOGS, in_order)


def test_a_passage_without_a_teachers_score_is_no_part_of_the_ranking():
    # only the third and the first: 6 of 6 + 3
    mask_QN = torch.tensor([[True, False, True]])
    value = p_listmle(LOGS, torch.tensor([[0.2, 0.0, 0.3]]), mask_QN=mask_QN)
    assert value.item() == pytest.approx(math.log(9 / 6))


@pytest.mark.parametrize("passages", [2, 8, 100, 200])
def test_it_is_sentence_transformers_on_the_teachers_scores(passages: int):
    generator = torch.Generator().manual_seed(3)
    scores_QN, teacher_QN = torch.randn(2, 6, passages, generator=generator) * 3
    theirs = listwise("PListMLELoss", scores_QN, teacher_QN, respect_input_order=False)
    torch.testing.assert_close(p_listmle(scores_QN, teacher_QN), theirs, atol=1e-6, rtol=1e-6)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, SCORES, st.floats(-20, 20))
def test_a_shift_of_a_groups_scores_changes_nothing(scores: list[float], teacher: list[float], shift: float):
    scores_QN, teacher_QN = (torch.tensor([row], dtype=torch.float64) for row in (scores, teacher))
    shifted = p_listmle(scores_QN + shift, teacher_QN)
    torch.testing.assert_close(shifted, p_listmle(scores_QN, teacher_QN), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(SCORES, st.permutations(range(4)))
def test_of_the_teacher_only_the_order_counts(scores: list[float], order: list[int]):
    scores_QN, teacher_QN = torch.tensor([scores]), torch.tensor([order], dtype=torch.float32)
    assert p_listmle(scores_QN, teacher_QN) == p_listmle(scores_QN, 5 * teacher_QN.exp() - 100)


def test_gradient_of_two_passages_is_that_of_lce_on_the_better():
    scores_QN = torch.tensor([[0.0, math.log(3)]], requires_grad=True)
    p_listmle(scores_QN, torch.tensor([[2.0, 1.0]])).backward()
    torch.testing.assert_close(scores_QN.grad, torch.tensor([[-3 / 4, 3 / 4]]))


def test_gradcheck_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    teacher_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda scores: p_listmle(scores, teacher_QN), scores_QN)
