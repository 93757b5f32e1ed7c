"""Rows of different lengths in two flat arrays: the layout of tokens, qrels and runs, in memory or memory-mapped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
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

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]] | Iterable[NDArray[Any]], dtype: Any) -> "Ragged":
        """Rows given one by one."""
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        values = np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
        return cls(values, offsets_of([len(array) for array in arrays]))


def offsets_of(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """(rows + 1,) the offsets of rows of the given lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def group_by_key(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(distinct keys ascending, offsets) of an ascending array of keys."""
    distinct, counts = np.unique(keys, return_counts=True)
    return distinct, offsets_of(counts)


def batches_by_length(lengths: Rows, tokens: int) -> Iterator[NDArray[np.int64]]:
    """Rows sorted by length, longest first, in batches of at most ``tokens`` once padded, but of one row at least."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def write_ragged(folder: Path, name: str, parts: Iterable[Ragged], dtype: Any) -> None:
    """Write rows, a part at a time, as ``<name>.npy`` and ``offsets.npy``: they need not fit into memory."""
    raw, lengths = folder / f"{name}.raw", [np.empty(0, np.int64)]
    with raw.open("wb") as file:
        for part in parts:
            file.write(part.values.tobytes())
            lengths.append(part.lengths)
    offsets = offsets_of(np.concatenate(lengths))
    np.save(folder / "offsets.npy", offsets)
    # Through a map into a .npy, whose header carries the type.
    values = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(int(offsets[-1]),))
    if len(values):
        values[:] = np.memmap(raw, dtype=dtype, mode="r")
        values.flush()
    raw.unlink()


def read_ragged(folder: Path, name: str) -> Ragged:
    """The rows that ``write_ragged`` wrote, memory-mapped."""
    return Ragged(np.load(folder / f"{name}.npy", mmap_mode="r"), np.load(folder / "offsets.npy", mmap_mode="r"))
