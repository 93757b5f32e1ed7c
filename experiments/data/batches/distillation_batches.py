"""Batches for a dual encoder that learns from a cross-encoder: the texts that the one reads and the pairs that the
other reads, of the same groups.

Shapes: Q queries of a step, N passages a group (the positive at index 0), P distinct passages of a step, B texts of a
batch, T tokens of a batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.data.batches.groups import Groups
from experiments.data.batches.pair_batches import GroupBatch, PairBatcher
from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch, micro_batches
from experiments.data.batches.text_batches import TextBatcher, TextGroupBatch
from experiments.data.ragged import Ragged


@dataclass(frozen=True)
class SelfPairBatch:
    """Texts paired with themselves, in micro-batches. ``own_T``: of each, which tokens are the text's own in the first
    copy; ``own_counts``: how many of each text. ``place_P``: where each text, in the order of the micro-batches, stands
    among all.
    """

    micro_batches: tuple[TokenBatch, ...]
    own_T: tuple[Tensor, ...]
    own_counts: tuple[tuple[int, ...], ...]
    place_P: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "SelfPairBatch":
        """The same batch on a device."""
        return SelfPairBatch(
            tuple(one.to(device, non_blocking) for one in self.micro_batches),
            tuple(one.to(device, non_blocking=non_blocking) for one in self.own_T),
            self.own_counts,
            self.place_P.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class DistilBatch:
    """One step's groups, as an encoder of single texts reads them and as its teacher does. ``pairs``: what the teacher
    scores; ``alone``: the queries, then the P passages in the order of ``texts.passages``, each paired with itself.
    """

    texts: TextGroupBatch
    pairs: GroupBatch | None
    alone: SelfPairBatch | None

    @property
    def step(self) -> int:
        """The step's number."""
        return self.texts.step

    @property
    def shape_QN(self) -> tuple[int, int]:  # noqa: N802 - the suffix is the shape's
        """Groups and passages a group."""
        return self.texts.shape_QN

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DistilBatch":
        """The same batch on a device (Lightning calls this)."""
        return DistilBatch(
            self.texts.to(device, non_blocking),
            self.pairs.to(device, non_blocking) if self.pairs is not None else None,
            self.alone.to(device, non_blocking) if self.alone is not None else None,
        )


class SelfPairBatcher:
    """Pairs texts with themselves, as Ananthakrishnan et al. 2025 (arXiv 2502.03552) read a cross-encoder's layers:
    ``[CLS] text [SEP] text [SEP]``.

    ``queries``, ``passages``: ragged token ids without special tokens, by row. A copy has at most ``max_query_tokens``
    or ``max_passage_tokens`` tokens, and at most half of the ``positions`` of the model.
    """

    def __init__(
        self,
        template: PairTemplate,
        queries: Ragged,
        passages: Ragged,
        max_query_tokens: int,
        max_passage_tokens: int,
        positions: int,
        tokens_per_batch: int,
    ) -> None:
        room = (positions - template.extra) // 2
        limits = min(max_query_tokens, room), min(max_passage_tokens, room)
        self.queries, self.passages = (
            PairEncoder(template, some, some, limit, 2 * limit + template.extra)
            for some, limit in zip((queries, passages), limits, strict=True)
        )
        self.prefix, self.tokens_per_batch = len(template.prefix), tokens_per_batch

    def batch(self, queries: NDArray[np.int64], passages: NDArray[np.int64]) -> SelfPairBatch:
        """Queries, then passages, by row. A text without tokens is read off the special tokens before it ([CLS])."""
        kinds = [(self.queries, queries, 0), (self.passages, passages, len(queries))]
        joined: list[TokenBatch] = []
        own: list[Tensor] = []
        counts: list[tuple[int, ...]] = []
        places: list[NDArray[np.int64]] = []
        for encoder, rows, offset in kinds:
            for part in micro_batches(encoder.lengths(rows, rows), self.tokens_per_batch):
                joined.append(encoder.join(rows[part], rows[part]))
                mask_T, own_counts = self._own(encoder, rows[part], joined[-1].lengths)
                own.append(mask_T)
                counts.append(own_counts)
                places.append(part + offset)
        return SelfPairBatch(tuple(joined), tuple(own), tuple(counts), torch.from_numpy(np.concatenate(places)))

    def _own(
        self, encoder: PairEncoder, rows: NDArray[np.int64], lengths: tuple[int, ...]
    ) -> tuple[Tensor, tuple[int, ...]]:
        spans: list[int] = []
        counts: list[int] = []
        for row, length in zip(rows.tolist(), lengths, strict=True):
            own = min(len(encoder.queries[row]), encoder.max_query_tokens)
            before, count = (self.prefix, own) if own else (0, max(1, self.prefix))
            spans += [before, count, length - before - count]
            counts.append(count)
        mask = np.repeat(np.tile([False, True, False], len(counts)), spans)
        return torch.from_numpy(mask), tuple(counts)


@dataclass(frozen=True)
class DistilBatcher:
    """Gathers the texts of a step's groups, and what a teacher reads of them. ``pairs``: if its scores are learnt;
    ``alone``: if the vectors of one of its layers are.
    """

    texts: TextBatcher
    pairs: PairBatcher | None = None
    alone: SelfPairBatcher | None = None

    def batch(self, step: int, groups: Groups) -> DistilBatch:
        """The texts and the pairs of a step's groups."""
        texts = self.texts.batch(step, groups)
        alone = None
        if self.alone is not None:
            rows_P = np.empty(texts.relevant_QP.shape[1], np.int64)
            rows_P[texts.place_QN.numpy()] = groups.passages_QN
            alone = self.alone.batch(groups.queries_Q, rows_P)
        return DistilBatch(texts, self.pairs.batch(step, groups) if self.pairs is not None else None, alone)

    def tokens(self, groups: Groups) -> int:
        """Tokens that the dual encoder reads; what the teacher reads is no training of it."""
        return self.texts.tokens(groups)
