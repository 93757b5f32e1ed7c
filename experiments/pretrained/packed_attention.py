"""Attend within each of the pairs that lie one after another in a row, by the projections of a BERT layer.

Neighbours of one length form a run, which needs no mask. That suits a CPU; a GPU takes all lengths in one call
(``jagged_attention``).

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

from experiments.common.transfer import moved_tensor
from experiments.pretrained.jagged_attention import Rows, takes_jagged


@dataclass(frozen=True)
class Packing:
    """How pairs lie one after another. ``lengths``: of each. ``first_B``: place of each pair's first token. ``jagged``:
    whether attention takes all of them in one call. ``compiled``: whether layers are compiled, where it does.
    """

    lengths: Sequence[int]
    first_B: Tensor
    jagged: bool
    compiled: bool = False

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device, *, compiled: bool = False) -> "Packing":
        """Return the packing of pairs of the given lengths, for the attention that suits the device."""
        lengths_B = moved_tensor(torch.tensor(lengths), device)
        return cls(lengths, lengths_B.cumsum(0) - lengths_B, takes_jagged(device), compiled)

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """The neighbours of one length: how many pairs, and the length."""
        return [(len(list(same)), length) for length, same in groupby(self.lengths)]

    @cached_property
    def rows(self) -> Rows:
        """Where the tokens of each pair lie."""
        offsets = torch.nn.functional.pad(self.first_B, (0, 1), value=sum(self.lengths))
        return Rows(offsets, min(self.lengths), max(self.lengths))

    @cached_property
    def first_rows(self) -> Rows:
        """Where the first token of each pair lies among these."""
        return Rows(torch.arange(len(self.lengths) + 1, device=self.first_B.device), 1, 1)


def attend(attention: Any, hidden_TD: Tensor, packing: Packing) -> Tensor:
    """Return the (T, D) attention of every token. ``attention``: the module with the projections, of transformers.

    Rows are divided by ``split``, whose gradient is one concatenation; each slice would have a gradient of T rows.
    """
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


def _by_head(weight_DD: Tensor, heads: int) -> Tensor:
    return weight_DD.view(heads, -1, weight_DD.shape[1])


def _offset(query_HBW: Tensor, projection: nn.Linear, heads: int) -> Tensor | None:
    """Return what the bias of the keys adds to the (B, H, 1) scores of a pair, which does not change its attention."""
    bias: Tensor | None = projection.bias
    return None if bias is None else torch.bmm(query_HBW, bias.view(heads, -1, 1)).transpose(0, 1)


def _dropout(attention: Any) -> float:
    return attention.dropout.p if attention.training else 0.0
