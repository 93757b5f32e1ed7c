"""Each file of conf/loss, as the config makes it: it is a scalar of any group size, and training on it ranks."""

import inspect
from collections.abc import Callable

import pytest
import torch
from helpers.jobs import ROOT, composed
from torch import Tensor

from experiments.config import compose
from experiments.jobs.components import make_components

NAMES = sorted(file.stem for file in (ROOT / "conf" / "loss").glob("*.yaml"))
WANTED_QN = torch.tensor([[4.0, 0.0, -1.0, 1.0], [6.0, 2.0, 3.0, 1.0]])  # a teacher's scores


@pytest.fixture(scope="module", params=NAMES)
def loss(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    """The loss of some scores, of a teacher's if it compares with one (its groups from ``first`` on), and of labels if
    it reads them.
    """
    made = make_components(compose.check(composed(f"loss={request.param}"))).loss
    taken = inspect.signature(made).parameters

    def called(scores_QN: Tensor, first: int = 0) -> Tensor:
        given = {}
        if "teacher_QN" in taken:
            given["teacher_QN"] = WANTED_QN[first:][: len(scores_QN), : scores_QN.shape[1]]
        if "labels_QN" in taken:
            given["labels_QN"] = torch.zeros_like(scores_QN).index_fill(1, torch.tensor([0]), 1.0)
        return made(scores_QN, **given)

    return called


def test_descending_it_brings_the_positive_to_the_top(loss: Callable[..., Tensor]):
    scores_QN = torch.tensor([[0.0, 1.0, 0.5, -1.0], [-1.0, 0.0, 2.0, 0.5]], requires_grad=True)
    first = loss(scores_QN).item()
    for _ in range(50):
        (slope_QN,) = torch.autograd.grad(loss(scores_QN), scores_QN)
        scores_QN = (scores_QN - slope_QN).detach().requires_grad_()
    assert loss(scores_QN).item() < first
    assert (scores_QN[:, :1] > scores_QN[:, 1:]).all()


def test_it_is_a_finite_scalar_of_one_negative_and_of_equal_scores(loss: Callable[..., Tensor]):
    value = loss(torch.zeros(1, 2))
    assert value.ndim == 0
    assert value.isfinite()


def test_the_loss_of_a_step_is_the_mean_of_its_groups(loss: Callable[..., Tensor]):
    # so that devices that share a step, each with some of its groups, have the gradient of the whole
    scores_QN = torch.tensor([[0.3, 1.0, 0.5, -1.0], [-1.0, 0.0, 2.0, 0.5]], dtype=torch.float64)
    alone = torch.stack([loss(scores_QN[:1]), loss(scores_QN[1:], first=1)])
    torch.testing.assert_close(loss(scores_QN), alone.mean(), check_dtype=False)


@pytest.mark.parametrize("scores", [[0.0] * 4, [-1e4, 1e4, 1e4, 0.0], [1e4, -1e4, -1e4, -1e4]])
def test_its_gradient_is_finite_for_equal_and_for_extreme_scores(loss: Callable[..., Tensor], scores: list[float]):
    scores_QN = torch.tensor([scores], requires_grad=True)
    (slope_QN,) = torch.autograd.grad(loss(scores_QN), scores_QN)
    assert slope_QN.isfinite().all()
