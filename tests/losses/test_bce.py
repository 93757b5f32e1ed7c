"""BCE over groups: values worked out by hand, its weights, and the two-class form of the papers' code."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy

from experiments.losses.bce import bce
from experiments.models.cross_encoder.lightning_module import score_of


def test_value_of_a_group_worked_out_by_hand():
    # sigmoid(log 3) = 3/4 for the positive, sigmoid(log 1) = 1/2 and sigmoid(-log 3) = 1/4 for the negatives
    scores_QN = torch.tensor([[math.log(3.0), 0.0, -math.log(3.0)]])
    expected = -(math.log(3 / 4) + math.log(1 / 2) + math.log(3 / 4)) / 3
    assert bce(scores_QN).item() == pytest.approx(expected)


def test_equal_scores_of_zero_give_log_two():
    assert bce(torch.zeros(4, 8)).item() == pytest.approx(math.log(2))


def test_positive_weight_multiplies_the_positive_term_only():
    scores_QN = torch.tensor([[0.0, math.log(3.0)]])  # terms: log 2 and log 4
    assert bce(scores_QN, pos_weight=3.0).item() == pytest.approx((3 * math.log(2) + math.log(4)) / 2)


def test_balance_weighs_the_positive_as_much_as_all_negatives():
    scores_QN = torch.tensor([[0.3, -0.2, 0.9, 0.1]])
    torch.testing.assert_close(bce(scores_QN, pos_weight="balance"), bce(scores_QN, pos_weight=3.0))


def test_a_shift_changes_it_unlike_lce():
    scores_QN = torch.tensor([[1.0, 0.0]])
    assert abs(bce(scores_QN + 1.0).item() - bce(scores_QN).item()) > 0.05


def test_two_class_softmax_is_bce_on_the_difference_of_the_logits():
    logits_BC = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels_B = torch.tensor([1, 0, 0, 0, 1, 0, 0, 0])
    scores_QN = (logits_BC[:, 1] - logits_BC[:, 0]).view(2, 4)
    torch.testing.assert_close(bce(scores_QN), cross_entropy(logits_BC, labels_B))


def test_score_of_two_classes_is_the_log_odds_or_the_positive_logit():
    logits_BC = torch.tensor([[1.0, 4.0]])
    assert score_of(logits_BC).tolist() == [3.0]
    assert score_of(logits_BC, "positive_logit").tolist() == [4.0]


def test_gradcheck_in_double_precision():
    scores_QN = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(lambda scores: bce(scores, pos_weight=2.0), scores_QN)
