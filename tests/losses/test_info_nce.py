"""InfoNCE: values worked out by hand, several positives, and that it is LCE with one positive."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from experiments.common.errors import ExperimentError
from experiments.losses.info_nce import info_nce
from experiments.losses.lce import lce

SCORES = st.floats(-20, 20)


def test_one_positive_anywhere_worked_out_by_hand():
    # exp of the scores: 1, 2, 1 with the positive's 2 -> p = 2 / 4
    scores_QN, labels_QN = torch.tensor([[1.0, 2.0, 1.0]]).log(), torch.tensor([[0.0, 1.0, 0.0]])
    torch.testing.assert_close(info_nce(scores_QN, labels_QN), torch.tensor(math.log(2)))


def test_each_of_several_positives_competes_with_the_negatives_alone():
    # exp of the scores: positives 6 and 2, negatives 1 and 1: 6 / 8 and 2 / 4, whatever the other positive is
    scores_QN, labels_QN = torch.tensor([[6.0, 1.0, 2.0, 1.0]]).log(), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    wanted = (math.log(4 / 3) + math.log(2)) / 2
    torch.testing.assert_close(info_nce(scores_QN, labels_QN), torch.tensor(wanted))


def test_the_mean_is_over_positives_of_a_group_first_and_then_over_queries():
    scores_QN = torch.tensor([[6.0, 2.0, 2.0], [1.0, 3.0, 4.0]]).log()
    labels_QN = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    # group 1: 6 / 8 and 2 / 4; group 2: 1 / 8
    wanted = ((math.log(4 / 3) + math.log(2)) / 2 + math.log(8)) / 2
    torch.testing.assert_close(info_nce(scores_QN, labels_QN), torch.tensor(wanted))


def test_the_temperature_divides_the_scores():
    # exp(log 2 / .5) is 4: 4 of 4 + 1
    scores_QN, labels_QN = torch.tensor([[2.0, 1.0]]).log(), torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(info_nce(scores_QN, labels_QN, temperature=0.5), torch.tensor(math.log(5 / 4)))


@given(st.lists(SCORES, min_size=2, max_size=32))
def test_with_one_positive_at_temperature_one_it_is_lce(scores: list[float]):
    scores_QN = torch.tensor([scores], dtype=torch.float64)
    labels_QN = torch.zeros_like(scores_QN)
    labels_QN[:, 0] = 1.0
    torch.testing.assert_close(info_nce(scores_QN, labels_QN), lce(scores_QN), atol=1e-9, rtol=1e-9)


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=2, max_size=32), st.randoms())
def test_the_order_of_a_group_and_a_shift_change_nothing(group: list[tuple[float, bool]], random):
    shuffled = list(group)
    random.shuffle(shuffled)
    first, second = (
        info_nce(*(torch.tensor([column], dtype=torch.float64) for column in zip(*rows, strict=True)))
        for rows in (group, [(score + 3.0, positive) for score, positive in shuffled])
    )
    torch.testing.assert_close(first, second, atol=1e-9, rtol=1e-9)


def test_grades_count_as_positives_whatever_their_height():
    scores_QN = torch.tensor([[0.3, -1.0, 0.7]])
    graded, binary = (info_nce(scores_QN, torch.tensor([labels])) for labels in ([3.0, 0.0, 1.0], [1.0, 0.0, 1.0]))
    torch.testing.assert_close(graded, binary)


@pytest.mark.parametrize("labels", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_a_group_of_one_kind_adds_nothing_and_has_no_gradient(labels: list[float]):
    scores_QN = torch.tensor([[0.3, -1.0, 0.7]], requires_grad=True)
    loss = info_nce(scores_QN, torch.tensor([labels]))
    loss.backward()
    assert loss.item() == 0
    assert scores_QN.grad is not None
    assert scores_QN.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_gradcheck_in_double_precision():
    scores_QN = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels_QN = torch.tensor([[0.0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 2]])
    assert gradcheck(lambda scores: info_nce(scores, labels_QN, temperature=0.7), scores_QN)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_above_0_names_the_key(temperature: float):
    with pytest.raises(ExperimentError, match=r"loss\.fn\.temperature is .*: it must be above 0"):
        info_nce(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), temperature)
