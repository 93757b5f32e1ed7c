"""Attend within each of the pairs that lie one after another in a row, by the projections of a BERT layer.

On a CPU neighbours of one length form a run, which needs no mask. On a GPU one call of an attention kernel for rows of
different lengths does all of them (torch's jagged nested tensors).

Shapes: B pairs, T tokens of all pairs, D hidden size, H heads of W values each (D = H W); of one run: P pairs, L tokens
of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, scaled_dot_product_attention


@dataclass(frozen=True)
class Packing:
    """How pairs lie one after another. ``lengths``: of each. ``first_B``: place of each pair's first token. ``jagged``:
    whether attention takes all of them in one call.
    """

    lengths: Sequence[int]
    first_B: Tensor
    jagged: bool

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> "Packing":
        """Return the packing of pairs of the given lengths, for the attention that suits the device."""
        lengths_B = torch.tensor(lengths, device=device)
        return cls(lengths, lengths_B.cumsum(0) - lengths_B, takes_jagged(device))

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """The neighbours of one length: how many pairs, and the length."""
        return [(len(list(same)), length) for length, same in groupby(self.lengths)]

    @cached_property
    def offsets(self) -> Tensor:
        """(B + 1,) the place of each pair's first token, and the number of all tokens."""
        return torch.nn.functional.pad(self.first_B, (0, 1), value=sum(self.lengths))


def takes_jagged(device: torch.device) -> bool:
    """Return whether a device has an attention kernel for rows of different lengths."""
    return device.type == "cuda"


def attend(attention: Any, hidden_TD: Tensor, packing: Packing) -> Tensor:
    """Return the (T, D) attention of every token. ``attention``: the module with the projections, of transformers.

    Rows are divided by ``split``, whose gradient is one concatenation; each slice would have a gradient of T rows.
    """
    if packing.jagged:
        return _attend_jagged(attention, hidden_TD, packing.offsets, max(packing.lengths), hidden_TD, packing)
    runs = packing.runs
    heads, spans = attention.num_attention_heads, [pairs * length for pairs, length in runs]
    projections = (attention.query, attention.key, attention.value)
    parts = (torch.split(projection(hidden_TD), spans) for projection in projections)
    contexts = []
    for (pairs, length), *rows in zip(runs, *parts, strict=True):
        query, key, value = (part.view(pairs, length, heads, -1).transpose(1, 2) for part in rows)
        context = scaled_dot_product_attention(query, key, value, dropout_p=_dropout(attention))
        contexts.append(context.transpose(1, 2).reshape(pairs * length, -1))
    return torch.cat(contexts)


def attend_from(wanted_BD: Tensor, attention: Any, hidden_TD: Tensor, packing: Packing) -> Tensor:
    """Return the (B, D) attention of one token of each pair to its pair. ``wanted_BD``: the hidden states of those.

    No key or value is computed, as the projections are applied on the side of the one token: for its query q, the
    scores are q . (W_k h + b_k) = (W_k^T q) . h + q . b_k, and the result of weights a is sum a (W_v h + b_v) =
    W_v sum a h + b_v sum a. That takes H D operations a token instead of D D.
    """
    if packing.jagged:  # where an operation costs less than its call
        each = torch.arange(len(wanted_BD) + 1, device=wanted_BD.device)
        return _attend_jagged(attention, wanted_BD, each, 1, hidden_TD, packing)
    runs, heads, rate = packing.runs, attention.num_attention_heads, _dropout(attention)
    width = wanted_BD.shape[1] // heads
    key_HWD, value_HWD = (_by_head(projection.weight, heads) for projection in (attention.key, attention.value))
    query_HBW = attention.query(wanted_BD).view(-1, heads, width).transpose(0, 1) * width**-0.5
    asking_BHD = torch.bmm(query_HBW, key_HWD).transpose(0, 1)
    spans, counts = [pairs * length for pairs, length in runs], [pairs for pairs, _ in runs]
    offset_BH1 = _offset(query_HBW, attention.key, heads)
    offsets = torch.split(offset_BH1, counts) if offset_BH1 is not None else [None] * len(runs)
    rows = zip(runs, torch.split(hidden_TD, spans), torch.split(asking_BHD, counts), offsets, strict=True)
    mixed, sums = [], []
    for (pairs, length), hidden, asking_PHD, offset_PH1 in rows:
        hidden_PLD = hidden.view(pairs, length, -1)
        scores_PHL = torch.bmm(asking_PHD, hidden_PLD.transpose(1, 2))
        if offset_PH1 is not None:
            scores_PHL = scores_PHL + offset_PH1
        weights_PHL = dropout(scores_PHL.softmax(-1), rate) if rate else scores_PHL.softmax(-1)
        mixed.append(torch.bmm(weights_PHL, hidden_PLD))
        sums.append(weights_PHL.sum(-1))
    context_HBW = torch.bmm(torch.cat(mixed).transpose(0, 1), value_HWD.transpose(1, 2))
    bias = attention.value.bias
    if bias is not None:
        context_HBW = context_HBW + torch.cat(sums).T[:, :, None] * bias.view(heads, 1, width)
    return context_HBW.transpose(0, 1).reshape(len(wanted_BD), -1)


def _attend_jagged(
    attention: Any, asking_SD: Tensor, offsets: Tensor, longest: int, hidden_TD: Tensor, packing: Packing
) -> Tensor:
    """Return the (S, D) attention of some tokens to the tokens of their pairs.

    ``offsets``: (B + 1,) where the tokens of each pair begin among the S. ``longest``: most of one pair.
    """

    def by_head(rows: Tensor, offsets: Tensor, shortest: int, longest: int) -> Tensor:
        rows = rows.view(len(rows), attention.num_attention_heads, -1)
        jagged = torch.nested.nested_tensor_from_jagged(rows, offsets, min_seqlen=shortest, max_seqlen=longest)
        return jagged.transpose(1, 2)

    bounds = (packing.offsets, min(packing.lengths), max(packing.lengths))
    query = by_head(attention.query(asking_SD), offsets, 1 if longest == 1 else bounds[1], longest)
    key, value = (by_head(projection(hidden_TD), *bounds) for projection in (attention.key, attention.value))
    context = scaled_dot_product_attention(query, key, value, dropout_p=_dropout(attention))
    context_SD: Tensor = context.transpose(1, 2).values().reshape(len(asking_SD), -1)
    return context_SD


def _by_head(weight_DD: Tensor, heads: int) -> Tensor:
    return weight_DD.view(heads, -1, weight_DD.shape[1])


def _offset(query_HBW: Tensor, projection: nn.Linear, heads: int) -> Tensor | None:
    """Return what the bias of the keys adds to the (B, H, 1) scores of a pair, which does not change its attention."""
    bias: Tensor | None = projection.bias
    return None if bias is None else torch.bmm(query_HBW, bias.view(heads, -1, 1)).transpose(0, 1)


def _dropout(attention: Any) -> float:
    return attention.dropout.p if attention.training else 0.0
