"""Stream training groups as a pure function of the step, for any number of workers and ranks.

A ``Batcher`` turns groups into a network's input: pairs (``pair_batches``) or single texts (``text_batches``).

Shapes: Q queries of a step, N passages a group (the positive at index 0, then the negatives), B rows of a batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from experiments.common.random_keys import key_of, shuffled
from experiments.common.transfer import moved_tensor
from experiments.data.labels import Labels


@dataclass(frozen=True)
class DeviceBatch:
    """Base of batches whose tensors move to a device together."""

    def to(self, device: torch.device | str) -> Self:
        """Return the batch with its tensors on a device (Lightning calls this)."""
        moved = {field.name: _moved(getattr(self, field.name), torch.device(device)) for field in fields(self)}
        return replace(self, **moved)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return moved_tensor(value, device)
    if isinstance(value, DeviceBatch):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(part, device) for part in value)
    if isinstance(value, Mapping):
        return {name: _moved(part, device) for name, part in value.items()}
    return value


@dataclass(frozen=True)
class Groups:
    """Groups of one step. ``epochs_Q``; ``queries_Q``: rows; ``passages_QN``: rows, the positive first.

    ``labels_QN``: grade of each positive, 0 for other passages, where a list has its positives anywhere or a loss reads
    labels; None where the passage at index 0 is known as the one positive.
    """

    epochs_Q: NDArray[np.int64]
    queries_Q: NDArray[np.int64]
    passages_QN: NDArray[np.int64]
    labels_QN: NDArray[np.float32] | None = None

    def of_rank(self, rank: int, ranks: int) -> "Groups":
        """Return the groups that one of several processes scores."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return Groups(**{name: value[rank::ranks] for name, value in own.items() if value is not None})


def concatenate(several: Sequence[Groups]) -> Groups:
    """Join the groups of several steps, in their order."""
    joined = {
        field.name: np.concatenate([getattr(groups, field.name) for groups in several])
        for field in fields(Groups)
        if getattr(several[0], field.name) is not None
    }
    return Groups(**joined)


class GroupSampler(Protocol):
    """Choose the passages of each training query's group."""

    queries: NDArray[np.int64]
    """(Q,) the rows of the training queries."""
    seed: int
    """Seed of the draws and of the order of the queries."""

    @property
    def count(self) -> int:
        """Passages of a group, less one."""

    def group(self, query: int, epoch: int) -> NDArray[np.int64]:
        """Return the (count + 1,) rows of the passages of a query's group in an epoch."""


class Batcher(Protocol):
    """Turn groups into a network's input."""

    def batch(self, step: int, groups: Groups, rank: int = 0, ranks: int = 1) -> Any:
        """Return the batch of a rank at a step, with ``to(device)``. ``groups``: of the whole step."""

    def tokens(self, groups: Groups) -> int:
        """Count the tokens that the network reads, without padding."""


class TrainingGroups:
    """Stream of training groups.

    Each epoch visits every training query once, in its own order; a step takes the next ``queries_per_step``. The
    step's number decides everything: a resumed training, any number of loading workers, and any number of ranks that
    divides ``queries_per_step`` see the same groups.

    ``labels``: of the passages of groups; None leaves the groups without.
    """

    def __init__(
        self, sampler: GroupSampler, queries_per_step: int, batcher: Batcher, labels: Labels | None = None
    ) -> None:
        self.sampler, self.queries_per_step, self.batcher, self.labels = sampler, queries_per_step, batcher, labels
        self._orders: dict[int, NDArray[np.int64]] = {}

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            while len(self._orders) >= 2:  # a step may reach into the next epoch
                self._orders.pop(min(self._orders))
            self._orders[epoch] = shuffled(key_of("order", self.sampler.seed, epoch), self.sampler.queries)
        return self._orders[epoch]

    def groups(self, step: int) -> Groups:
        """Return the groups of a step (0, 1, ...)."""
        visits = step * self.queries_per_step + np.arange(self.queries_per_step)
        epochs, places = np.divmod(visits, len(self.sampler.queries))
        orders = [self._order(int(epoch)) for epoch in epochs]
        queries = np.array([order[place] for order, place in zip(orders, places, strict=True)], np.int64)
        passages = np.empty((len(visits), self.sampler.count + 1), np.int64)
        for i, (query, epoch) in enumerate(zip(queries.tolist(), epochs.tolist(), strict=True)):
            passages[i] = self.sampler.group(query, epoch)
        if self.labels is None:
            return Groups(epochs, queries, passages)
        labels = [self.labels.of(query, own) for query, own in zip(queries.tolist(), passages, strict=True)]
        return Groups(epochs, queries, passages, np.stack(labels))

    def tokens(self, step: int) -> int:
        """Count the tokens of a step over all ranks."""
        return self.batcher.tokens(self.groups(step))

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Any:
        """Return the batch of a rank at a step."""
        return self.batcher.batch(step, self.groups(step), rank, ranks)


class StepStream(IterableDataset[Any]):
    """Yield the batches of all steps from ``start`` on, in order; loading workers take turns."""

    def __init__(self, groups: TrainingGroups, start: int, rank: int = 0, ranks: int = 1) -> None:
        self.groups, self.start, self.rank, self.ranks = groups, start, rank, ranks

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        start, stride = (self.start, 1) if worker is None else (self.start + worker.id, worker.num_workers)
        for step in count(start, stride):
            yield self.groups.batch(step, self.rank, self.ranks)
