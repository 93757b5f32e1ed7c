"""The store: built once, verified, never half-written, safe under two processes."""

import logging
import multiprocessing
import shutil
import time
from pathlib import Path

import pytest

from experiments.common.cache import Cache, fingerprint
from experiments.common.disk import explained
from experiments.common.errors import ExperimentError

KEY = {"of": "a test"}


def write(folder: Path) -> None:
    (folder / "data.txt").write_text("whole")


def test_an_entry_is_built_once(tmp_path: Path):
    store = Cache(tmp_path)
    first = store.get("thing", KEY, write)
    second = store.get("thing", KEY, lambda folder: pytest.fail("built twice"))
    assert first == second
    assert (first / "data.txt").read_text() == "whole"
    assert (store.builds, store.hits) == ({"thing": 1}, {"thing": 1})


def test_the_order_of_a_key_does_not_matter_but_its_values_do():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda entry: (entry / "data.txt").write_text("xhole"), "data.txt was altered"),
        (lambda entry: (entry / "data.txt").unlink(), "data.txt is missing"),
        (lambda entry: (entry / "manifest.json").write_text("{"), "its manifest is not readable"),
    ],
)
def test_a_corrupt_entry_is_built_again_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm, reason: str):
    harm(Cache(tmp_path).get("thing", KEY, write))
    with caplog.at_level(logging.WARNING):
        again = Cache(tmp_path).get("thing", KEY, write)
    assert (again / "data.txt").read_text() == "whole"
    assert reason in caplog.text


def test_an_entry_of_other_data_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    foreign = Cache(tmp_path).get(
        "thing", {"of": "something else"}, lambda folder: (folder / "data.txt").write_text("foreign")
    )
    foreign.rename(foreign.parent / fingerprint(KEY))
    with caplog.at_level(logging.WARNING):
        entry = Cache(tmp_path).get("thing", KEY, write)
    assert (entry / "data.txt").read_text() == "whole"
    assert "it was made from other data" in caplog.text


def test_an_interrupted_build_leaves_no_entry(tmp_path: Path):
    def interrupted(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("thing", KEY, interrupted)
    assert [path for path in (tmp_path / "thing").iterdir() if path.is_dir()] == []


def _build_slowly(root: str) -> int:
    def slowly(folder: Path) -> None:
        time.sleep(0.3)
        write(folder)

    store = Cache(root)
    store.get("thing", KEY, slowly)
    return store.builds.get("thing", 0)


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path: Path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert sorted(pool.map(_build_slowly, [str(tmp_path)] * 2)) == [0, 1]


def test_a_resumable_build_gets_back_what_it_left(tmp_path: Path):
    def interrupted(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    def go_on(folder: Path) -> None:
        (folder / "data.txt").write_text((folder / "half.txt").read_text() + " whole")

    store = Cache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.get("thing", KEY, interrupted, resumable=True)
    entry = store.get("thing", KEY, go_on, resumable=True)
    assert (entry / "data.txt").read_text() == "half whole"
    assert [path for path in (tmp_path / "thing").iterdir() if path.is_dir()] == [entry]


def test_a_resumable_build_of_another_key_begins_empty(tmp_path: Path):
    def interrupted(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    seen: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("thing", KEY, interrupted, resumable=True)
    Cache(tmp_path).get("thing", {"of": "something else"}, lambda folder: seen.extend(folder.iterdir()), resumable=True)
    assert seen == []


def test_what_a_resumable_build_left_is_no_entry(tmp_path: Path):
    def interrupted(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("thing", KEY, interrupted, resumable=True)
    assert not (tmp_path / "thing" / fingerprint(KEY)).exists()


def test_an_entry_whose_cache_is_emptied_while_it_is_made_is_made_again(tmp_path: Path):
    cache, builds = Cache(tmp_path / "cache"), []

    def build(folder: Path) -> None:
        builds.append(folder)
        if len(builds) == 1:
            shutil.rmtree(tmp_path / "cache")
        (folder / "content").write_text("x")

    assert (cache.get("kind", {"a": 1}, build) / "content").read_text() == "x"
    assert (len(builds), cache.builds) == (2, {"kind": 1})


def test_a_missing_file_of_the_cache_says_who_deleted_it_and_one_of_the_user_stays_itself(tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    said = r"gone\.npy: it is gone, as somebody emptied the cache while this ran"
    with pytest.raises(ExperimentError, match=said), explained():
        (cache.root / "bm25" / "gone.npy").read_bytes()
    with pytest.raises(FileNotFoundError):
        cache.get("kind", {"a": 2}, lambda folder: print((tmp_path / "of_the_user").read_text()))
