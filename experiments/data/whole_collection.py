"""Draw passages of the whole collection without a list of its rows. Shapes: R rows of one look, N drawn passages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.common.random_keys import priorities, shuffled
from experiments.data.ragged import Ragged, Rows
from experiments.data.run import Run

LOOKS = 4  # slots per passage of the collection, after which the few that are left are listed


@dataclass(frozen=True)
class WholeCollection(Run):
    """A source of every passage: a run that ranks none. ``size``: passages of the collection."""

    size: int = 0

    @classmethod
    def of(cls, name: str, size: int) -> "WholeCollection":
        """Return the source of that name for a collection of ``size`` passages."""
        nothing = Ragged.of([], np.int64)
        return cls(name, np.empty(0, np.int64), nothing, Ragged.of([], np.float32), size)

    def room(self, barred: Rows) -> int:
        """Return how many passages can be drawn at most. ``barred``: rows that are never drawn."""
        return self.size - len(np.unique(barred))

    def drawn(self, key: int, count: int, allowed: Callable[[Rows], NDArray[np.bool_]]) -> Rows:
        """Return ``count`` distinct passages (N,) in random order, or all if fewer are allowed.

        ``allowed``: which rows (R,) may be drawn. A smaller count gives the beginning of a larger one.
        """
        found: list[int] = []
        seen: set[int] = set()
        for rows in self._slots(key, max(16, 2 * count)):
            for row in rows[allowed(rows)].tolist():
                if row not in seen:
                    seen.add(row)
                    found.append(row)
            if len(found) >= count:
                break
        return np.array(found[:count], np.int64)

    def _slots(self, key: int, at_once: int) -> Iterator[Rows]:
        """Yield the row of slot 0, 1, ..., in which rows repeat, and finally all rows once."""
        end = LOOKS * self.size + 1000
        for start in range(0, end, at_once):
            slots = np.arange(start, min(start + at_once, end))
            # The modulus favours the first rows by less than size / 2^64.
            yield (priorities(key, slots) % np.uint64(self.size)).astype(np.int64)
        yield shuffled(key, np.arange(self.size))
