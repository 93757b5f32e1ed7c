"""LambdaLoss (Wang 2018): weights and values worked out by hand, and sentence-transformers' on the same scores."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from experiments.common.errors import ExperimentError
from experiments.losses.lambda_loss import SCHEMES, lambda_loss, ranks, weights

SCORES = st.lists(st.floats(-20, 20), min_size=3, max_size=32)
THIRD = 1 / math.log2(3)  # the discount at rank 2; at rank 1 it is 1, at rank 3 1/2
RANKED = [[2, 1, 3]]  # the positive second, a negative on either side


def test_ranks_are_those_of_the_scores_and_the_first_of_equal_ones_stands_before():
    assert ranks(torch.tensor([[0.5, 2.0, -1.0], [1.0, 1.0, 3.0]])).tolist() == [[2, 1, 3], [2, 3, 1]]


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("ndcg_loss2", [1 - THIRD, 1 - THIRD]),  # both one rank away: D(1) to D(2)
        ("lambda_rank", [1 - THIRD, THIRD - 0.5]),  # swapped with rank 1, with rank 3
        ("ndcg_loss2++", [(1 + 10) * (1 - THIRD), THIRD - 0.5 + 10 * (1 - THIRD)]),
    ],
)
def test_weights_worked_out_by_hand(scheme: str, expected: list[float]):
    torch.testing.assert_close(weights(torch.tensor(RANKED), scheme, mu=10.0), torch.tensor([expected]))


def test_a_negative_two_ranks_away_weighs_less_than_the_next():
    # D(2) to D(3): 1/log2(3) - 1/2
    found_QM = weights(torch.tensor([[1, 2, 3]]), "ndcg_loss2", mu=10.0)
    torch.testing.assert_close(found_QM, torch.tensor([[1 - THIRD, THIRD - 0.5]]))


def test_value_of_a_group_worked_out_by_hand():
    # -log2 sigmoid of the difference is log2(1 + 3) = 2 to the negative above and log2(1 + 1/7) to the one below
    scores_QN = torch.tensor([[0.0, math.log(3), -math.log(7)]])
    expected = (1 - THIRD) * (2 + math.log2(8 / 7))
    assert lambda_loss(scores_QN).item() == pytest.approx(expected)


def test_sum_over_negatives_and_mean_over_queries():
    one, other = torch.tensor([[0.0, 1.0, -1.0]]), torch.tensor([[2.0, 1.0, -1.0]])
    mean = (lambda_loss(one) + lambda_loss(other)) / 2
    torch.testing.assert_close(lambda_loss(torch.cat([one, other])), mean)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_sentence_transformers_times_the_negatives(scheme: str):
    scores_QN = torch.randn(6, 8, generator=torch.Generator().manual_seed(3)) * 2
    torch.testing.assert_close(lambda_loss(scores_QN, scheme=scheme), 7 * library_loss(scores_QN, scheme))


def library_loss(scores_QN: Tensor, scheme: str) -> Tensor:
    """Their loss of a model that gives just these scores."""
    from sentence_transformers.cross_encoder import losses

    schemes: dict[str, Any] = {
        "ndcg_loss2": losses.NDCGLoss2Scheme,
        "lambda_rank": losses.LambdaRankScheme,
        "ndcg_loss2++": losses.NDCGLoss2PPScheme,
    }

    class Scored(SimpleNamespace):
        def __call__(self, features: Any) -> dict[str, Tensor]:
            return {"scores": scores_QN.flatten()}

    model: Any = Scored(num_labels=1, device=torch.device("cpu"), preprocess=lambda pairs, **_: {})
    theirs = losses.LambdaLoss(model, weighting_scheme=schemes[scheme](), mini_batch_size=-1)
    queries, passages = scores_QN.shape
    labels = [torch.tensor([1.0] + [0.0] * (passages - 1))] * queries
    inputs: Any = (["query"] * queries, [["passage"] * passages] * queries)
    return theirs(inputs, labels)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)  # the first call of torch is slow
@given(SCORES, st.integers(-20, 20))
def test_a_shift_of_a_group_changes_nothing(scheme: str, scores: list[float], shift: int):
    scores_QN = torch.tensor([[round(one, 3) for one in scores]], dtype=torch.float64)  # so that no ranks are rounded
    shifted = lambda_loss(scores_QN + shift, scheme=scheme)
    torch.testing.assert_close(shifted, lambda_loss(scores_QN, scheme=scheme), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)
@given(SCORES, st.randoms())
def test_the_order_of_negatives_changes_nothing(scheme: str, scores: list[float], random):
    shuffled = random.sample(scores[1:], len(scores) - 1)
    first, second = (torch.tensor([one], dtype=torch.float64) for one in (scores, [scores[0], *shuffled]))
    torch.testing.assert_close(lambda_loss(first, scheme=scheme), lambda_loss(second, scheme=scheme))


def test_no_gradient_passes_through_the_ranks():
    scores_QN = torch.tensor([[0.0, math.log(3), -math.log(7)]], requires_grad=True)
    lambda_loss(scores_QN).backward()
    # each negative: weight / log 2 * sigmoid(negative - positive) = 3/4 and 1/8
    each = (1 - THIRD) / math.log(2)
    expected = torch.tensor([[-each * (3 / 4 + 1 / 8), each * 3 / 4, each / 8]])
    torch.testing.assert_close(scores_QN.grad, expected)


def test_an_unknown_scheme_is_named_with_those_there_are():
    with pytest.raises(ExperimentError, match=r"loss\.fn\.scheme is 'ndcg': it must be one of ndcg_loss2, lambda_rank"):
        lambda_loss(torch.zeros(1, 2), scheme="ndcg")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradcheck_in_double_precision(scheme: str):
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(lambda scores: lambda_loss(scores, scheme=scheme), scores_QN)
