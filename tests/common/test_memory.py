"""A stage that may not fit into memory is noticed before it begins."""

import logging
from pathlib import Path

import pytest

from experiments.common import memory
from experiments.common.memory import available_memory, notice_memory
from experiments.common.stage_rates import StageRate

MACHINE = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\n"
RATE = StageRate(1_000, base=1e9, memory=500, disk=0)


def container(folder: Path, limit: str) -> Path:
    """The files of a container that uses 3 GB, of which 1 GB are pages of files."""
    for name, text in {"max": limit, "current": "3000000000", "stat": "anon 2\ninactive_file 1000000000\n"}.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(("limit", "expected"), [("max", 2_048_000_000), ("3500000000", 1_500_000_000), ("1", 0)])
def test_memory_is_what_is_left_of_the_machine_or_of_its_container(tmp_path: Path, limit: str, expected: int):
    (tmp_path / "meminfo").write_text(MACHINE)
    assert available_memory(tmp_path / "meminfo", container(tmp_path, limit)) == expected


def test_without_a_container_it_is_that_of_the_machine(tmp_path: Path):
    (tmp_path / "meminfo").write_text(MACHINE)
    assert available_memory(tmp_path / "meminfo", tmp_path / "none") == 2_048_000_000


def test_a_system_that_does_not_say_what_is_free_has_the_whole_memory(tmp_path: Path):
    found = available_memory(tmp_path / "none", tmp_path / "none")
    assert found is not None
    assert found > 100_000_000


def test_a_collection_too_large_for_memory_is_noticed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Ten million passages of 289 bytes, 500 bytes each, and a gigabyte."""
    monkeypatch.setattr(memory, "available_memory", lambda: 5_900_000_000)
    with caplog.at_level(logging.WARNING):
        notice_memory("the index of bm25:", RATE, 10_000_000, 2_890_000_000)
    assert caplog.messages == [
        "the index of bm25: 10,000,000 texts may need 6.0 GB of memory, and 5.9 GB are free: the system may slow down "
        "or end this process, whose work so far is kept. Free memory, take a machine with more (`study plan` says what "
        "each stage takes), or a part of the texts"
    ]


def test_texts_twice_as_long_need_twice_as_much(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(memory, "available_memory", lambda: 5_900_000_000)
    notice_memory("the index of bm25:", RATE, 5_000_000, 5_000_000 * 289)
    assert caplog.messages == []
    notice_memory("the index of bm25:", RATE, 5_000_000, 5_000_000 * 578)
    assert len(caplog.messages) == 1
