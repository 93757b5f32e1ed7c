"""Pointwise MSE on a teacher's scores: values worked out by hand, and what must not change it."""

import torch
from helpers.library_losses import of_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.mse import mse

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


def test_value_of_two_groups_worked_out_by_hand():
    scores_QN = torch.tensor([[3.0, 1.0], [0.0, -1.0]])
    teacher_QN = torch.tensor([[4.0, 3.0], [2.0, -1.0]])
    assert mse(scores_QN, teacher_QN).item() == (1 + 4 + 4 + 0) / 4


def test_a_passage_without_a_teachers_score_costs_nothing():
    # each group weighs the same: (1 + 4) / 2 and 4 / 1
    scores_QN, teacher_QN = torch.tensor([[3.0, 1.0], [0.0, -1.0]]), torch.tensor([[4.0, 3.0], [2.0, 0.0]])
    mask_QN = torch.tensor([[True, True], [True, False]])
    assert mse(scores_QN, teacher_QN, mask_QN).item() == (2.5 + 4) / 2


def test_it_is_sentence_transformers():
    scores_QN, teacher_QN = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(3)) * 3
    theirs = of_pairs("MSELoss", scores_QN, teacher_QN)
    torch.testing.assert_close(mse(scores_QN, teacher_QN), theirs, atol=1e-6, rtol=1e-6)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, SCORES, st.floats(-20, 20))
def test_a_shift_of_both_changes_nothing(scores: list[float], teacher: list[float], shift: float):
    scores_QN, teacher_QN = (torch.tensor([row], dtype=torch.float64) for row in (scores, teacher))
    shifted = mse(scores_QN + shift, teacher_QN + shift)
    torch.testing.assert_close(shifted, mse(scores_QN, teacher_QN), atol=1e-9, rtol=1e-9)


def test_the_level_of_the_scores_is_learnt_too():
    scores_QN = torch.tensor([[3.0, 1.0]])
    assert mse(scores_QN + 2, scores_QN).item() == 4


def test_gradient_draws_each_score_towards_the_teachers():
    scores_QN = torch.tensor([[1.0, 1.0]], requires_grad=True)
    mse(scores_QN, torch.tensor([[3.0, 0.0]])).backward()
    assert scores_QN.grad is not None
    assert scores_QN.grad.tolist() == [[-2.0, 1.0]]


def test_gradcheck_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    teacher_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda scores: mse(scores, teacher_QN), scores_QN)
