"""DistillRankNET (RankGPT, Rank-DistiLLM): values worked out by hand, sentence-transformers' on the same scores."""

import math

import pytest
import torch
from helpers.library_losses import listwise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.losses.distill_ranknet import distill_ranknet
from experiments.losses.ranknet import ranknet

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)
SCORED = torch.tensor([[0.0, math.log(3), -math.log(7)]])


def test_value_of_a_group_worked_out_by_hand():
    # first before second: log(1 + 3); first before third: log(1 + 1/7); second before third: log(1 + 1/21)
    expected = (math.log(4) + math.log(8 / 7) + math.log(22 / 21)) / 3
    assert distill_ranknet(SCORED, torch.tensor([[9.0, 5.0, 1.0]])).item() == pytest.approx(expected)


def test_passages_that_the_teacher_scores_the_same_are_no_pair():
    expected = (math.log(8 / 7) + math.log(22 / 21)) / 2
    assert distill_ranknet(SCORED, torch.tensor([[9.0, 9.0, 1.0]])).item() == pytest.approx(expected)


def test_a_group_that_the_teacher_does_not_order_counts_as_0():
    both = distill_ranknet(SCORED.repeat(2, 1), torch.tensor([[9.0, 5.0, 1.0], [4.0, 4.0, 4.0]]))
    assert both.item() == pytest.approx(distill_ranknet(SCORED, torch.tensor([[9.0, 5.0, 1.0]])).item() / 2)


def test_a_passage_without_a_teachers_score_is_in_no_pair():
    mask_QN = torch.tensor([[True, False, True]])
    value = distill_ranknet(SCORED, torch.tensor([[9.0, 0.0, 1.0]]), mask_QN=mask_QN)
    assert value.item() == pytest.approx(math.log(8 / 7))


def test_a_sigma_multiplies_the_differences():
    wanted_QN = torch.tensor([[9.0, 5.0, 1.0]])
    torch.testing.assert_close(distill_ranknet(SCORED, wanted_QN, sigma=0.5), distill_ranknet(SCORED * 0.5, wanted_QN))


def test_of_the_labels_it_is_ranknet():
    scores_QN = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    labels_QN = torch.tensor([[1.0] + [0.0] * 7] * 5)
    torch.testing.assert_close(distill_ranknet(scores_QN, labels_QN), ranknet(scores_QN))


@pytest.mark.parametrize(("logarithm", "factor"), [("natural", 1.0), ("binary", 1 / math.log(2))])
def test_it_is_sentence_transformers_up_to_the_base_of_the_logarithm(logarithm: str, factor: float):
    generator = torch.Generator().manual_seed(3)
    scores_QN, teacher_QN = torch.randn(2, 6, 8, generator=generator) * 2
    theirs = listwise("RankNetLoss", scores_QN, teacher_QN, reduction_log=logarithm)
    torch.testing.assert_close(factor * distill_ranknet(scores_QN, teacher_QN), theirs, atol=1e-6, rtol=1e-6)


def test_theirs_is_the_mean_over_pairs_where_groups_have_unequally_many():
    # here each group weighs the same, there the first weighs three times as much
    scores_QN, teacher_QN = SCORED.repeat(2, 1), torch.tensor([[9.0, 5.0, 1.0], [9.0, 1.0, 1.0]])
    first, second = (distill_ranknet(SCORED, row[None]) for row in teacher_QN)
    torch.testing.assert_close(distill_ranknet(scores_QN, teacher_QN), (first + second) / 2)
    theirs = listwise("RankNetLoss", scores_QN, teacher_QN, reduction_log="natural")
    torch.testing.assert_close(theirs, (3 * first + 2 * second) / 5)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, SCORES, st.floats(-20, 20))
def test_a_shift_of_a_groups_scores_changes_nothing(scores: list[float], teacher: list[float], shift: float):
    scores_QN, teacher_QN = (torch.tensor([row], dtype=torch.float64) for row in (scores, teacher))
    shifted = distill_ranknet(scores_QN + shift, teacher_QN)
    torch.testing.assert_close(shifted, distill_ranknet(scores_QN, teacher_QN), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(SCORES, st.permutations(range(4)))
def test_of_the_teacher_only_the_order_counts(scores: list[float], order: list[int]):
    scores_QN, teacher_QN = torch.tensor([scores]), torch.tensor([order], dtype=torch.float32)
    assert distill_ranknet(scores_QN, teacher_QN) == distill_ranknet(scores_QN, 5 * teacher_QN.exp() - 100)


def test_gradient_worked_out_by_hand():
    scores_QN = torch.tensor([[0.0, math.log(3)]], requires_grad=True)
    distill_ranknet(scores_QN, torch.tensor([[2.0, 1.0]])).backward()
    torch.testing.assert_close(scores_QN.grad, torch.tensor([[-3 / 4, 3 / 4]]))  # sigmoid(log 3)


def test_gradcheck_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    teacher_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda scores: distill_ranknet(scores, teacher_QN), scores_QN)
