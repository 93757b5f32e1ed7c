"""Batches of pairs for a cross-encoder: the groups of a training step, and the pairs of a run to be scored.

Shapes: B pairs of a batch, P pairs of a step, Q queries, N passages a group (the positive at index 0).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.batches.groups import Groups
from experiments.data.batches.pairs import PairEncoder, TokenBatch, micro_batches
from experiments.data.run import Run


@dataclass(frozen=True)
class GroupBatch:
    """The pairs of a step's groups, in micro-batches. ``place_P``: where each pair, in the order of the micro-batches,
    stands in the flattened (Q, N) groups. ``teacher``: the same pairs as a teacher reads them, None where there is no
    teacher or it reads these.
    """

    step: int
    micro_batches: tuple[TokenBatch, ...]
    place_P: Tensor
    shape_QN: tuple[int, int]
    teacher: "GroupBatch | None" = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "GroupBatch":
        """The same batch on a device (Lightning calls this)."""
        micro = tuple(one.to(device, non_blocking) for one in self.micro_batches)
        place_P = self.place_P.to(device, non_blocking=non_blocking)
        teacher = self.teacher.to(device, non_blocking) if self.teacher is not None else None
        return GroupBatch(self.step, micro, place_P, self.shape_QN, teacher)


@dataclass(frozen=True)
class PairBatcher:
    """Joins each query of a step with each passage of its group, in length-sorted micro-batches of at most
    ``tokens_per_batch`` tokens. ``teacher``: does so for a teacher that reads pairs of its own.
    """

    encoder: PairEncoder
    tokens_per_batch: int
    teacher: "PairBatcher | None" = None

    def batch(self, step: int, groups: Groups) -> GroupBatch:
        """The pairs of a step's groups."""
        queries, passages = _pairs(groups)
        parts = micro_batches(self.encoder.lengths(queries, passages), self.tokens_per_batch)
        joined = tuple(self.encoder.join(queries[part], passages[part]) for part in parts)
        shape = groups.passages_QN.shape
        teacher = self.teacher.batch(step, groups) if self.teacher is not None else None
        return GroupBatch(step, joined, torch.from_numpy(np.concatenate(parts)), (shape[0], shape[1]), teacher)

    def tokens(self, groups: Groups) -> int:
        """Tokens of all pairs of the groups; what a teacher reads is no training of the network."""
        return int(self.encoder.lengths(*_pairs(groups)).sum())


def _pairs(groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(groups.queries_Q, groups.passages_QN.shape[1]), groups.passages_QN.ravel()


@dataclass(frozen=True)
class ScoringBatch:
    """Pairs to be scored. ``places_B``: where their scores belong among all pairs of the run."""

    places_B: Tensor
    tokens: TokenBatch

    def __len__(self) -> int:
        return len(self.places_B)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ScoringBatch":
        """The same batch on a device (Lightning calls this)."""
        return ScoringBatch(self.places_B, self.tokens.to(device, non_blocking))


class RunPairs(Dataset[ScoringBatch]):
    """All pairs of a run in batches under a token budget, sorted by length over the whole run; each rank has every
    ``ranks``-th batch, so that no pair is scored twice.
    """

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
