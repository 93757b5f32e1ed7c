"""Store rows of different lengths in two flat arrays: tokens, qrels and runs, in memory or memory-mapped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # row numbers of passages or queries


@dataclass(frozen=True)
class Ragged:
    """``values[offsets[i]:offsets[i + 1]]`` is row ``i``.

    ``values``: (total,), any type. ``offsets``: (rows + 1,) int64, ascending, beginning with 0.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(rows,) the length of every row."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) the lengths of the given rows."""
        return np.asarray(self.offsets[rows + 1] - self.offsets[rows])

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]] | Iterable[NDArray[Any]], dtype: Any) -> "Ragged":
        """Concatenate single rows."""
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        values = np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
        return cls(values, offsets_of([len(array) for array in arrays]))


def offsets_of(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """(rows + 1,) offsets of rows of the given lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def group_by_key(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct keys of an ascending array, and the (keys + 1,) offsets of their groups."""
    distinct, counts = np.unique(keys, return_counts=True)
    return distinct, offsets_of(counts)


def batches_by_length(lengths: Rows, tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows sorted by length, longest first, in padded batches of at most ``tokens``, but of one row at least."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count
