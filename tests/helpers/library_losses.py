"""Losses of sentence-transformers on given scores, without a model."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


def listwise(name: str, scores_QN: Tensor, labels_QN: Tensor, **settings: Any) -> Tensor:
    """Their loss of lists, such as ``ListNetLoss``, of a model that gives just these scores."""
    from sentence_transformers.cross_encoder import losses

    class Scored(SimpleNamespace):
        def __call__(self, features: Any) -> dict[str, Tensor]:
            return {"scores": scores_QN.flatten()}

    model: Any = Scored(num_labels=1, device=torch.device("cpu"), preprocess=lambda pairs, **_: {})
    queries, passages = scores_QN.shape
    inputs: Any = (["query"] * queries, [["passage"] * passages] * queries)
    return getattr(losses, name)(model, mini_batch_size=-1, **settings)(inputs, list(labels_QN))


def of_pairs(name: str, scores_QN: Tensor, teacher_QN: Tensor) -> Tensor:
    """Their ``MSELoss`` or ``MarginMSELoss`` of a model that gives just these scores."""
    from sentence_transformers.cross_encoder import losses

    kind: Any = getattr(losses, name)
    theirs = kind.__new__(kind)  # whose __init__ insists on a model of their class
    torch.nn.Module.__init__(theirs)
    theirs.activation_fn, theirs.loss_fct = torch.nn.Identity(), torch.nn.MSELoss()
    queries, passages = scores_QN.shape
    columns = (
        [scores_QN.flatten()] if name == "MSELoss" else list(scores_QN.T)
    )  # of a call each: a passage of each query
    given = iter(columns)

    class Scored(SimpleNamespace):
        def __call__(self, features: Any) -> dict[str, Tensor]:
            return {"scores": next(given)}

    theirs.model = Scored(device=torch.device("cpu"), preprocess=lambda pairs, **_: {})
    if name == "MSELoss":
        return theirs([["query"] * len(columns[0]), ["passage"] * len(columns[0])], teacher_QN.flatten())
    return theirs([["query"] * queries, *([["passage"] * queries] * passages)], teacher_QN)
