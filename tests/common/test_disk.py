"""What is said and kept where the disk refuses a file."""

import errno
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from experiments.common import disk
from experiments.common.cache import Cache, write_atomic
from experiments.common.disk import replacing_folder
from experiments.common.errors import ExperimentError

NO_SPACE = "there is no space left on this disk: free some and run the same command again: it goes on from here"


def refusing(number: int) -> Any:
    """A function of the system that the disk refuses, without saying where."""

    def refuse(*arguments: Any, **options: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Set the umask for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes_of(path: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in (path, *path.rglob("*"))}


@pytest.mark.parametrize(
    ("hidden", "folder", "file"), [(0o022, 0o755, 0o644), (0o002, 0o775, 0o664), (0o077, 0o700, 0o600)]
)
def test_what_is_replaced_is_as_open_to_others_as_any_new_file(
    tmp_path: Path, umask: Callable[[int], int], hidden: int, folder: int, file: int
):
    umask(hidden)
    with replacing_folder(tmp_path / "model") as model:
        (model / "parts").mkdir()
        (model / "parts" / "tokenizer.json").write_text("{}")
        (model / "parts" / "tokenizer.json").chmod(0o600)  # as its library writes it
    write_atomic(tmp_path / "status.json", "{}")
    assert modes_of(tmp_path / "model") == {"model": folder, "parts": folder, "tokenizer.json": file}
    assert modes_of(tmp_path / "status.json") == {"status.json": file}


def test_a_folder_in_one_that_a_group_shares_stays_the_groups(tmp_path: Path):
    tmp_path.chmod(0o2775)
    with replacing_folder(tmp_path / "model"):
        pass
    assert (tmp_path / "model").stat().st_mode & 0o2000


@pytest.mark.parametrize("operation", ["fsync", "replace", "chmod"])
def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
):
    path = tmp_path / "status.json"
    path.write_text("old")
    monkeypatch.setattr(os, operation, refusing(errno.ENOSPC))
    with pytest.raises(ExperimentError) as error:
        write_atomic(path, "new", durable=True)
    assert str(error.value) == f"{path}: {NO_SPACE}"
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"status.json": "old"}


def test_an_interrupted_file_leaves_the_old_one_and_nothing_else(tmp_path: Path):
    path = tmp_path / "run.trec.gz"
    path.write_text("old")
    with suppress(KeyboardInterrupt), disk.replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"run.trec.gz": "old"}


def test_an_interrupted_folder_leaves_the_old_one_and_nothing_else(tmp_path: Path):
    path = tmp_path / "model"
    with disk.replacing_folder(path) as folder:
        (folder / "weights").write_text("old")
    with suppress(KeyboardInterrupt), disk.replacing_folder(path) as folder:
        (folder / "weights").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "weights").read_text() == "old"


def test_what_a_killed_process_has_left_is_deleted_by_the_next_that_writes_the_folder(tmp_path: Path):
    left = tmp_path / f".model.x1y2{disk.TEMPORARY}"
    left.mkdir()
    (left / "half").touch()
    with disk.replacing_folder(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_process_has_left_of_a_file_is_deleted_by_the_next_that_writes_it(tmp_path: Path):
    for name in (".a[1].json.x1y2.part", ".a[1].json.z.part", ".b.json.x1y2.part"):
        (tmp_path / name).write_text("half")
    write_atomic(tmp_path / "a[1].json", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json.x1y2.part", "a[1].json"]


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path):
    path = tmp_path / "table.md"
    with disk.replacing(path) as file:
        file.write(b"slow")
        write_atomic(path, "quick")
        assert path.read_text() == "quick"
    assert path.read_text() == "slow"
    assert [each.name for each in tmp_path.iterdir()] == ["table.md"]


def test_a_temporary_file_that_is_deleted_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = tempfile.mkstemp
    made: list[str] = []

    def make(*arguments: Any) -> tuple[int, str]:
        handle, name = real(*arguments)
        made.append(name)
        if len(made) == 1:  # as by another process, between its making and its locking
            os.unlink(name)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", make)
    write_atomic(tmp_path / "a.json", "new")
    assert len(made) == 2
    assert (tmp_path / "a.json").read_text() == "new"


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path):
    (tmp_path / "outputs").write_text("mine")
    with pytest.raises(ExperimentError) as error:
        write_atomic(tmp_path / "outputs" / "study" / "table.yaml", "new")
    assert str(error.value).startswith(f"{tmp_path / 'outputs'}")
    assert "a file is where a folder should be: move it away, or choose another folder" in str(error.value)
    assert (tmp_path / "outputs").read_text() == "mine"


