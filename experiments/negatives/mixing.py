"""How several sources share the slots of a group.

Shapes: N slots, S sources, C candidates of a query from all sources, each once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Rows


@dataclass(frozen=True)
class Pool:
    """The candidates of a query. ``candidates``: (C,) passage rows, each once. ``members_SC``: which of them each
    source has.
    """

    candidates: Rows
    members_SC: NDArray[np.bool_]

    @classmethod
    def of(cls, stocks: Sequence[Rows]) -> "Pool":
        """From the candidates of each source."""
        if len(stocks) == 1:
            return cls(stocks[0], np.ones((1, len(stocks[0])), bool))
        joined = np.concatenate(stocks)
        _, first = np.unique(joined, return_index=True)
        candidates = joined[np.sort(first)]
        return cls(candidates, np.stack([np.isin(candidates, stock) for stock in stocks]))


def turns_from(start: int, turns: Sequence[int]) -> Iterator[int]:
    """Whose turn it is, slot after slot without end, beginning with the turn at place ``start``."""
    return islice(cycle(turns), start, None)


def most_turns(source: int, turns: Sequence[int], count: int) -> int:
    """The most turns that a source can have among ``count`` slots, whoever begins."""
    return max(list(islice(turns_from(start, turns), count)).count(source) for start in range(len(turns)))


def take_turns(pool: Pool, priorities_C: NDArray[np.uint64], turns: Iterator[int], count: int) -> tuple[Rows, Rows]:
    """(N,) different candidates, as many as there are or ``count``, and (N,) the source of each, lowest priority first.

    A source takes its first candidate that is not taken yet. One that has none left loses its turn, so that the others
    share what it leaves in the proportion of their own turns.
    """
    order = np.argsort(priorities_C, kind="stable")
    if len(pool.members_SC) == 1:
        return pool.candidates[order[:count]], np.zeros(min(count, len(order)), np.int64)
    waiting = [order[members_C[order]].tolist()[::-1] for members_C in pool.members_SC]  # the next one is the last
    taken: set[int] = set()
    places: list[int] = []
    sources: list[int] = []
    while len(places) < min(count, len(pool.candidates)):
        source = next(turns)
        while waiting[source] and waiting[source][-1] in taken:
            waiting[source].pop()
        if waiting[source]:
            places.append(waiting[source].pop())
            taken.add(places[-1])
            sources.append(source)
    return pool.candidates[places], np.array(sources, np.int64)


def take_with_replacement(
    pool: Pool, priorities_of: Callable[[int, Rows], NDArray[np.uint64]], turns: Iterator[int], count: int
) -> tuple[Rows, Rows]:
    """(N,) candidates, the same maybe more than once, and (N,) the source of each.

    ``priorities_of``: those of a slot for some passages; each slot takes the lowest of the source whose turn it is. A
    source without any candidate has no turns.
    """
    stocks = [pool.candidates[members_C] for members_C in pool.members_SC]
    sources = list(islice((source for source in turns if len(stocks[source])), count))
    passages = [stocks[source][np.argmin(priorities_of(slot, stocks[source]))] for slot, source in enumerate(sources)]
    return np.array(passages, np.int64), np.array(sources, np.int64)
