"""Compute logits of pairs, and hidden states of every layer, by two forward passes that agree to rounding.

``packed_logits`` computes no padding: pairs are concatenated in one long row, positions restart at each pair, and each
pair attends only to itself. The last layer computes only the first token of each pair, which the head reads, and no
keys or values. ``padded_logits`` works with any architecture: one call of the model.

The packed pass calls the model's own submodules, without changing the model. An attention function registered with
transformers would keep ``forward``, but could not skip the last layer's work, which is most of the gain. Hooks on the
model and on its whole layers do not run.

Shapes: B pairs, T tokens of all pairs, S rows of a layer's output (T, or B if only first tokens are wanted), L tokens
of the longest pair, D hidden size, C logits of a pair.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import TokenBatch
from experiments.models.jagged_attention import Rows, attend_jagged
from experiments.models.packed_attention import Packing, attend, attend_from
from experiments.pretrained.padding import has_segments, pads_left

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Families that share BERT's layers. True: positions count from padding_idx + 1 (as in fairseq), not from 0.
_OFFSET_POSITIONS = {"bert": False, "electra": False, "roberta": True, "xlm-roberta": True, "camembert": True}


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
    return _has_layers_of_bert(network, type(network), "ForSequenceClassification")


def _has_layers_of_bert(network: "PreTrainedModel", kind: type, suffix: str) -> bool:
    """``kind``: the class of the network or its base, defined by transformers under a name with the ``suffix``."""
    config = network.config
    return (
        kind.__module__.startswith("transformers.models.")
        and kind.__name__.endswith(suffix)
        and config.model_type in _OFFSET_POSITIONS
        and config.num_hidden_layers > 0
        and not config.is_decoder
        and not _recomputes(network)
    )


def _recomputes(network: nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in network.modules())


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
        reason = " while gradient checkpointing is on" if _recomputes(network) else ""
        raise ExperimentError(
            f"{type(network).__name__} cannot be computed without padding{reason}: set compute.layout=padded (or auto)"
        )
    base: Any = network.base_model
    hidden_TD, packing = _begin(network, tokens, compiled=compiled)
    *inner, last = base.encoder.layer
    for layer in inner:
        hidden_TD = _encode(layer, hidden_TD, packing)
    first_B1D = _encode(last, hidden_TD, packing, only_first=True)[:, None]
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


def supports_packed_hidden_states(network: "PreTrainedModel") -> bool:
    """Whether ``packed_hidden_states`` is exact: as ``supports_packing``, with any head or none."""
    return _has_layers_of_bert(network, type(network.base_model), "Model")


def packed_hidden_states(network: "PreTrainedModel", tokens: TokenBatch, *, compiled: bool = False) -> Iterator[Tensor]:
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


def _packed_layers(network: "PreTrainedModel", tokens: TokenBatch, compiled: bool) -> Iterator[Tensor]:
    base: Any = network.base_model
    hidden_TD, packing = _begin(network, tokens, compiled=compiled)
    yield hidden_TD
    for layer in base.encoder.layer:
        hidden_TD = _encode(layer, hidden_TD, packing)
        yield hidden_TD


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


def _begin(network: "PreTrainedModel", tokens: TokenBatch, *, compiled: bool) -> tuple[Tensor, Packing]:
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
    asking_SD, asking = (hidden_TD, rows) if first is None else (hidden_TD.index_select(0, first[0]), first[1])
    return _after_attention(layer, attend_jagged(layer.attention.self, asking_SD, asking, hidden_TD, rows), asking_SD)


@cache
def compiled_layer() -> Callable[..., Tensor]:
    """Return ``encode_jagged``, compiled once for all layers, numbers of tokens and lengths."""
    compiled: Callable[..., Tensor] = torch.compile(encode_jagged, dynamic=True)
    return compiled


def _after_attention(layer: Any, context_SD: Tensor, wanted_SD: Tensor) -> Tensor:
    attended_SD = layer.attention.output(context_SD, wanted_SD)
    output_SD: Tensor = layer.output(layer.intermediate(attended_SD), attended_SD)
    return output_SD
