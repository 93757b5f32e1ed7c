"""Build batches of pairs for a cross-encoder, for training groups and for scoring a run.

Shapes: B pairs of a batch, P pairs of a step, Q queries, N passages a group (the positive at index 0).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.batches.groups import DeviceBatch, Groups
from experiments.data.batches.pairs import PairEncoder, TokenBatch, micro_batches
from experiments.data.run import Run


@dataclass(frozen=True)
class GroupBatch(DeviceBatch):
    """Pairs of a step's groups. ``place_P``: index of each pair in the flattened (Q, N) groups, in micro-batch order.
    ``teacher``: the same pairs in the teacher's tokens; None without a teacher or with equal tokens. ``labels_QN``: see
    ``Groups``.
    """

    step: int
    micro_batches: tuple[TokenBatch, ...]
    place_P: Tensor
    shape_QN: tuple[int, int]
    teacher: "GroupBatch | None" = None
    labels_QN: Tensor | None = None


@dataclass(frozen=True)
class PairBatcher:
    """Join queries with their groups' passages in micro-batches of at most ``tokens_per_batch``; ``teacher``: in its
    tokens.
    """

    encoder: PairEncoder
    tokens_per_batch: int
    teacher: "PairBatcher | None" = None

    def batch(self, step: int, groups: Groups) -> GroupBatch:
        queries, passages = _pairs(groups)
        parts = micro_batches(self.encoder.lengths(queries, passages), self.tokens_per_batch)
        joined = tuple(self.encoder.join(queries[part], passages[part]) for part in parts)
        shape = groups.passages_QN.shape
        teacher = self.teacher.batch(step, groups) if self.teacher is not None else None
        labels_QN = torch.from_numpy(groups.labels_QN) if groups.labels_QN is not None else None
        place_P = torch.from_numpy(np.concatenate(parts))
        return GroupBatch(step, joined, place_P, (shape[0], shape[1]), teacher, labels_QN)

    def tokens(self, groups: Groups) -> int:
        """Count the tokens of all pairs, without the teacher's."""
        return int(self.encoder.lengths(*_pairs(groups)).sum())


def _pairs(groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(groups.queries_Q, groups.passages_QN.shape[1]), groups.passages_QN.ravel()


@dataclass(frozen=True)
class ScoringBatch:
    """Pairs to score. ``places_B``: index of each score among all pairs of the run."""

    places_B: Tensor
    tokens: TokenBatch

    def __len__(self) -> int:
        return len(self.places_B)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ScoringBatch":
        """Return the batch with its tokens on a device (Lightning calls this)."""
        return ScoringBatch(self.places_B, self.tokens.to(device, non_blocking))


class RunPairs(Dataset[ScoringBatch]):
    """All pairs of a run in batches under a token budget, sorted by length; each rank has every ``ranks``-th batch."""

    def __init__(self, run: Run, encoder: PairEncoder, tokens_per_batch: int, rank: int = 0, ranks: int = 1) -> None:
        self.queries = np.repeat(run.queries, run.passages.lengths)
        self.passages: NDArray[Any] = np.asarray(run.passages.values)
        self.encoder = encoder
        lengths = encoder.lengths(self.queries, self.passages)
        self.total, self.tokens = len(lengths), int(lengths.sum())
        self.batches = micro_batches(lengths, tokens_per_batch, at_least=ranks)[rank::ranks]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> ScoringBatch:
        part = self.batches[index]
        return ScoringBatch(torch.from_numpy(part), self.encoder.join(self.queries[part], self.passages[part]))
