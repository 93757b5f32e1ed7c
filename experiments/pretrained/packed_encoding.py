"""Let a model of sentence-transformers encode texts without padding: tokens lie one after another in one long row.

The library does the same for flash attention on a GPU ("flattened inputs"), so its poolings read such rows already.
Here its ``Transformer`` is made to hand them on from a packed pass; tokens, prompts, truncation and everything behind
the network stay the library's.

Shapes: B texts, L tokens of the longest, T tokens of all texts, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from experiments.pretrained.packed_layers import packed_last_states, supports_packed_hidden_states

Features = dict[str, Any]
EXPANSION = "query_expansion_positions"  # the library's name for tokens that were added to a query


@dataclass(frozen=True)
class Tokens:
    """Texts one after another, as ``packed_layers.PackedTokens``."""

    input_ids_T: Tensor
    token_type_ids_T: Tensor
    lengths: Sequence[int]


def pack(model: Any, *, training: bool = False) -> bool:
    """Let a loaded ``SentenceTransformer`` or ``MultiVectorEncoder`` compute without padding, if that is exact; return
    whether it does. Vectors agree with the padded ones to rounding. ``training``: in training mode too, where dropout
    then draws other random numbers.
    """
    if not supports_packed_encoding(model):
        return False
    transformer, padded = model[0], model[0].forward
    transformer.forward = partial(
        _forward, transformer, padded, training=training, only_first=_reads_first_token(model)
    )
    return True


def supports_packed_encoding(model: Any) -> bool:
    """Return whether a model is the library's ``Transformer`` on a network that can be packed, followed by modules
    that read each token by itself, or poolings of all tokens (with the prompt's).
    """
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer, *after = model
    if type(transformer) is not Transformer or transformer.backend != "torch" or transformer.can_flatten_inputs:
        return False
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    if transformer.modality_config != {"text": text} or transformer.module_output_name != "token_embeddings":
        return False
    if any(type(module) not in (Dense, MultiVectorMask, Normalize, Pooling) for module in after):
        return False
    if any(type(module) is Pooling and not module.include_prompt for module in after):
        return False
    network = transformer.model
    return supports_packed_hidden_states(network) and not network.config.output_hidden_states


def _reads_first_token(model: Any) -> bool:
    """Return whether the network's states are read by a pooling of first tokens alone."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    _, *after = model
    return bool(after) and type(after[0]) is Pooling and after[0].pooling_mode == "cls"


def _forward(
    transformer: Any, padded: Any, features: Features, *, training: bool, only_first: bool, **kwargs: Any
) -> Features:
    """Return the features with the (1, T, D) states of the last layer, and where the texts begin in them.

    Outside of a training texts are computed sorted by length, as neighbours of one length share an attention call; and
    with ``only_first`` their first tokens alone, as if each text had one.
    """
    mask_BL = features["attention_mask"]
    lengths_B = mask_BL.sum(1)
    if (transformer.training and not training) or _has_unattended(features) or bool((lengths_B == 0).any()):
        result: Features = padded(features, **kwargs)
        return result
    order_B = torch.argsort(lengths_B, descending=True, stable=True)
    sort = not transformer.training and not torch.equal(order_B, torch.arange(len(order_B), device=order_B.device))
    ids_T, segments_T = _rows(features, order_B if sort else None)
    lengths = lengths_B[order_B] if sort else lengths_B
    only_first = only_first and not transformer.training
    tokens = Tokens(ids_T, segments_T, tuple(lengths.tolist()))
    states_SD = packed_last_states(transformer.model, tokens, only_first=only_first)
    if only_first:
        lengths_B = torch.ones_like(lengths_B)
    if sort:
        back_B = torch.argsort(order_B)
        parts = torch.split(states_SD, [1] * len(lengths) if only_first else list(tokens.lengths))
        states_SD = torch.cat([parts[place] for place in back_B.tolist()])
    kept = {key: value for key, value in features.items() if key not in ("attention_mask", "token_type_ids", EXPANSION)}
    bounds = torch.nn.functional.pad(lengths_B.cumsum(0), (1, 0))
    ids_1T = features["input_ids"][mask_BL.bool()][None]
    return {**kept, "input_ids": ids_1T, "token_embeddings": states_SD[None], "cu_seq_lens_q": bounds}


def _has_unattended(features: Features) -> bool:
    """Return whether a query has expansion tokens that read the others without being read."""
    added_BL = features.get(EXPANSION)
    return added_BL is not None and bool((added_BL.bool() & (features["attention_mask"] == 0)).any())


def _rows(features: Features, order_B: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return token ids (T,) and segments (T,) without padding, text by text in an order."""
    ids_BL, mask_BL = features["input_ids"], features["attention_mask"].bool()
    segments_BL = features.get("token_type_ids", torch.zeros_like(ids_BL))
    if order_B is not None:
        ids_BL, mask_BL, segments_BL = ids_BL[order_B], mask_BL[order_B], segments_BL[order_B]
    return ids_BL[mask_BL], segments_BL[mask_BL]
