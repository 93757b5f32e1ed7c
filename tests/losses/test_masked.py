"""Passages of which a teacher says nothing: every loss that knows of them leaves them out, and their gradient is 0."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from experiments.losses.adr_mse import adr_mse
from experiments.losses.distill_ranknet import distill_ranknet
from experiments.losses.masked import masked_mean
from experiments.losses.mse import mse
from experiments.losses.p_listmle import p_listmle

LOSSES = (mse, distill_ranknet, adr_mse, p_listmle)
KNOWN = torch.tensor(
    [[True, True, True, True, True], [True, False, True, True, False], [False, True, True, False, False]]
)
Loss = Callable[..., Tensor]


def scores() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    scores_QN, teacher_QN = torch.randn(2, 3, 5, dtype=torch.float64, generator=generator)
    return scores_QN, teacher_QN


def test_each_query_weighs_the_same_and_one_without_any_counts_as_0():
    values = torch.tensor([[1.0, 2.0, 6.0], [4.0, 8.0, 8.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert masked_mean(values, mask).item() == pytest.approx((3 + 4 + 0) / 3)


@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_the_loss_of_the_passages_that_are_known(loss: Loss):
    scores_QN, teacher_QN = scores()
    alone = [loss(s[k][None], t[k][None]) for s, t, k in zip(scores_QN, teacher_QN, KNOWN, strict=True)]
    torch.testing.assert_close(loss(scores_QN, teacher_QN, mask_QN=KNOWN), torch.stack(alone).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_mask_of_everything_changes_nothing(loss: Loss):
    scores_QN, teacher_QN = scores()
    everything = torch.ones_like(KNOWN)
    torch.testing.assert_close(loss(scores_QN, teacher_QN, mask_QN=everything), loss(scores_QN, teacher_QN))


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_left_out_has_no_gradient_and_its_value_does_not_count(loss: Loss):
    scores_QN, teacher_QN = scores()
    scores_QN.requires_grad_()
    value = loss(scores_QN, teacher_QN, mask_QN=KNOWN)
    value.backward()
    assert scores_QN.grad is not None
    assert (scores_QN.grad[~KNOWN] == 0).all()
    elsewhere = loss(scores_QN.masked_fill(~KNOWN, 50.0), teacher_QN.masked_fill(~KNOWN, -50.0), mask_QN=KNOWN)
    torch.testing.assert_close(elsewhere, value)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_group_of_which_nothing_is_known_teaches_nothing(loss: Loss):
    scores_QN, teacher_QN = scores()
    scores_QN.requires_grad_()
    value = loss(scores_QN, teacher_QN, mask_QN=torch.zeros_like(KNOWN))
    value.backward()
    assert value.item() == 0
    assert scores_QN.grad is not None
    assert (scores_QN.grad == 0).all()
