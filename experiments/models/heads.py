"""Find and fold the head of a sequence classifier: the linear layer whose output is the logits.

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
    """Return the name of the linear layer that outputs a network's logits; None if there is none.

    Place and name differ between families (``classifier``, ``classifier.out_proj``, ``score``, ``logits_proj``), as do
    the modules after it. So every linear layer with that many outputs is watched during one forward pass.
    """
    labels, outputs = int(network.config.num_labels or 0), dict[str, Tensor]()

    def watched(name: str) -> Any:
        def keep(module: nn.Module, given: Any, output: Tensor) -> None:
            outputs[name] = output.detach()

        return keep

    linear = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(watched(name)) for name, layer in linear if layer.out_features == labels]
    try:
        logits_C = _logits(network)
    finally:
        for hook in hooks:
            hook.remove()
    rows = {name: output.reshape(-1, labels) for name, output in outputs.items()}
    matching = [name for name, rows_RC in rows.items() if (rows_RC == logits_C).all(dim=1).any()]
    return matching[-1] if matching else None


def check_foldable(network: PreTrainedModel, label: str) -> None:
    """Raise ExperimentError if a head of two classes cannot be folded into one logit for the export."""
    if int(network.config.num_labels or 0) > 1 and head_of(network) is None:
        raise ExperimentError(
            f"{label} is a {type(network).__name__}, whose two logits come from no linear layer and cannot be exported "
            f"as one score: choose a loss of one logit, such as loss=lce"
        )


@contextmanager
def one_logit(network: PreTrainedModel, rank_by: str) -> Iterator[None]:
    """Fold a head of two classes into the one logit that ranks, within the ``with`` block: the difference of its rows,
    or with ``positive_logit`` its second row.
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
    first = 1.0 if rank_by == "log_odds" else 0.0
    folded = nn.Linear(head.in_features, 1, bias=head.bias is not None, device=head.weight.device)
    with torch.no_grad():
        folded.weight.copy_(head.weight[1:] - first * head.weight[:1])
        if head.bias is not None:
            folded.bias.copy_(head.bias[1:] - first * head.bias[:1])
    setattr(parent, attribute, folded)
    network.config.num_labels = 1
    try:
        yield
    finally:
        setattr(parent, attribute, head)
        network.config.num_labels = labels


@torch.no_grad()
def _logits(network: PreTrainedModel) -> Tensor:
    """Return the (C,) logits of a short input without padding."""
    trained, device = network.training, network.device
    token = 1 if network.config.get_text_config().pad_token_id != 1 else 0
    ids = torch.full((1, 4), token, device=device)
    network.eval()
    try:
        logits_1C: Tensor = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    finally:
        network.train(trained)
    return logits_1C[0]
