"""KL divergence from a teacher (Hinton 2015): values worked out by hand, and what must not change it."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.kl_divergence import kl_divergence

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


def test_value_of_two_groups_worked_out_by_hand():
    # group 1: p = 1/2, 1/2 and q = 3/4, 1/4 -> (log(2/3) + log 2) / 2; group 2: p = 3/4, 1/4 and q the same -> 0
    scores_QN = torch.tensor([[3.0, 1.0], [6.0, 2.0]]).log()
    teacher_QN = torch.tensor([[4.0, 4.0], [3.0, 1.0]]).log()
    expected = torch.tensor((math.log(2 / 3) + math.log(2)) / 2 / 2)
    torch.testing.assert_close(kl_divergence(scores_QN, teacher_QN), expected)


def test_a_temperature_softens_both_and_multiplies_with_its_square():
    # divided by 2, log 9 and log 1 are log 3 and log 1: q = 3/4, 1/4 against p = 1/2, 1/2
    scores_QN = torch.tensor([[9.0, 1.0]]).log()
    expected = torch.tensor(4 * (math.log(2 / 3) + math.log(2)) / 2)
    torch.testing.assert_close(kl_divergence(scores_QN, torch.zeros(1, 2), temperature=2.0), expected)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, SCORES, st.floats(-20, 20))
def test_a_shift_of_a_group_changes_nothing(scores: list[float], teacher: list[float], shift: float):
    scores_QN, teacher_QN = (torch.tensor([one], dtype=torch.float64) for one in (scores, teacher))
    shifted = kl_divergence(scores_QN + shift, teacher_QN - shift, 1.5)
    torch.testing.assert_close(shifted, kl_divergence(scores_QN, teacher_QN, 1.5), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_it_is_never_negative_and_nothing_for_the_teachers_own_scores(scores: list[float], teacher: list[float]):
    scores_QN, teacher_QN = (torch.tensor([one], dtype=torch.float64) for one in (scores, teacher))
    assert kl_divergence(scores_QN, teacher_QN).item() >= -1e-12
    assert abs(kl_divergence(teacher_QN, teacher_QN).item()) < 1e-12


def test_gradient_is_the_softmax_less_the_teachers():
    scores_QN = torch.tensor([[math.log(3.0), 0.0]], requires_grad=True)
    kl_divergence(scores_QN, torch.zeros(1, 2)).backward()
    torch.testing.assert_close(scores_QN.grad, torch.tensor([[0.25, -0.25]]))


def test_gradcheck_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    teacher_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda scores: kl_divergence(scores, teacher_QN, 2.0), scores_QN)
