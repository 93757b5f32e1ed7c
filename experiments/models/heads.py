"""The head of a sequence classifier: the linear layer whose output is the logits, found by what it computes.

Shapes: C logits of a pair, D hidden size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from experiments.common.errors import ExperimentError


def head_of(network: PreTrainedModel) -> str | None:
    """The name of the linear layer that gives a network's logits; None if there is none.

    Its place and its name differ between families (``classifier``, ``classifier.out_proj``, ``score``,
    ``logits_proj``), and so does what stands behind it, so every linear layer of as many outputs is watched in one
    forward pass of a short input.
    """
    labels, outputs = int(network.config.num_labels or 0), dict[str, Tensor]()

    def watched(name: str) -> Any:
        def keep(module: nn.Module, given: Any, output: Tensor) -> None:
            outputs[name] = output.detach()

        return keep

    linear = [(name, one) for name, one in network.named_modules() if isinstance(one, nn.Linear)]
    hooks = [one.register_forward_hook(watched(name)) for name, one in linear if one.out_features == labels]
    try:
        logits_C = _logits(network)
    finally:
        for hook in hooks:
            hook.remove()
    rows = {name: output.reshape(-1, labels) for name, output in outputs.items()}
    giving = [name for name, rows_RC in rows.items() if (rows_RC == logits_C).all(dim=1).any()]
    return giving[-1] if giving else None


def check_foldable(network: PreTrainedModel, said: str) -> None:
    """Refuse a network of two classes whose head cannot be made one logit for the export.

    Raises:
        ExperimentError: the network has no linear layer that gives its logits.
    """
    if int(network.config.num_labels or 0) > 1 and head_of(network) is None:
        raise ExperimentError(
            f"{said} is a {type(network).__name__}, whose two logits come from no linear layer and cannot be exported "
            f"as one score: choose a loss of one logit, such as loss=lce"
        )


@contextmanager
def one_logit(network: PreTrainedModel, rank_by: str) -> Iterator[None]:
    """Fold a head of two classes into the one logit that ranks, for the duration of the body: its rows' difference, or
    with ``positive_logit`` its second row.
    """
    labels = int(network.config.num_labels or 0)
    if labels == 1:
        yield
        return
    name = head_of(network)
    assert name is not None  # see check_foldable
    head = network.get_submodule(name)
    assert isinstance(head, nn.Linear)
    parent, attribute = network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
    setattr(parent, attribute, _folded(head, rank_by))
    network.config.num_labels = 1
    try:
        yield
    finally:
        setattr(parent, attribute, head)
        network.config.num_labels = labels


def _folded(head: nn.Linear, rank_by: str) -> nn.Linear:
    first = 1.0 if rank_by == "log_odds" else 0.0
    folded = nn.Linear(head.in_features, 1, bias=head.bias is not None, device=head.weight.device)
    with torch.no_grad():
        folded.weight.copy_(head.weight[1:] - first * head.weight[:1])
        if head.bias is not None:
            folded.bias.copy_(head.bias[1:] - first * head.bias[:1])
    return folded


@torch.no_grad()
def _logits(network: PreTrainedModel) -> Tensor:
    """(C,) logits of a short input that is no padding."""
    trained, device = network.training, network.device
    token = 1 if network.config.get_text_config().pad_token_id != 1 else 0
    ids = torch.full((1, 4), token, device=device)
    network.eval()
    try:
        logits_1C: Tensor = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    finally:
        network.train(trained)
    return logits_1C[0]
