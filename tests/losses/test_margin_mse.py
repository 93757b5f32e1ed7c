"""Margin-MSE (Hofstätter 2020): values worked out by hand, and what must not change it."""

import torch
from helpers.library_losses import of_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.margin_mse import margin_mse

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


def test_value_of_two_groups_worked_out_by_hand():
    scores_QN = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, -1.0]])  # margins 2, 1 and -1, 1
    teacher_QN = torch.tensor([[9.0, 6.0, 8.0], [5.0, 4.0, 1.0]])  # margins 3, 1 and 1, 4
    assert margin_mse(scores_QN, teacher_QN).item() == (1 + 0 + 4 + 9) / 4


def test_it_is_sentence_transformers():
    scores_QN, teacher_QN = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(3)) * 3
    theirs = of_pairs("MarginMSELoss", scores_QN, teacher_QN)
    torch.testing.assert_close(margin_mse(scores_QN, teacher_QN), theirs, atol=1e-6, rtol=1e-6)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, SCORES, st.floats(-20, 20))
def test_a_shift_of_a_group_changes_nothing(scores: list[float], teacher: list[float], shift: float):
    scores_QN, teacher_QN = (torch.tensor([one], dtype=torch.float64) for one in (scores, teacher))
    shifted = margin_mse(scores_QN + shift, teacher_QN - shift)
    torch.testing.assert_close(shifted, margin_mse(scores_QN, teacher_QN), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(SCORES)
def test_the_teachers_own_scores_cost_nothing(scores: list[float]):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    assert margin_mse(scores_QN, scores_QN).item() == 0


def test_gradient_draws_the_pair_towards_the_teachers_margin():
    scores_QN = torch.tensor([[1.0, 1.0]], requires_grad=True)
    margin_mse(scores_QN, torch.tensor([[3.0, 0.0]])).backward()
    assert scores_QN.grad is not None
    assert scores_QN.grad.tolist() == [[-6.0, 6.0]]  # 2 (0 - 3)


def test_gradcheck_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    teacher_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda scores: margin_mse(scores, teacher_QN), scores_QN)
