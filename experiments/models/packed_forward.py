"""Compute logits of pairs by two forward passes that agree to rounding, and hidden states of every layer by a padded
one (without padding: ``experiments.pretrained.packed_layers``).

``packed_logits`` computes no padding: pairs are concatenated in one long row, positions restart at each pair, and each
pair attends only to itself. The last layer computes only the first token of each pair, which the head reads, and no
keys or values. ``padded_logits`` works with any architecture: one call of the model.

Shapes: B pairs, T tokens of all pairs, L tokens of the longest pair, D hidden size, C logits of a pair.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import TokenBatch
from experiments.pretrained.packed_layers import (
    has_layers_of_bert,
    packed_last_states,
    recomputes,
    supports_packed_hidden_states,
)
from experiments.pretrained.padding import has_segments, pads_left

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def choose_layout(
    network: "PreTrainedModel", layout: str, device: str, *, head: bool = True, precision: str = "32-true"
) -> str:
    """Return ``packed``, ``compiled`` or ``padded``. ``auto`` packs where the architecture allows it: on a CPU, and in
    16 bits on a GPU with flash attention (compute capability 8.0).

    ``head``: whether logits are computed, rather than hidden states. ``precision``: as Lightning names it.

    Raises:
        ExperimentError: layers are to be compiled where they cannot be.
    """
    flashes = device != "cpu" and "16" in precision and has_flash_attention()
    if layout == "compiled" and not flashes:
        raise ExperimentError(
            "compute.layout=compiled is for a GPU with flash attention (compute capability 8.0) in 16 bits: set it to "
            "auto"
        )
    if layout != "auto":
        return layout
    exact = supports_packing if head else supports_packed_hidden_states
    return "packed" if (device == "cpu" or flashes) and exact(network) else "padded"


def has_flash_attention() -> bool:
    """Return whether the GPU of this process has flash attention for rows of different lengths."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)


def score_of(logits_BC: Tensor, rank_by: str = "log_odds") -> Tensor:
    """Return the (B,) fp32 scores of pairs: the single logit, or of two the log-odds (second minus first), or with
    ``positive_logit`` the second.
    """
    logits_BC = logits_BC.float()
    if logits_BC.shape[1] == 1:
        return logits_BC[:, 0]
    return logits_BC[:, 1] - logits_BC[:, 0] if rank_by == "log_odds" else logits_BC[:, 1]


def logits_of(network: "PreTrainedModel", tokens: TokenBatch, layout: str) -> Tensor:
    """Return the (B, C) fp32 logits of pairs by a ``packed``, ``compiled`` or ``padded`` pass."""
    if layout == "padded":
        return padded_logits(network, tokens)
    return packed_logits(network, tokens, compiled=layout == "compiled")


def supports_packing(network: "PreTrainedModel") -> bool:
    """Whether ``packed_logits`` is exact: a BERT, ELECTRA, RoBERTa, XLM-RoBERTa or CamemBERT sequence classifier of
    transformers, an encoder with at least one layer, without gradient checkpointing (it acts in the layers'
    ``forward``; recompute a whole pass around ``packed_logits`` instead).
    """
    return has_layers_of_bert(network, type(network), "ForSequenceClassification")


def read_by_packing(network: "PreTrainedModel") -> list[nn.Module]:
    """Return the layers whose weights ``packed_logits`` reads instead of calling them; none if it is not exact."""
    if not supports_packing(network):
        return []
    base: Any = network.base_model
    attention = base.encoder.layer[-1].attention.self
    return [attention.key, attention.value]


def packed_logits(network: "PreTrainedModel", tokens: TokenBatch, *, compiled: bool = False) -> Tensor:
    """Return the (B, C) fp32 logits of pairs, in their order, computed without padding.

    ``compiled``: by layers that ``torch.compile`` has compiled, on a GPU.

    Gradients flow, and dropout acts in training mode. On a CPU pairs sorted by length are fastest, as neighbours of one
    length share an attention call.

    Raises:
        ExperimentError: the model is not supported (see ``supports_packing``).
    """
    if not supports_packing(network):
        reason = " while gradient checkpointing is on" if recomputes(network) else ""
        raise ExperimentError(
            f"{type(network).__name__} cannot be computed without padding{reason}: set compute.layout=padded (or auto)"
        )
    base: Any = network.base_model
    first_B1D = packed_last_states(network, tokens, only_first=True, compiled=compiled)[:, None]
    pooler: nn.Module | None = getattr(base, "pooler", None)
    model: Any = network
    logits_BC: Tensor = model.classifier(first_B1D if pooler is None else model.dropout(pooler(first_B1D)))
    return logits_BC.float()


def padded_logits(network: "PreTrainedModel", tokens: TokenBatch) -> Tensor:
    """Return the (B, C) fp32 logits of pairs, in their order, from one call of the model on padded pairs.

    The padding is the config's ``pad_token_id``, by which a decoder's head finds the last token. Models with segments
    get segment ids.
    """
    logits_BC: Tensor = network(**_padded_inputs(network, tokens)).logits
    return logits_BC.float()


def padded_hidden_states(network: "PreTrainedModel", tokens: TokenBatch) -> Iterator[Tensor]:
    """Return the states of ``packed_hidden_states`` for any architecture: one call of the model without its head, all
    layers held at once.

    They equal ``output_hidden_states``: an architecture with a normalisation after its last layer, such as ModernBERT,
    normalises the last state only.

    Raises:
        ExperimentError: the architecture has a decoder in addition to its encoder.
    """
    if getattr(network.config, "is_encoder_decoder", False):
        raise ExperimentError(f"{type(network).__name__} has a decoder next to its encoder: give an encoder alone")
    inputs = _padded_inputs(network, tokens)
    hidden = network.base_model(**inputs, output_hidden_states=True).hidden_states
    own_BL = inputs["attention_mask"].bool()
    return (hidden_BLD[own_BL] for hidden_BLD in hidden)


def _padded_inputs(network: "PreTrainedModel", tokens: TokenBatch) -> dict[str, Tensor]:
    config, left = network.config.get_text_config(), pads_left(network)
    lengths_B = torch.tensor(tokens.lengths, device=tokens.input_ids_T.device)
    places_L = torch.arange(max(tokens.lengths), device=lengths_B.device)
    filler = config.pad_token_id if config.pad_token_id is not None else 0  # matters to a head only
    inputs = {
        "input_ids": _pad(tokens.input_ids_T, tokens.lengths, filler, left),
        "attention_mask": ((places_L.flip(0) if left else places_L) < lengths_B[:, None]).long(),
    }
    if has_segments(network):
        inputs["token_type_ids"] = _pad(tokens.token_type_ids_T, tokens.lengths, 0, left)
    return inputs


def _pad(values_T: Tensor, lengths: Sequence[int], filler: int, left: bool) -> Tensor:
    rows, side = list(torch.split(values_T, list(lengths))), "left" if left else "right"
    return pad_sequence(rows, batch_first=True, padding_value=filler, padding_side=side)
