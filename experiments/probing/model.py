"""Load and check the network to probe, from memory, a folder or a model hub, and compute the digest of its weights."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.common.errors import ExperimentError
from experiments.data.tokens import tokenizer_fingerprint
from experiments.pretrained.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Config keys that do not affect hidden states at inference and that differ between heads on the same weights.
_WITHOUT_EFFECT = {
    "architectures", "dtype", "torch_dtype", "id2label", "label2id", "num_labels", "problem_type",
    "transformers_version", "_name_or_path", "tie_word_embeddings", "output_hidden_states", "output_attentions",
    "return_dict", "use_cache", "sentence_transformers", "rerank_ablations",
}  # fmt: skip


@dataclass(frozen=True)
class ProbedModel:
    """A network with its tokenizer. ``name``: in messages. ``weights``: digest of what decides hidden states, the same
    in memory and once saved. ``tokens``: fingerprint of the tokenizer.
    """

    network: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    name: str
    weights: str
    tokens: str

    @property
    def layers(self) -> int:
        """Number of layers above the embeddings, which are layer 0."""
        return int(self.network.config.num_hidden_layers)

    def chosen(self, layers: str | int | Sequence[int]) -> tuple[int, ...]:
        """Return layer numbers, ascending; ``all``: 0 to the last.

        Raises:
            ExperimentError: no layer, or one that the network does not have.
        """
        if isinstance(layers, str):
            if layers != "all":
                raise ExperimentError(f"probe.layers is {layers!r}: give all, a number or a list of numbers")
            return tuple(range(self.layers + 1))
        wanted = (layers,) if isinstance(layers, int) else tuple(layers)
        if not wanted:
            raise ExperimentError("probe.layers is empty: give all, a number or a list of numbers")
        outside = [layer for layer in wanted if not 0 <= layer <= self.layers]
        if outside:
            raise ExperimentError(
                f"probe.layers has {outside[0]}, but {self.name!r} has {self.layers} layers: 0 (the embeddings) to "
                f"{self.layers}"
            )
        return tuple(sorted(set(wanted)))


def model_in_memory(network: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", name: str) -> ProbedModel:
    """Wrap a network, such as one just trained, without changing it; its head has no effect.

    Raises:
        ExperimentError: tokenizer and network do not belong together.
    """
    from experiments.pretrained.limits import SPARE_ROWS, check_vocabulary

    check_vocabulary(network, tokenizer, repr(name), spare=SPARE_ROWS)
    return ProbedModel(network, tokenizer, name, weights_digest(network), tokenizer_fingerprint(tokenizer))


def load_model(place: str, revision: str | None = None, name: str | None = None) -> ProbedModel:
    """Load the encoder of a folder or hub id in fp32, such as a job's ``model`` folder or a pretrained backbone.

    Raises:
        ExperimentError: loading fails, weights are missing, or tokenizer and network do not belong together.
    """
    from experiments.pretrained.encoder import load_encoder

    return model_in_memory(*load_encoder(Checkpoint(place, revision, "probe").as_source()), name or place)


def weights_digest(network: "PreTrainedModel") -> str:
    """Hash the weights and settings that affect hidden states, without heads and poolers, which may be random."""
    import torch

    from experiments.pretrained.weights import is_pooler

    whole = hashlib.blake2b(digest_size=16)
    config = network.config.to_dict()
    settings = {key: value for key, value in config.items() if key not in _WITHOUT_EFFECT and "drop" not in key}
    whole.update(json.dumps(settings, sort_keys=True, default=str).encode())
    state: dict[str, Any] = network.base_model.state_dict()
    for key in sorted(state):
        if not is_pooler(network, key):
            tensor = state[key].detach().cpu().contiguous()
            whole.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()
