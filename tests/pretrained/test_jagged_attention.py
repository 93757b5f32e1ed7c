"""A GPU computes all lengths in one call: here its calls are made without a GPU, for their shapes and for compiling.

Their numbers: see ``test_packed_forward``, on the CPU by nested tensors and on a GPU where there is one.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import ElectraConfig, ElectraForSequenceClassification, PreTrainedModel

from experiments.data.batches.pairs import TokenBatch
from experiments.models.packed_forward import packed_logits
from experiments.pretrained import jagged_attention, packed_attention, packed_layers


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    """An ELECTRA without values, whose attention is that of a GPU in 16 bits."""
    monkeypatch.setattr(packed_attention, "takes_jagged", lambda device: True)
    monkeypatch.setattr(jagged_attention, "_has_flash", lambda query_SHW: True)
    sizes = {"embedding_size": 16, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    with torch.device("meta"):
        return ElectraForSequenceClassification(ElectraConfig(**sizes, num_hidden_layers=4, num_labels=1)).train()


def pairs_of(*lengths: int) -> TokenBatch:
    ids_T = torch.zeros(sum(lengths), dtype=torch.int64, device="meta")
    return TokenBatch(ids_T, ids_T, lengths)


def test_flash_attention_of_all_lengths_has_a_gradient_for_every_weight(network: PreTrainedModel):
    logits_BC = packed_logits(network, pairs_of(9, 4, 17))
    assert logits_BC.shape == (3, 1)
    logits_BC.sum().backward()
    assert all(weight.grad is not None and weight.grad.shape == weight.shape for weight in network.parameters())


def test_layers_are_compiled_once_for_all_layers_and_lengths(network: PreTrainedModel, monkeypatch: pytest.MonkeyPatch):
    """One graph for the first layer, whose input needs no gradient of its own, one for the others, one for the last."""
    graphs: list[Any] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(packed_layers.encode_jagged, dynamic=True, fullgraph=True, backend=backend)
    monkeypatch.setattr(packed_layers, "compiled_layer", lambda: compiled)
    for lengths in ((9, 4, 17), (30, 2), (8, 8, 8, 21)):
        packed_logits(network, pairs_of(*lengths), compiled=True).sum().backward()
    assert len(graphs) <= 3
