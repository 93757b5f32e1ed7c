"""Ragged rows on disk: what is written is read, and a killed writer goes on with the rows that were whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data import ragged_files
from experiments.data.ragged import Ragged
from experiments.data.ragged_files import Part, read_ragged, write_ragged

ROWS = [[5], [], [7, 8, 9], [1, 2], [], [3]]
TYPES = {"ids": np.int32, "flags": np.uint8}


class KilledError(Exception):
    pass


def part(rows: list[list[int]]) -> Part:
    ids = Ragged.of(rows, np.int32)
    return ids.lengths, {"ids": ids.values, "flags": ids.values % 2}


def writer(folder: Path, rows: list[list[int]], dies_at: int | None = None) -> list[int]:
    """Write rows one by one; returns the numbers of those that were asked for."""
    asked = []

    def parts_from(first: int) -> Iterator[Part]:
        for number in range(first, len(rows)):
            if number == dies_at:
                raise KilledError
            asked.append(number)
            yield part([rows[number]])

    write_ragged(folder, TYPES, parts_from)
    return asked


def written(folder: Path, name: str = "ids") -> list[list[int]]:
    found = read_ragged(folder, name)
    return [found[row].tolist() for row in range(len(found))]


@pytest.fixture(autouse=True)
def row_by_row(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ragged_files, "ROWS_AT_ONCE", 1)


def test_what_is_written_is_read(tmp_path: Path):
    writer(tmp_path, ROWS)
    assert written(tmp_path) == ROWS
    assert written(tmp_path, "flags") == [[1], [], [1, 0, 1], [1, 0], [], [1]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flags.npy", "ids.npy", "offsets.npy"]


def test_no_rows_are_an_empty_array(tmp_path: Path):
    writer(tmp_path, [])
    assert written(tmp_path) == []


def test_a_killed_writer_goes_on_with_the_row_that_it_did_not_write(tmp_path: Path):
    with pytest.raises(KilledError):
        writer(tmp_path, ROWS, dies_at=3)
    assert writer(tmp_path, ROWS) == [3, 4, 5]
    assert written(tmp_path) == ROWS


@pytest.mark.parametrize("name", ["ids.npy", "flags.npy", "lengths.bin"])
def test_a_file_that_lost_its_end_costs_the_rows_that_were_there(tmp_path: Path, name: str):
    with pytest.raises(KilledError):
        writer(tmp_path, ROWS, dies_at=4)
    with (tmp_path / name).open("r+b") as file:
        file.truncate((tmp_path / name).stat().st_size - 1)  # of row 3
    assert writer(tmp_path, ROWS)[0] == 3
    assert written(tmp_path) == ROWS


@settings(deadline=None)  # it writes files
@given(st.lists(st.lists(st.integers(0, 255), max_size=4), max_size=8), st.data())
def test_bytes_are_the_same_however_often_the_writer_dies(tmp_path_factory, rows, data):
    whole, interrupted = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("interrupted")
    writer(whole, rows)
    for dies_at in sorted(data.draw(st.lists(st.integers(0, max(0, len(rows) - 1)), max_size=3))):
        if rows:
            with pytest.raises(KilledError):
                writer(interrupted, rows, dies_at=dies_at)
    writer(interrupted, rows)
    assert [(interrupted / f.name).read_bytes() for f in sorted(whole.iterdir())] == [
        f.read_bytes() for f in sorted(whole.iterdir())
    ]
