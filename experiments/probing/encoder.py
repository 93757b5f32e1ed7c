"""Embed texts with every layer and pooling in one forward pass. Shapes: B texts, T tokens of all, D dimensions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common.checks import at_least
from experiments.common.errors import ExperimentError
from experiments.common.packages import version
from experiments.data.ragged import Ragged
from experiments.models.packed_forward import padded_hidden_states
from experiments.pretrained.checkpoint import token_budget
from experiments.pretrained.packed_layers import packed_hidden_states, supports_packed_hidden_states
from experiments.probing.model import ProbedModel
from experiments.probing.pairing import pairing_of
from experiments.probing.pooling import bags_of, check_pooling, pool

Key = tuple[int, str]  # layer, pooling


class LayerEncoder:
    """A model's layers as embedders, on the network's device.

    See ``ProbedModel.chosen``, ``config.probe.POOLINGS`` and ``Pairing`` for the settings.

    Raises:
        ExperimentError: an unknown layer or pooling, or none; what ``pairing_of`` refuses.
    """

    def __init__(
        self,
        model: ProbedModel,
        *,
        layers: str | int | Sequence[int] = "all",
        poolings: Sequence[str] = ("mean",),
        pairing: str = "self",
        max_length: int = 256,
        tokens_per_batch: int | None = None,
    ) -> None:
        if not poolings:
            raise ExperimentError("probe.pooling is empty: name at least one, such as mean")
        at_least("probe.tokens_per_batch", tokens_per_batch, 1)
        self.model, self.network = model, model.network
        self.pairing = pairing_of(pairing, model.tokenizer, model.network, max_length)
        for pooling in poolings:
            check_pooling(pooling, pairing)
        self.layers, self.poolings = model.chosen(layers), tuple(dict.fromkeys(poolings))
        self.device = model.network.device
        self.tokens_per_batch = token_budget(tokens_per_batch, self.device)
        self._packed = self.device.type == "cpu" and supports_packed_hidden_states(model.network)

    @property
    def keys(self) -> list[Key]:
        """(layer, pooling) of every embedding of a text."""
        return [(layer, pooling) for layer in self.layers for pooling in self.poolings]

    def fingerprint(self) -> Mapping[str, Any]:
        """Return everything that decides the embeddings, as JSON."""
        return {
            "encoder": "probe 1",
            "weights": self.model.weights,
            "tokenizer": self.model.tokens,
            "pairing": self.pairing.kind,
            "max_length": self.pairing.max_length,
            "layers": list(self.layers),
            "poolings": list(self.poolings),
            "transformers": version("transformers"),
        }

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Switch dropout off while encoding; restore the network's mode afterwards."""
        before = self.network.training
        self.network.eval()
        try:
            yield
        finally:
            self.network.train(before)

    @torch.inference_mode()
    def encode(self, tokens: Ragged, rows: NDArray[np.int64]) -> dict[Key, NDArray[np.float32]]:
        """Embed rows of tokens: (B, D) for each layer and pooling. The network must be in evaluation mode."""
        batch, spans = self.pairing.join(tokens, rows)
        bags = {pooling: bags_of(pooling, spans).to(self.device) for pooling in self.poolings}
        hidden_states = packed_hidden_states if self._packed else padded_hidden_states
        vectors: dict[Key, NDArray[np.float32]] = {}
        for layer, hidden_TD in enumerate(hidden_states(self.network, batch.to(self.device))):
            if layer in self.layers:
                for pooling in self.poolings:
                    vectors[layer, pooling] = pool(hidden_TD, bags[pooling]).cpu().numpy()
            if layer == self.layers[-1]:
                break
        return vectors
