"""Keep one value of each of millions of query-passage pairs in two flat arrays, found by binary search.

Shapes: P pairs, Q queries, N passages a group. The key of a pair is its query row times the number of passages of the
collection, plus its passage row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Rows


@dataclass(frozen=True)
class PairValues:
    """``keys_P``: (P,) int64, strictly ascending. ``values_P``: (P,) float32. ``passages``: of the collection."""

    keys_P: NDArray[np.int64]
    values_P: NDArray[np.float32]
    passages: int

    def at(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the values of keys, 0 where there is none, and whether there is one; both in the shape of ``keys``."""
        if not len(self.keys_P):
            return np.zeros(keys.shape, np.float32), np.zeros(keys.shape, bool)
        places = np.minimum(np.searchsorted(self.keys_P, keys), len(self.keys_P) - 1)
        known = np.asarray(self.keys_P[places] == keys)
        return np.where(known, self.values_P[places], np.float32(0)), known

    def of(self, queries_Q: Rows, passages_QN: Rows) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return (Q, N) values of groups, 0 where there is none, and (Q, N) whether there is one."""
        return self.at(pair_keys(queries_Q[:, None], passages_QN, self.passages))

    def only(self, keys_P: NDArray[np.int64]) -> "PairValues":
        """Return those of the given pairs that have a value, in memory. ``keys_P``: strictly ascending."""
        values_P, known_P = self.at(keys_P)
        return PairValues(keys_P[known_P], values_P[known_P], self.passages)

    def save(self, folder: Path) -> None:
        np.save(folder / "keys.npy", self.keys_P)
        np.save(folder / "values.npy", self.values_P)

    @classmethod
    def load(cls, folder: Path, passages: int) -> "PairValues":
        """Memory-map what ``save`` wrote."""
        keys_P, values_P = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("keys", "values"))
        return cls(keys_P, values_P, passages)


def pair_keys(queries: Rows, passages: Rows, count: int) -> NDArray[np.int64]:
    """Return the keys of pairs of rows. ``count``: passages of the collection."""
    return queries.astype(np.int64) * count + passages


def rows_of(keys_P: NDArray[np.int64], count: int) -> tuple[Rows, Rows]:
    """Return the (P,) query and (P,) passage rows of keys. ``count``: passages of the collection."""
    queries_P, passages_P = np.divmod(keys_P, count)
    return queries_P, passages_P
