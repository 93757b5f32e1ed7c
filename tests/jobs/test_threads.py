"""Threads of a job: what it names, else what the process began with, or its share of the cores."""

from collections.abc import Iterator

import pytest
import torch
from helpers.jobs import composed

from experiments.config import compose
from experiments.jobs import threads
from experiments.jobs.threads import set_threads


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def set_by(*overrides: str, processes: int = 1) -> int:
    set_threads(compose.check(composed("data=synthetic", "trainer=cpu", *overrides)), processes)
    return torch.get_num_threads()


def test_a_job_that_names_none_has_those_of_the_process_whatever_the_job_before_it_had(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(threads, "OF_PROCESS", 2)
    assert [set_by("compute.threads=1"), set_by()] == [1, 2]


@pytest.mark.parametrize(("processes", "expected"), [(2, 4), (3, 2), (16, 1)])
def test_several_processes_on_a_cpu_share_its_cores(processes: int, expected: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert set_by(processes=processes) == expected
    assert set_by("compute.threads=3", processes=processes) == 3
