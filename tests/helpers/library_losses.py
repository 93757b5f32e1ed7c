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
