"""Write ragged rows to disk part by part, so that a killed writer goes on where it was, and map them into memory.

Files: ``<name>.npy``, the values of all rows one after another; ``offsets.npy``, where each row begins. Until the last
row is written, ``lengths.bin`` has the length of each row whose values are in every file; the rest is cut off.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Ragged, offsets_of

LENGTHS = "lengths.bin"
ROWS_AT_ONCE = 20_000
Part = tuple[NDArray[np.int64], Mapping[str, NDArray[Any]]]  # lengths of some rows; their values by name, flat


def write_ragged(folder: Path, types: Mapping[str, Any], parts_from: Callable[[int], Iterable[Part]]) -> None:
    """Write rows that need not fit into memory.

    ``folder``: may hold what a killed call left. ``types``: of the values, by name. ``parts_from``: called with the
    number of rows that are there already, yields the others.
    """
    lengths_path = folder / LENGTHS
    lengths = _kept(folder, types)
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.npy").open("ab")) for name in types}
        counted = stack.enter_context(lengths_path.open("ab"))
        for part, values in _large(parts_from(len(lengths))):
            for name, file in files.items():
                file.write(values[name].astype(types[name], copy=False).tobytes())
                _synced(file)
            counted.write(part.astype("<i8").tobytes())  # the values are there: now they count
            _synced(counted)
    offsets = offsets_of(np.fromfile(lengths_path, "<i8"))
    for name, dtype in types.items():
        with (folder / f"{name}.npy").open("r+b") as written:
            _write_header(written, np.dtype(dtype), int(offsets[-1]))
    np.save(folder / "offsets.npy", offsets)
    lengths_path.unlink()


def _large(parts: Iterable[Part]) -> Iterator[Part]:
    """Join parts to some ``ROWS_AT_ONCE`` rows each: waiting for the disk costs milliseconds."""
    waiting: list[Part] = []
    for part in parts:
        waiting.append(part)
        if sum(len(lengths) for lengths, _ in waiting) >= ROWS_AT_ONCE:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Part]) -> Part:
    names = parts[0][1]
    values = {name: np.concatenate([own[name] for _, own in parts]) for name in names}
    return np.concatenate([lengths for lengths, _ in parts]), values


def read_ragged(folder: Path, name: str) -> Ragged:
    """Memory-map the values of a name and their rows."""
    return Ragged(np.load(folder / f"{name}.npy", mmap_mode="r"), np.load(folder / "offsets.npy", mmap_mode="r"))


def _kept(folder: Path, types: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the lengths of the rows that are whole in all files; cut the files to them, with a header each."""
    lengths_path = folder / LENGTHS
    lengths_path.touch()
    whole = lengths_path.stat().st_size // 8
    lengths = np.fromfile(lengths_path, "<i8", whole)
    ends = np.cumsum(lengths)
    heads = {}
    for name, dtype in types.items():
        path = folder / f"{name}.npy"
        path.touch()
        with path.open("r+b") as file:
            heads[name] = _write_header(file, np.dtype(dtype), 0)
        there = max(0, path.stat().st_size - heads[name]) // np.dtype(dtype).itemsize
        whole = min(whole, int(np.searchsorted(ends, there, side="right")))
    lengths = lengths[:whole]
    for name, dtype in types.items():
        os.truncate(folder / f"{name}.npy", heads[name] + int(lengths.sum()) * np.dtype(dtype).itemsize)
    os.truncate(lengths_path, 8 * whole)
    return lengths


def _write_header(file: BinaryIO, dtype: np.dtype[Any], count: int) -> int:
    """Write the header of a flat array of ``count`` values; return its size, which NumPy makes the same for any."""
    file.seek(0)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _synced(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
