"""The network whose layers are read: in memory, in a folder or on a model hub; checked, and known by its weights."""

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

# What of a config does not decide a hidden state at inference; the same weights have it otherwise under another head.
_NO_MATTER = {
    "architectures", "dtype", "torch_dtype", "id2label", "label2id", "num_labels", "problem_type",
    "transformers_version", "_name_or_path", "tie_word_embeddings", "output_hidden_states", "output_attentions",
    "return_dict", "use_cache", "sentence_transformers", "rerank_ablations",
}  # fmt: skip


@dataclass(frozen=True)
class ProbedModel:
    """A network with its tokenizer. ``name``: for people. ``weights``: the digest of what decides hidden states, the
    same for a network in memory and for the folder that it is saved to. ``tokens``: the tokenizer's fingerprint.
    """

    network: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    name: str
    weights: str
    tokens: str

    @property
    def layers(self) -> int:
        """How many layers it has above the embeddings, which are layer 0."""
        return int(self.network.config.num_hidden_layers)

    def chosen(self, layers: str | int | Sequence[int]) -> tuple[int, ...]:
        """Layers by number, ascending; ``all`` are 0, 1 .. up to the last.

        Raises:
            ExperimentError: none, or one that the network does not have.
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
    """A network as it stands, such as one just trained; its head does not matter. It is not changed.

    Raises:
        ExperimentError: tokenizer and network do not belong together.
    """
    from experiments.pretrained.limits import SPARE_ROWS, check_vocabulary

    check_vocabulary(network, tokenizer, repr(name), spare=SPARE_ROWS)
    return ProbedModel(network, tokenizer, name, weights_digest(network), tokenizer_fingerprint(tokenizer))


def load_model(place: str, revision: str | None = None, name: str | None = None) -> ProbedModel:
    """The encoder in a folder or of a hub id, in fp32: a job's ``model`` folder, a public cross-encoder, or a
    pretrained backbone as a control.

    Raises:
        ExperimentError: it cannot be loaded, it lacks weights of its layers, or tokenizer and network do not belong
        together.
    """
    from experiments.pretrained.encoder import load_encoder

    return model_in_memory(*load_encoder(Checkpoint(place, revision, "probe").as_source()), name or place)


def weights_digest(network: "PreTrainedModel") -> str:
    """The digest of all weights of the encoder and of the settings that decide its hidden states. A head, and a pooler,
    which is one, are left out: an encoder loaded without its own draws another each time.
    """
    import torch

    from experiments.pretrained.weights import is_pooler

    whole = hashlib.blake2b(digest_size=16)
    settings = {key: value for key, value in network.config.to_dict().items() if _decides(key)}
    whole.update(json.dumps(settings, sort_keys=True, default=str).encode())
    state: dict[str, Any] = network.base_model.state_dict()
    for key in sorted(state):
        if not is_pooler(network, key):
            tensor = state[key].detach().cpu().contiguous()
            whole.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def _decides(key: str) -> bool:
    return key not in _NO_MATTER and "drop" not in key
