"""Compute the layers of BERT-like encoders without padding: texts lie one after another in one long row, positions
restart at each text, and each text attends only to itself.

The pass calls the model's own submodules, or multiplies by their weights, without changing the model. An attention
function registered with transformers would keep ``forward``, but could not skip the last layer's work, which is most of
the gain. Hooks on the model, on its whole layers and on the projections of an attention do not run.

Shapes: B texts (or pairs), T tokens of all of them, S rows of a layer's output (T, or B if only first tokens are
wanted), D hidden size.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from experiments.common.errors import ExperimentError
from experiments.pretrained.jagged_attention import Rows, attend_jagged
from experiments.pretrained.packed_attention import Packing, attend, attend_from
from experiments.pretrained.padding import has_segments

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Families that share BERT's layers. True: positions count from padding_idx + 1 (as in fairseq), not from 0.
_OFFSET_POSITIONS = {"bert": False, "electra": False, "roberta": True, "xlm-roberta": True, "camembert": True}


class PackedTokens(Protocol):
    """Concatenated texts. ``input_ids_T``, ``token_type_ids_T``: (T,) int64. ``lengths``: tokens of each text."""

    @property
    def input_ids_T(self) -> Tensor: ...  # noqa: N802 - the suffix is the shape's

    @property
    def token_type_ids_T(self) -> Tensor: ...  # noqa: N802 - the suffix is the shape's

    @property
    def lengths(self) -> Sequence[int]: ...


def supports_packed_hidden_states(network: "PreTrainedModel") -> bool:
    """Whether ``packed_hidden_states`` is exact: a BERT, ELECTRA, RoBERTa, XLM-RoBERTa or CamemBERT of transformers,
    with any head or none, an encoder with at least one layer, without gradient checkpointing.
    """
    return has_layers_of_bert(network, type(network.base_model), "Model")


def packed_hidden_states(
    network: "PreTrainedModel", tokens: PackedTokens, *, compiled: bool = False
) -> Iterator[Tensor]:
    """Yield the (T, D) hidden states of the embeddings, then of layer 1, 2 ..., as ``output_hidden_states`` numbers
    them, computed on demand without padding.

    A caller that stops at a layer computes no further one. Gradients flow. Batches sorted by length are fastest.

    Raises:
        ExperimentError: the model is not supported (see ``supports_packed_hidden_states``).
    """
    if not supports_packed_hidden_states(network):
        raise ExperimentError(
            f"the layers of {type(network).__name__} cannot be computed without padding: use padded hidden states"
        )
    return _packed_layers(network, tokens, compiled)


def _packed_layers(network: "PreTrainedModel", tokens: PackedTokens, compiled: bool) -> Iterator[Tensor]:
    base: Any = network.base_model
    hidden_TD, packing = _begin(network, tokens, compiled=compiled)
    yield hidden_TD
    for layer in base.encoder.layer:
        hidden_TD = _encode(layer, hidden_TD, packing)
        yield hidden_TD


def packed_last_states(
    network: "PreTrainedModel", tokens: PackedTokens, *, only_first: bool = False, compiled: bool = False
) -> Tensor:
    """Return the (T, D) states of the last layer; with ``only_first``, (B, D) that of each text's first token, for
    which the last layer computes no other. The caller knows that the network is supported.
    """
    base: Any = network.base_model
    hidden_TD, packing = _begin(network, tokens, compiled=compiled)
    *inner, last = base.encoder.layer
    for layer in inner:
        hidden_TD = _encode(layer, hidden_TD, packing)
    return _encode(last, hidden_TD, packing, only_first=only_first)


def has_layers_of_bert(network: "PreTrainedModel", kind: type, suffix: str) -> bool:
    """Return whether a network is an encoder with BERT's layers, without gradient checkpointing, which acts in the
    layers' ``forward``. ``kind``: the class of the network or its base, of transformers, named with the ``suffix``.
    """
    config = network.config
    return (
        kind.__module__.startswith("transformers.models.")
        and kind.__name__.endswith(suffix)
        and config.model_type in _OFFSET_POSITIONS
        and config.num_hidden_layers > 0
        and not config.is_decoder
        and not recomputes(network)
    )


def recomputes(network: nn.Module) -> bool:
    """Return whether gradient checkpointing is on."""
    return any(getattr(module, "gradient_checkpointing", False) for module in network.modules())


def _begin(network: "PreTrainedModel", tokens: PackedTokens, *, compiled: bool) -> tuple[Tensor, Packing]:
    """Return the (T, D) embeddings, and how the pairs lie in them."""
    packing = Packing.of(tokens.lengths, tokens.input_ids_T.device, compiled=compiled)
    lengths_B = packing.rows.offsets.diff()
    start_T = packing.first_B.repeat_interleave(lengths_B, output_size=sum(tokens.lengths))
    base: Any = network.base_model
    position_T = torch.arange(len(start_T), device=start_T.device) - start_T
    if _OFFSET_POSITIONS[network.config.model_type]:  # a padding token inside a text has no position
        padding = base.embeddings.padding_idx
        real_T = (tokens.input_ids_T != padding).long()
        before_T = real_T.cumsum(0) - real_T
        position_T = (before_T - before_T[start_T] + 1) * real_T + padding
    segments_1T = tokens.token_type_ids_T[None] if has_segments(network) else None
    embedded_1TE = base.embeddings(
        input_ids=tokens.input_ids_T[None], token_type_ids=segments_1T, position_ids=position_T[None]
    )
    if hasattr(base, "embeddings_project"):  # ELECTRA, whose embeddings may be narrower than its layers
        embedded_1TE = base.embeddings_project(embedded_1TE)
    return embedded_1TE[0], packing


def _encode(layer: Any, hidden_TD: Tensor, packing: Packing, *, only_first: bool = False) -> Tensor:
    """Return the (T, D) output of a layer; with ``only_first``, (B, D) that of the pairs' first tokens."""
    if packing.jagged:
        encode = compiled_layer() if packing.compiled else encode_jagged
        first = (packing.first_B, packing.first_rows) if only_first else None
        output_SD: Tensor = encode(layer, hidden_TD, packing.rows, first)
        return output_SD
    attention: Any = layer.attention.self
    if only_first:
        wanted_BD = hidden_TD.index_select(0, packing.first_B)
        return _after_attention(layer, attend_from(wanted_BD, attention, hidden_TD, packing), wanted_BD)
    return _after_attention(layer, attend(attention, hidden_TD, packing), hidden_TD)


def encode_jagged(layer: Any, hidden_TD: Tensor, rows: Rows, first: tuple[Tensor, Rows] | None) -> Tensor:
    """Return the (T, D) output of a layer, or the (B, D) output of the tokens ``first``, by one attention for all
    lengths.
    """
    if first is None:
        return _after_attention(layer, attend_jagged(layer.attention.self, hidden_TD, rows), hidden_TD)
    places, first_rows = first
    first_BD = hidden_TD.index_select(0, places)
    return _after_attention(
        layer, attend_jagged(layer.attention.self, hidden_TD, rows, (first_BD, first_rows)), first_BD
    )


@cache
def compiled_layer() -> Callable[..., Tensor]:
    """Return ``encode_jagged``, compiled once for all layers, numbers of tokens and lengths."""
    compiled: Callable[..., Tensor] = torch.compile(encode_jagged, dynamic=True)
    return compiled


def _after_attention(layer: Any, context_SD: Tensor, wanted_SD: Tensor) -> Tensor:
    attended_SD = layer.attention.output(context_SD, wanted_SD)
    output_SD: Tensor = layer.output(layer.intermediate(attended_SD), attended_SD)
    return output_SD
