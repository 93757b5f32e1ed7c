"""ListNet (Cao 2007): values worked out by hand, sentence-transformers' on the same scores, what must not change it."""

import math

import pytest
import torch
from helpers.library_losses import listwise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.common.errors import ExperimentError
from experiments.losses.kl_divergence import kl_divergence
from experiments.losses.lce import lce
from experiments.losses.listnet import listnet, top_one_cross_entropy

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)
E = math.e


def test_value_of_two_groups_worked_out_by_hand():
    # the positive's probability to be first is e / (e + 1) by the labels; by the scores 3/4 and 1/2
    scores_QN = torch.tensor([[3.0, 1.0], [5.0, 5.0]]).log()
    first = -(E * math.log(3 / 4) + math.log(1 / 4)) / (E + 1)
    assert listnet(scores_QN).item() == pytest.approx((first + math.log(2)) / 2)


def test_a_higher_grade_of_the_positive_asks_for_a_higher_probability():
    # labels log 7 and 0: 7/8 and 1/8
    scores_QN = torch.tensor([[3.0, 1.0]]).log()
    expected = -(7 * math.log(3 / 4) + math.log(1 / 4)) / 8
    assert listnet(scores_QN, grade=math.log(7)).item() == pytest.approx(expected)


def test_of_a_very_high_grade_it_is_lce():
    scores_QN = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(listnet(scores_QN, grade=60.0), lce(scores_QN))


def test_it_is_sentence_transformers_on_labels_1_and_0():
    scores_QN = torch.randn(6, 8, generator=torch.Generator().manual_seed(3)) * 3
    labels_QN = torch.tensor([[1.0] + [0.0] * 7] * 6)
    torch.testing.assert_close(listnet(scores_QN), listwise("ListNetLoss", scores_QN, labels_QN), atol=1e-6, rtol=1e-6)


def test_of_a_teachers_scores_it_is_kl_divergence_and_the_teachers_entropy():
    generator = torch.Generator().manual_seed(2)
    scores_QN, teacher_QN = torch.randn(2, 4, 5, dtype=torch.float64, generator=generator)
    entropy = -(teacher_QN.softmax(dim=1) * teacher_QN.log_softmax(dim=1)).sum(dim=1).mean()
    expected = kl_divergence(scores_QN, teacher_QN) + entropy
    torch.testing.assert_close(top_one_cross_entropy(scores_QN, teacher_QN), expected)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, st.floats(-20, 20))
def test_a_shift_of_a_group_changes_nothing(scores: list[float], shift: float):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    torch.testing.assert_close(listnet(scores_QN + shift), listnet(scores_QN), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(SCORES)
def test_nothing_costs_less_than_the_labels_themselves(scores: list[float]):
    scores_QN = torch.tensor([scores, [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    assert listnet(scores_QN[:1]) >= listnet(scores_QN[1:]) - 1e-12


def test_gradient_is_the_difference_of_the_two_probabilities():
    scores_QN = torch.tensor([[3.0, 1.0]]).log().requires_grad_()
    listnet(scores_QN, grade=math.log(7)).backward()
    torch.testing.assert_close(scores_QN.grad, torch.tensor([[3 / 4 - 7 / 8, 1 / 4 - 1 / 8]]))


@pytest.mark.parametrize("grade", [0.0, -1.0, math.nan])
def test_a_positive_without_a_grade_is_refused(grade: float):
    with pytest.raises(ExperimentError, match=r"loss\.fn\.grade is .*: it must be above 0, the label of the negatives"):
        listnet(torch.zeros(1, 2), grade=grade)


def test_gradcheck_in_double_precision():
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(listnet, scores_QN)