def test_a_folder_where_a_file_should_be_is_named(tmp_path: Path):
    (tmp_path / "status.json").mkdir()
    with pytest.raises(ExperimentError) as error:
        write_atomic(tmp_path / "status.json", "new")
    assert str(error.value) == (
        f"{tmp_path / 'status.json'}: a folder is where a file should be: move it away, or choose another folder "
        "(outputs=..., cache=...)"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_cache_entry_that_does_not_fit_leaves_nothing(tmp_path: Path):
    def build(folder: Path) -> None:
        (folder / "half").write_text("half")
        refusing(errno.ENOSPC)()

    with pytest.raises(ExperimentError, match=NO_SPACE) as error:
        Cache(tmp_path).get("run", {"of": "a test"}, build)
    assert str(error.value).startswith(str(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("error", "place", "line"),
    [
        (OSError(errno.EROFS, "x", "/data/a"), None, "/data/a: this disk is read-only: make it writable, or choose"),
        (OSError(errno.EACCES, "x", "/data/a"), "/b", "/data/a: no permission: change it (ls -ld shows it), or choose"),
        (OSError(errno.EDQUOT, "x"), "/b", "/b: your quota on this disk is used up"),
        (OSError(errno.EFBIG, "x"), "/b", "/b: the file is larger than this disk or `ulimit -f` allows"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "/b", f"/b: {NO_SPACE}"),  # safetensors'
        (OSError("[Errno 28] Error writing bytes to file"), "/b", f"/b: {NO_SPACE}"),  # pyarrow's
    ],
)
def test_an_error_of_the_disk_is_one_line_with_its_path(error: Exception, place: str | None, line: str):
    assert str(disk.reason(error, place)).startswith(line)


def test_an_array_that_does_not_fit_names_the_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    numpys = OSError("5242880 requested and 0 written")
    assert disk.reason(numpys, tmp_path) is None, "there is space"
    monkeypatch.setattr(disk, "is_full", lambda place: True)
    assert disk.reason(numpys, tmp_path) == f"{tmp_path}: {NO_SPACE}"


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x", "a"), ValueError("x"), BrokenPipeError()])
def test_other_errors_are_none_of_the_disks(error: Exception):
    assert disk.reason(error, "/b") is None
    with pytest.raises(type(error)), disk.explained("/b"):
        raise error


def test_the_space_of_a_memory_map_is_taken_before_it_is_written(tmp_path: Path):
    path = tmp_path / "rows.npy"
    rows = np.lib.format.open_memmap(path, "w+", np.int32, (300_000,))
    rows[:3] = (1, 2, 3)
    rows.flush()
    disk.reserve(path)
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert np.load(path)[:4].tolist() == [1, 2, 3, 0]


def test_a_log_that_does_not_fit_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(logging.Handler, "handleError", logging.Handler.handleError)
    disk.note_log_errors()
    handler = logging.FileHandler(tmp_path / "train.log")
    monkeypatch.setattr(handler.stream, "write", refusing(errno.ENOSPC), raising=False)
    for _ in range(2):
        handler.handle(logging.makeLogRecord({"msg": "step"}))
    assert capsys.readouterr().err == f"the log is not complete: {tmp_path / 'train.log'}: {NO_SPACE}\n"
