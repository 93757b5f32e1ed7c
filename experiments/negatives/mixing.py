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

    A source takes its first free candidate. A source that has run out loses its turn, so the others share its slots in
    the proportion of their own turns.
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
    """Return candidates (N,), repeats allowed, and the source (N,) of each.

    Each slot takes the candidate with the lowest ``priorities_of(slot, passages)`` of the source whose turn it is. A
    source without candidates has no turns.
    """
    stocks = [pool.candidates[members_C] for members_C in pool.members_SC]
    sources = list(islice((source for source in turns if len(stocks[source])), count))
    passages = [stocks[source][np.argmin(priorities_of(slot, stocks[source]))] for slot, source in enumerate(sources)]
    return np.array(passages, np.int64), np.array(sources, np.int64)
