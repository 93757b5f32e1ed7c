"""A record of W&B is read when its service has written it, and a run that is let go of leaves no log file open."""

import logging
import logging.config
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.wandb_records import WELL_FORMED_KEY, end_service, isolated_wandb, kill_service, read_offline_runs
from helpers.wandb_server import refusing_server

from experiments.tracking.earlier_rows import SUPERSEDED
from experiments.tracking.record_files import wait_until_written
from experiments.tracking.wandb_job import RunIdentity, WandbJob

FIRST = RunIdentity("shapes", "first", "1a2b3c4d", (), {"loss": "lce"})
SECOND = replace(FIRST, name="second", id="5e6f7a8b", config={"loss": "bce"})
# what a service does that writes the end of a record late: holds it open, then adds to it
LATE = """
import pathlib, sys, time
with open(sys.argv[1], "ab") as record:
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
    record.write(pathlib.Path(sys.argv[3]).read_bytes())
"""


class Late:
    """Processes that hold a file open for some seconds, then add to it what another file has."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, record: Path, seconds: float, rest: Path) -> None:
        command = [sys.executable, "-c", LATE, str(record), str(seconds), str(rest)]
        self.started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert self.started[-1].stdout is not None
        assert self.started[-1].stdout.readline() == "open\n"


@pytest.fixture
def late() -> Iterator[Late]:
    late = Late()
    yield late
    for process in late.started:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run whose record is begun; the rest of it lies beside."""
    folder = tmp_path / "offline-run-20260102_030405-1a2b3c4d"
    folder.mkdir()
    (folder / "run-1a2b3c4d.wandb").write_text("begun")
    (tmp_path / "rest").write_text(" and ended")
    return folder


def rows_of(folder: Path) -> list[list[int]]:
    """The steps of the rows in each record of a study."""
    return [[row["trainer/global_step"] for row in run["history"]] for run in read_offline_runs(folder)]


def test_a_record_is_waited_for_until_its_writer_has_closed_it(folder: Path, tmp_path: Path, late: Late):
    late(folder / "run-1a2b3c4d.wandb", 0.5, tmp_path / "rest")
    assert wait_until_written([folder], seconds=60) == []
    assert (folder / "run-1a2b3c4d.wandb").read_text() == "begun and ended"


def test_one_that_is_written_for_ever_is_named(folder: Path, tmp_path: Path, late: Late):
    late(folder / "run-1a2b3c4d.wandb", 600, tmp_path / "rest")
    assert wait_until_written([tmp_path, folder], seconds=0.1) == [folder]


def test_nobody_waits_for_one_that_is_only_read(folder: Path):
    with (folder / "run-1a2b3c4d.wandb").open():
        assert wait_until_written([folder], seconds=0) == []


@pytest.mark.usefixtures("no_account")
def test_a_closed_run_is_written_whole(tmp_path: Path):
    early = []
    for number in range(8):  # W&B's word that a run has ended comes before its end is written in one of four
        with WandbJob(replace(FIRST, id=f"1a2b3c4{number}"), tmp_path, mode="offline") as job:
            job.log_row(1, {"train/loss": 0.5})
        (record,) = tmp_path.glob(f"wandb/offline-run-*-1a2b3c4{number}/*.wandb")
        early.append((record, record.read_bytes()))
    end_service()
    assert [record.read_bytes() == found for record, found in early] == [True] * 8


@pytest.mark.usefixtures("no_account")
def test_an_attempt_waits_for_the_rows_that_the_one_before_has_not_written(tmp_path: Path, late: Late):
    with WandbJob(FIRST, tmp_path, mode="offline") as job:
        job.log_row(1, {"train/loss": 0.5})
    (record,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    whole = record.read_bytes()
    record.write_bytes(whole[:7])  # all that W&B writes at first: a heading
    (tmp_path / "rest").write_bytes(whole[7:])
    late(record, 3, tmp_path / "rest")
    with WandbJob(FIRST, tmp_path, mode="offline") as job:
        job.log_row(1, {"train/loss": 0.5})
        job.log_row(2, {"train/loss": 0.25})
    assert rows_of(tmp_path) == [[1], [2]]


def test_a_job_opens_its_run_after_one_whose_service_died_before_it_wrote(home: Path, tmp_path: Path):
    aside, step = tmp_path / "wandb" / SUPERSEDED, 0
    with refusing_server() as url, isolated_wandb(home, WANDB_BASE_URL=url, WANDB_API_KEY=WELL_FORMED_KEY):
        with WandbJob(FIRST, tmp_path, mode="offline") as job:
            assert kill_service()
            while not aside.exists():  # until W&B notices, and the record without a run is moved
                assert step < 1000
                step += 1
                job.log_row(step, {"train/loss": 0.5})
                time.sleep(0.01)
        # what Hydra does before the next job of a multirun
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        with WandbJob(SECOND, tmp_path, mode="online") as job:  # W&B logs that it is refused
            job.log_row(1, {"train/loss": 0.5})
    assert rows_of(tmp_path) == [list(range(1, step + 1)), [1]]
