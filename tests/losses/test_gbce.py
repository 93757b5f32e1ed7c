"""Generalised BCE (Petrov and Macdonald 2023): values worked out by hand, and its limits."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.common.errors import ExperimentError
from experiments.losses.bce import bce
from experiments.losses.gbce import gbce, power

SCORES = st.lists(st.floats(-20, 20), min_size=3, max_size=32)


def test_value_of_a_group_worked_out_by_hand():
    # 2 of 8 candidates: alpha 1/4, beta = 1/4 (1/2 (1 - 4) + 4) = 5/8
    # sigmoids: 3/4 of the positive, 1/2 and 1/4 of the negatives
    scores_QN = torch.tensor([[math.log(3.0), 0.0, -math.log(3.0)]])
    expected = -(5 / 8 * math.log(3 / 4) + math.log(1 / 2) + math.log(3 / 4)) / 3
    assert gbce(scores_QN, t=0.5, candidates=8).item() == pytest.approx(expected)


@pytest.mark.parametrize(("negatives", "candidates"), [(1, 1000), (7, 100), (31, 32)])
def test_the_power_is_that_of_the_papers_formula(negatives: int, candidates: int):
    alpha, t = negatives / candidates, 0.75
    assert power(negatives, t, candidates) == pytest.approx(alpha * (t * (1 - 1 / alpha) + 1 / alpha))


def test_t_of_one_makes_the_power_the_share_that_was_drawn():
    assert power(7, 1.0, 100) == pytest.approx(0.07)


@settings(deadline=None)  # the first call of torch is slow
@given(SCORES)
def test_t_of_zero_is_bce(scores: list[float]):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    torch.testing.assert_close(gbce(scores_QN, t=0.0, candidates=100), bce(scores_QN))


@settings(deadline=None)
@given(SCORES)
def test_all_candidates_drawn_is_bce(scores: list[float]):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    torch.testing.assert_close(gbce(scores_QN, candidates=len(scores) - 1), bce(scores_QN))


def test_more_negatives_than_candidates_count_as_all_of_them():
    assert power(31, 0.75, 20) == 1.0


@settings(deadline=None)
@given(SCORES, st.randoms())
def test_the_order_of_negatives_changes_nothing(scores: list[float], random):
    shuffled = random.sample(scores[1:], len(scores) - 1)
    first, second = (torch.tensor([one], dtype=torch.float64) for one in (scores, [scores[0], *shuffled]))
    torch.testing.assert_close(gbce(first), gbce(second))


def test_scores_far_out_stay_finite():
    scores_QN = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    loss = gbce(scores_QN, t=1.0, candidates=4)
    loss.backward()
    assert loss.item() == pytest.approx((1e4 / 4 + 1e4) / 2)
    assert scores_QN.grad is not None
    assert scores_QN.grad.tolist() == [[-0.125, 0.5]]


@pytest.mark.parametrize(
    ("change", "message"), [({"t": 1.5}, r"loss\.fn\.t is 1\.5"), ({"candidates": 0}, r"loss\.fn\.candidates is 0")]
)
def test_settings_out_of_range_are_named(change: dict[str, float], message: str):
    with pytest.raises(ExperimentError, match=message):
        gbce(torch.zeros(1, 2), **change)


def test_gradcheck_in_double_precision():
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(lambda scores: gbce(scores, candidates=20), scores_QN)
