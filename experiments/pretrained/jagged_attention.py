"""Attend within each of the pairs that lie one after another in a row, by one call of a kernel for all of them.

In 16 bits on a GPU that is flash attention for rows of different lengths; elsewhere, torch's jagged nested tensors.

Shapes: B pairs, T tokens of all pairs, S tokens that ask (T, or B if only first tokens do), D hidden size, H heads of W
values each (D = H W).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention


class Rows(NamedTuple):
    """Where rows of different lengths lie. ``offsets``: (B + 1,) the place of each one's first token, and the number of
    all tokens. ``shortest``, ``longest``: tokens of a row."""

    offsets: Tensor
    shortest: int
    longest: int


def takes_jagged(device: torch.device) -> bool:
    """Return whether a device has an attention kernel for rows of different lengths."""
    return device.type == "cuda"


def attend_jagged(attention: Any, hidden_TD: Tensor, asked: Rows, first: tuple[Tensor, Rows] | None = None) -> Tensor:
    """Return the (S, D) attention of tokens to the tokens of their pairs.

    ``attention``: the module with the projections, of transformers. ``asked``: where the T tokens of each pair lie.
    ``first``: the (S, D) states of the tokens that ask and where those of each pair lie; None if all tokens ask.
    """
    heads, rate = attention.num_attention_heads, attention.dropout.p if attention.training else 0.0
    if first is None:
        asking = asked
        query_SD, key_TD, value_TD = _projected(hidden_TD, attention.query, attention.key, attention.value)
    else:
        asking_SD, asking = first
        query_SD = attention.query(asking_SD)
        key_TD, value_TD = _projected(hidden_TD, attention.key, attention.value)
    query_SHW, key_THW, value_THW = (rows.view(len(rows), heads, -1) for rows in (query_SD, key_TD, value_TD))
    context = _flash if _has_flash(query_SHW) else _nested
    return context(query_SHW, asking, key_THW, value_THW, asked, rate).reshape(len(query_SD), -1)


def _projected(hidden_TD: Tensor, *projections: nn.Linear) -> tuple[Tensor, ...]:
    """Return the (T, D) outputs of projections of the same states by one product: to call a product may take the host
    of a GPU longer than the GPU to compute it.
    """
    if any(projection.bias is None for projection in projections):
        return tuple(projection(hidden_TD) for projection in projections)
    weight = torch.cat([projection.weight for projection in projections])
    bias = torch.cat([projection.bias for projection in projections])
    return linear(hidden_TD, weight, bias).chunk(len(projections), dim=1)


def _has_flash(query_SHW: Tensor) -> bool:
    """Return whether flash attention takes these: 16 bits on a GPU, heads of a multiple of eight values."""
    in_16_bits = query_SHW.dtype in (torch.bfloat16, torch.float16)
    return query_SHW.is_cuda and in_16_bits and query_SHW.shape[-1] % 8 == 0 and query_SHW.shape[-1] <= 256


def _flash(query_SHW: Tensor, asking: Rows, key_THW: Tensor, value_THW: Tensor, asked: Rows, rate: float) -> Tensor:
    """Call the kernel that nested tensors call, which has dropout, unlike ``torch.nn.attention.varlen``, without the
    many operations of Python by which they get there.
    """
    context_SHW: Tensor = torch.ops.aten._flash_attention_forward(
        query_SHW,
        key_THW,
        value_THW,
        asking.offsets.int(),
        asked.offsets.int(),
        asking.longest,
        asked.longest,
        rate,
        False,  # not causal
        False,  # no mask of the dropout
    )[0]
    return context_SHW


def _nested(query_SHW: Tensor, asking: Rows, key_THW: Tensor, value_THW: Tensor, asked: Rows, rate: float) -> Tensor:
    def by_head(values: Tensor, rows: Rows) -> Tensor:
        jagged = torch.nested.nested_tensor_from_jagged(
            values.contiguous(), rows.offsets, min_seqlen=rows.shortest, max_seqlen=rows.longest
        )
        return jagged.transpose(1, 2)

    query, key, value = by_head(query_SHW, asking), by_head(key_THW, asked), by_head(value_THW, asked)
    context_SHW: Tensor = scaled_dot_product_attention(query, key, value, dropout_p=rate).transpose(1, 2).values()
    return context_SHW
