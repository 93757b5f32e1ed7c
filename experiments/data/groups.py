"""The training data as a pure function of the step: which groups it visits, and their pairs in length-sorted
micro-batches.

Shapes: Q queries of a step, N passages a group (the positive at index 0, then the negatives).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from experiments.data.pairs import PairEncoder, TokenBatch, micro_batches
from experiments.hashing import key_of, shuffled
from experiments.negatives.sampler import NegativeSampler
from experiments.retrieval.run import Run


@dataclass(frozen=True)
class Groups:
    """The groups of one step. ``epochs_Q``; ``queries_Q``: rows; ``passages_QN``: rows, the positive first."""

    epochs_Q: NDArray[np.int64]
    queries_Q: NDArray[np.int64]
    passages_QN: NDArray[np.int64]


@dataclass(frozen=True)
class GroupBatch:
    """The pairs of a step's groups, in micro-batches. ``place_P``: where each pair, in the order of the micro-batches,
    stands in the flattened (Q, N) groups.
    """

    step: int
    micro_batches: tuple[TokenBatch, ...]
    place_P: Tensor
    shape_QN: tuple[int, int]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "GroupBatch":
        """The same batch on a device (Lightning calls this)."""
        micro = tuple(one.to(device, non_blocking) for one in self.micro_batches)
        return GroupBatch(self.step, micro, self.place_P.to(device, non_blocking=non_blocking), self.shape_QN)


class TrainingGroups:
    """The stream of training groups.

    Each epoch visits every training query once, in an order of its own; a step takes the next ``queries_per_step``.
    Everything follows from the step's number, so that a resumed training, any number of loading workers, and any number
    of ranks that divides ``queries_per_step``, see the same groups.
    """

    def __init__(
        self, sampler: NegativeSampler, encoder: PairEncoder, queries_per_step: int, tokens_per_batch: int
    ) -> None:
        self.sampler, self.encoder = sampler, encoder
        self.queries_per_step, self.tokens_per_batch = queries_per_step, tokens_per_batch
        self._orders: dict[int, NDArray[np.int64]] = {}

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            while len(self._orders) >= 2:  # a step may reach into the next epoch
                self._orders.pop(min(self._orders))
            self._orders[epoch] = shuffled(key_of("order", self.sampler.seed, epoch), self.sampler.queries)
        return self._orders[epoch]

    def groups(self, step: int, rank: int = 0, ranks: int = 1) -> Groups:
        """The groups that a rank visits at a step (0, 1, ...)."""
        visits = step * self.queries_per_step + np.arange(rank, self.queries_per_step, ranks)
        epochs, places = np.divmod(visits, len(self.sampler.queries))
        queries = np.array(
            [self._order(int(epoch))[place] for epoch, place in zip(epochs, places, strict=True)], np.int64
        )
        passages = np.empty((len(visits), self.sampler.rule.count + 1), np.int64)
        for i, (query, epoch) in enumerate(zip(queries.tolist(), epochs.tolist(), strict=True)):
            passages[i, 0] = self.sampler.positive(query, epoch)
            passages[i, 1:] = self.sampler.draw(query, epoch)
        return Groups(epochs, queries, passages)

    def tokens(self, step: int) -> int:
        """How many tokens a step's pairs have, over all ranks."""
        groups = self.groups(step)
        return int(self.encoder.lengths(*_pairs(groups)).sum())

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> GroupBatch:
        """What a rank trains on at a step."""
        groups = self.groups(step, rank, ranks)
        queries, passages = _pairs(groups)
        parts = micro_batches(self.encoder.lengths(queries, passages), self.tokens_per_batch)
        joined = tuple(self.encoder.join(queries[part], passages[part]) for part in parts)
        shape = groups.passages_QN.shape
        return GroupBatch(step, joined, torch.from_numpy(np.concatenate(parts)), (shape[0], shape[1]))


def _pairs(groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(groups.queries_Q, groups.passages_QN.shape[1]), groups.passages_QN.ravel()


class StepStream(IterableDataset[GroupBatch]):
    """Batches of the steps from ``start`` on, for ever; loading workers take turns, so that the order stays that of the
    steps.
    """

    def __init__(self, groups: TrainingGroups, start: int, rank: int = 0, ranks: int = 1) -> None:
        self.groups, self.start, self.rank, self.ranks = groups, start, rank, ranks

    def __iter__(self) -> Iterator[GroupBatch]:
        worker = get_worker_info()
        step, stride = (self.start, 1) if worker is None else (self.start + worker.id, worker.num_workers)
        while True:
            yield self.groups.batch(step, self.rank, self.ranks)
            step += stride


@dataclass(frozen=True)
class ScoringBatch:
    """Pairs to be scored. ``places_B``: where their scores belong among all pairs of the run."""

    places_B: Tensor
    tokens: TokenBatch

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
