"""Build batches for a dual encoder that learns from a cross-encoder: texts for the student, pairs for the teacher.

Shapes: Q queries, N passages a group (the positive at index 0), P distinct passages of a step, B texts, T tokens.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.data.batches.groups import DeviceBatch, Groups
from experiments.data.batches.pair_batches import GroupBatch, PairBatcher
from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch, micro_batches
from experiments.data.batches.text_batches import TextBatcher, TextGroupBatch
from experiments.data.ragged import Ragged


@dataclass(frozen=True)
class SelfPairBatch(DeviceBatch):
    """Texts paired with themselves, in micro-batches. ``own_T``: mask of the first copy's tokens, one a micro-batch;
    ``own_counts``: tokens of each text. ``place_P``: index of each text among all, in micro-batch order.
    """

    micro_batches: tuple[TokenBatch, ...]
    own_T: tuple[Tensor, ...]
    own_counts: tuple[tuple[int, ...], ...]
    place_P: Tensor


@dataclass(frozen=True)
class DistilBatch(DeviceBatch):
    """One step's groups. Of one rank: ``pairs``: the teacher's; ``alone``: self-pairs of the queries, then of
    ``texts.passages`` in order.
    """

    texts: TextGroupBatch
    pairs: GroupBatch | None
    alone: SelfPairBatch | None

    @property
    def step(self) -> int:
        return self.texts.step


class SelfPairBatcher:
    """Pair texts with themselves to read a cross-encoder's layers: ``[CLS] text [SEP] text [SEP]`` (arXiv 2502.03552).

    ``queries``, ``passages``: ragged token ids without special tokens, by row. A copy has at most ``max_query_tokens``
    or ``max_passage_tokens`` tokens, and at most half of the model's ``positions``.
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
        self.queries, self.passages = (
            PairEncoder(template, tokens, tokens, limit, 2 * limit + template.extra)
            for tokens, limit in ((queries, min(max_query_tokens, room)), (passages, min(max_passage_tokens, room)))
        )
        self.prefix, self.tokens_per_batch = len(template.prefix), tokens_per_batch

    def batch(self, queries: NDArray[np.int64], passages: NDArray[np.int64]) -> SelfPairBatch:
        """Pair queries, then passages, by row. An empty text is read off the special tokens before it ([CLS])."""
        batches: list[tuple[TokenBatch, Tensor, tuple[int, ...], NDArray[np.int64]]] = []
        for encoder, rows, offset in ((self.queries, queries, 0), (self.passages, passages, len(queries))):
            for part in micro_batches(encoder.lengths(rows, rows), self.tokens_per_batch):
                tokens = encoder.join(rows[part], rows[part])
                batches.append((tokens, *self._own(encoder, rows[part], tokens.lengths), part + offset))
        joined, own_T, own_counts, places = zip(*batches, strict=True)
        return SelfPairBatch(joined, own_T, own_counts, torch.from_numpy(np.concatenate(places)))

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
    """Gather a step's texts and, for the teacher, ``pairs`` to learn its scores, ``alone`` to learn a layer."""

    texts: TextBatcher
    pairs: PairBatcher | None = None
    alone: SelfPairBatcher | None = None

    def batch(self, step: int, groups: Groups, rank: int = 0, ranks: int = 1) -> DistilBatch:
        texts = self.texts.batch(step, groups, rank, ranks)
        alone = self.alone.batch(groups.queries_Q[rank::ranks], texts.rows) if self.alone is not None else None
        pairs = self.pairs.batch(step, groups, rank, ranks) if self.pairs is not None else None
        return DistilBatch(texts, pairs, alone)

    def tokens(self, groups: Groups) -> int:
        """Count the tokens that the dual encoder reads, without the teacher's."""
        return self.texts.tokens(groups)
