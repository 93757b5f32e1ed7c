"""ADR-MSE (Schlatt 2025): values worked out by hand, others' code on the same scores, what must not change it."""

import math

import pytest
import torch
from helpers.library_losses import listwise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from experiments.losses.adr_mse import adr_mse, approximate_ranks, mean_ranks

SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)
WHOLE = torch.ones(1, 3, dtype=torch.bool)
L3 = math.log2(3)


def test_approximate_ranks_worked_out_by_hand():
    # sigmoid(log 3) = 3/4: 1 + 3/4 + 1/2, 1 + 1/4 + 1/4, 1 + 1/2 + 3/4
    ranks_QN = approximate_ranks(torch.tensor([[0.0, math.log(3), 0.0]]), WHOLE, temperature=1.0)
    torch.testing.assert_close(ranks_QN, torch.tensor([[2.25, 1.5, 2.25]]))


def test_at_a_low_temperature_they_are_the_ranks():
    ranks_QN = approximate_ranks(torch.tensor([[0.5, 2.0, -1.0]]), WHOLE, temperature=0.01)
    torch.testing.assert_close(ranks_QN, torch.tensor([[2.0, 1.0, 3.0]]))


def test_passages_that_the_teacher_scores_the_same_share_the_mean_of_their_ranks():
    assert mean_ranks(torch.tensor([[5.0, 9.0, 5.0]]), WHOLE).tolist() == [[2.5, 1.0, 2.5]]


def test_value_of_a_group_worked_out_by_hand():
    # ranks 1 and 2, approximated as 1 + 3/4 and 1 + 1/4; the discounts are 1 and 1 / log2 3
    value = adr_mse(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[5.0, 1.0]]))
    assert value.item() == pytest.approx((0.75**2 + 0.75**2 / L3) / 2)


def test_a_temperature_divides_the_differences():
    halved = adr_mse(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[5.0, 1.0]]), temperature=2.0)
    assert halved == adr_mse(torch.tensor([[0.0, math.log(3) / 2]]), torch.tensor([[5.0, 1.0]]))


def test_equal_scores_cost_nothing_where_the_teachers_are_equal():
    assert adr_mse(torch.tensor([[3.0, 3.0, 3.0]]), torch.tensor([[7.0, 7.0, 7.0]])).item() == 0


def test_a_passage_without_a_teachers_score_has_no_rank_and_moves_none():
    mask_QN = torch.tensor([[True, False, True]])
    value = adr_mse(torch.tensor([[0.0, 9.0, math.log(3)]]), torch.tensor([[5.0, 0.0, 1.0]]), mask_QN=mask_QN)
    assert value.item() == pytest.approx((0.75**2 + 0.75**2 / L3) / 2)


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_it_is_sentence_transformers_with_ties_too(temperature: float):
    generator = torch.Generator().manual_seed(3)
    scores_QN = torch.randn(6, 8, generator=generator) * 2
    teacher_QN = torch.randint(0, 5, (6, 8), generator=generator).float()
    theirs = listwise("ADRMSELoss", scores_QN, teacher_QN, alpha=1 / temperature)
    torch.testing.assert_close(adr_mse(scores_QN, teacher_QN, temperature), theirs, atol=1e-6, rtol=1e-6)


def authors_loss(scores_QN: Tensor, teacher_QN: Tensor) -> Tensor:
    """The formula of the authors' code, for teachers without ties: ranks by sorting twice, mean over everything."""
    ranks_QN = teacher_QN.argsort(descending=True).argsort() + 1
    passages = scores_QN.shape[1]
    others = [[1 + sum(torch.sigmoid(s[j] - s[i]) for j in range(passages) if j != i) for i in range(passages)]
              for s in scores_QN]  # fmt: skip
    return ((torch.tensor(others) - ranks_QN) ** 2 / torch.log2(ranks_QN + 1)).mean()


def test_it_is_the_authors_formula():
    generator = torch.Generator().manual_seed(4)
    scores_QN, teacher_QN = torch.randn(2, 3, 5, generator=generator)
    torch.testing.assert_close(adr_mse(scores_QN, teacher_QN), authors_loss(scores_QN, teacher_QN))


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, SCORES, st.floats(-20, 20))
def test_a_shift_of_a_groups_scores_changes_nothing(scores: list[float], teacher: list[float], shift: float):
    scores_QN, teacher_QN = (torch.tensor([row], dtype=torch.float64) for row in (scores, teacher))
    shifted = adr_mse(scores_QN + shift, teacher_QN)
    torch.testing.assert_close(shifted, adr_mse(scores_QN, teacher_QN), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(SCORES, st.permutations(range(4)), st.permutations(range(4)))
def test_the_order_of_the_passages_changes_nothing(scores: list[float], teacher: list[int], order: list[int]):
    scores_QN, teacher_QN = (torch.tensor([row], dtype=torch.float64) for row in (scores, teacher))
    torch.testing.assert_close(adr_mse(scores_QN[:, order], teacher_QN[:, order]), adr_mse(scores_QN, teacher_QN))


def test_gradcheck_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    teacher_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda scores: adr_mse(scores, teacher_QN), scores_QN)
