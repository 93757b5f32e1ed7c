"""Share the slots of a group between sources. Shapes: N slots, S sources, C distinct candidates of all sources."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Rows


@dataclass(frozen=True)
class Pool:
    """Distinct candidates (C,) of a query, passage rows. ``members_SC``: which of them each source has."""

    candidates: Rows
    members_SC: NDArray[np.bool_]

    @classmethod
    def of(cls, stocks: Sequence[Rows]) -> "Pool":
        """Merge the candidates of each source."""
        if len(stocks) == 1:
            return cls(stocks[0], np.ones((1, len(stocks[0])), bool))
        joined = np.concatenate(stocks)
        candidates = joined[np.sort(np.unique(joined, return_index=True)[1])]
        return cls(candidates, np.stack([np.isin(candidates, stock) for stock in stocks]))


def turns_from(start: int, turns: Sequence[int]) -> Iterator[int]:
    """Yield the source of each slot without end, beginning with the turn at position ``start``."""
    return islice(cycle(turns), start, None)


def most_turns(source: int, turns: Sequence[int], count: int) -> int:
    """Return the most turns that a source can have among ``count`` slots, whoever begins."""
    return max(list(islice(turns_from(start, turns), count)).count(source) for start in range(len(turns)))


def take_turns(pool: Pool, priorities_C: NDArray[np.uint64], turns: Iterator[int], count: int) -> tuple[Rows, Rows]:
    """Return up to ``count`` distinct candidates (N,), lowest priority first, and the source (N,) of each.

    See ``take_in_order``; all sources have the same order.
    """
    order = np.argsort(priorities_C, kind="stable")
    if len(pool.members_SC) == 1:
        return pool.candidates[order[:count]], np.zeros(min(count, len(order)), np.int64)
    ordered = pool.candidates[order]
    return take_in_order([ordered[members_C[order]] for members_C in pool.members_SC], turns, count)


def take_in_order(orders: Sequence[Rows], turns: Iterator[int], count: int) -> tuple[Rows, Rows]:
    """Return up to ``count`` distinct passages (N,), and the source (N,) of each. ``orders``: of each source.

    A source takes its first free passage. A source that has run out loses its turn, so the others share its slots in
    the proportion of their own turns.
    """
    waiting = [order.tolist()[::-1] for order in orders]  # the next one is the last
    taken: set[int] = set()
    passages: list[int] = []
    sources: list[int] = []
    while len(passages) < count and any(waiting):
        source = next(turns)
        while waiting[source] and waiting[source][-1] in taken:
            waiting[source].pop()
        if waiting[source]:
            passages.append(waiting[source].pop())
            taken.add(passages[-1])
            sources.append(source)
    return np.array(passages, np.int64), np.array(sources, np.int64)


def take_with_replacement(
    sizes: Sequence[int], pick: Callable[[int, int], int], turns: Iterator[int], count: int
) -> tuple[Rows, Rows]:
    """Return passages (N,), repeats allowed, and the source (N,) of each.

    ``sizes``: candidates of each source; one without has no turns. ``pick``: called with a slot and the source whose
    turn it is, returns a passage.
    """
    sources = list(islice((source for source in turns if sizes[source]), count))
    passages = [pick(slot, source) for slot, source in enumerate(sources)]
    return np.array(passages, np.int64), np.array(sources, np.int64)
