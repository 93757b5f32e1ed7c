"""The training data as a pure function of the step: which groups it visits, in which order, for any number of workers
and ranks.

What a network reads of a group is made by a ``Batcher``: pairs for a cross-encoder
(``experiments.data.batches.pair_batches``), texts for an encoder of single texts
(``experiments.data.batches.text_batches``).

Shapes: Q queries of a step, N passages a group (the positive at index 0, then the negatives).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from experiments.common.random_keys import key_of, shuffled


@dataclass(frozen=True)
class Groups:
    """The groups of one step. ``epochs_Q``; ``queries_Q``: rows; ``passages_QN``: rows, the positive first."""

    epochs_Q: NDArray[np.int64]
    queries_Q: NDArray[np.int64]
    passages_QN: NDArray[np.int64]


class GroupSampler(Protocol):
    """Chooses the passages of each training query's group."""

    queries: NDArray[np.int64]
    """(Q,) the rows of the training queries."""
    seed: int
    """Seed of the draws and of the order of the queries."""

    @property
    def count(self) -> int:
        """Negatives of a group."""
        ...

    def positive(self, query: int, epoch: int) -> int:
        """Return the row of the positive passage of a query in an epoch."""
        ...

    def draw(self, query: int, epoch: int) -> NDArray[np.int64]:
        """Return the (count,) rows of the negatives of a query in an epoch."""
        ...


class Batcher(Protocol):
    """Turns groups into what a network reads."""

    def batch(self, step: int, groups: Groups) -> Any:
        """What one device trains on at a step; has a ``shape_QN`` and can be moved with ``to(device)``."""
        ...

    def tokens(self, groups: Groups) -> int:
        """How many tokens of the groups a network reads, without padding."""
        ...


class TrainingGroups:
    """The stream of training groups.

    Each epoch visits every training query once, in an order of its own; a step takes the next ``queries_per_step``.
    Everything follows from the step's number, so that a resumed training, any number of loading workers, and any number
    of ranks that divides ``queries_per_step``, see the same groups.
    """

    def __init__(self, sampler: GroupSampler, queries_per_step: int, batcher: Batcher) -> None:
        self.sampler, self.queries_per_step, self.batcher = sampler, queries_per_step, batcher
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
        passages = np.empty((len(visits), self.sampler.count + 1), np.int64)
        for i, (query, epoch) in enumerate(zip(queries.tolist(), epochs.tolist(), strict=True)):
            passages[i, 0] = self.sampler.positive(query, epoch)
            passages[i, 1:] = self.sampler.draw(query, epoch)
        return Groups(epochs, queries, passages)

    def tokens(self, step: int) -> int:
        """How many tokens a step reads, over all ranks."""
        return self.batcher.tokens(self.groups(step))

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Any:
        """What a rank trains on at a step."""
        return self.batcher.batch(step, self.groups(step, rank, ranks))


class StepStream(IterableDataset[Any]):
    """Batches of the steps from ``start`` on, for ever; loading workers take turns, so that the order stays that of the
    steps.
    """

    def __init__(self, groups: TrainingGroups, start: int, rank: int = 0, ranks: int = 1) -> None:
        self.groups, self.start, self.rank, self.ranks = groups, start, rank, ranks

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        step, stride = (self.start, 1) if worker is None else (self.start + worker.id, worker.num_workers)
        while True:
            yield self.groups.batch(step, self.rank, self.ranks)
            step += stride
