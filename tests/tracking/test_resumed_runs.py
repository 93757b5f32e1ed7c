"""A job that was interrupted and resumed has each row of its W&B history once, whatever the service did meanwhile.

The rows are read back from W&B's own records, and from a server after `wandb sync`.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.file_operations import Killed
from helpers.jobs import run, tiny_overrides
from helpers.wandb_backend import Backend, wandb_backend
from helpers.wandb_records import WANDB_EXECUTABLE, WELL_FORMED_KEY, isolated_wandb, read_offline_runs

from experiments.callbacks.checkpoints import KeepCheckpoints
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.tracking.earlier_rows import SUPERSEDED, ServerRows, records_of, row_of

CLOCK = "callbacks.checkpoint.minutes=0"  # a checkpoint after every step, before Lightning logs it
TIMES = ("_runtime", "_timestamp", "_step", "train/tokens_per_second")


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    """A job of 12 steps that logs a row every two, and validates after each four."""
    tiny = tiny_overrides(tmp_path_factory.mktemp("resumed"), data, backbone, "trainer.log_every_n_steps=2")
    return [*tiny, "budget.size=48", "validation.times=3", "study=shapes"]


@pytest.fixture(scope="module")
def whole(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of a job that ran through."""
    outputs = tmp_path_factory.mktemp("whole")
    with isolated_wandb(outputs):
        _, folder = run([*overrides, "logger=wandb_offline", f"outputs={outputs}"])
        (record,) = read_offline_runs(folder.parent)
    return rows_of(record["history"])


def rows_of(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the training, without what differs by the clock."""
    training = [row for row in history if any(name.startswith(("train/", "dev/")) for name in row)]
    return [{name: value for name, value in row.items() if name not in TIMES} for row in training]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str], int], None]:
    """Run a job that is killed at the start of a step: what it would write on its way out is not written."""

    def kill(overrides: list[str], at: int) -> None:
        train = CrossEncoder.training_step

        def step(module: CrossEncoder, batch: Any, batch_idx: int) -> Any:
            if batch.step == at:
                raise Killed("stopped")
            return train(module, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(CrossEncoder, "training_step", step)
            patch.setattr(KeepCheckpoints, "on_exception", lambda *_: None)
            with pytest.raises(Killed):
                run(overrides)

    return kill


def synced(server: Backend, study: Path, home: Path) -> list[dict[str, Any]]:
    """The rows that the server has after the documented `wandb sync`."""
    own = {"HOME": str(home), "WANDB_BASE_URL": server.url, "WANDB_API_KEY": WELL_FORMED_KEY, "WANDB_MODE": "online"}
    records = sorted(map(str, (study / "wandb").glob("offline-run-*")))
    done = subprocess.run(
        [str(WANDB_EXECUTABLE), "sync", *records],
        env=os.environ | own, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (got,) = server.runs.values()
    assert [row["_step"] for row in got.rows] == list(range(len(got.rows)))
    return rows_of(got.rows)


def test_attempts_that_were_killed_anywhere_sync_to_the_rows_of_one_that_ran_through(
    overrides: list[str], whole: list[dict[str, Any]], killed: Any, tmp_path: Path
):
    offline = [*overrides, "logger=wandb_offline", f"outputs={tmp_path / 'outputs'}"]
    with isolated_wandb(tmp_path):
        killed([*offline, CLOCK], 2)  # the row of step 2 is in the checkpoint before it is logged
        killed(offline, 7)  # those of steps 5 and 6 come again: its last checkpoint is of step 4
        killed(offline, 11)
        _, folder = run(offline)
        records = read_offline_runs(folder.parent)
    assert len(records) == 4
    assert rows_of([row for record in records for row in record["history"]]) == whole
    with wandb_backend() as server:
        assert synced(server, folder.parent, tmp_path) == whole


def test_rows_that_a_killed_service_lost_are_logged_by_the_next_attempt(
    overrides: list[str], whole: list[dict[str, Any]], killed: Any, tmp_path: Path
):
    offline = [*overrides, "logger=wandb_offline", f"outputs={tmp_path / 'outputs'}"]
    with isolated_wandb(tmp_path):
        killed(offline, 5)
        (record,) = tmp_path.glob("outputs/shapes/wandb/offline-run-*/*.wandb")
        size = record.stat().st_size
        os.truncate(record, size - size // 4)
        _, folder = run(offline)
        records = read_offline_runs(folder.parent)
    assert len(rows_of(records[0]["history"])) < 3, "some were lost"
    assert rows_of([row for record in records for row in record["history"]]) == whole


def test_a_training_that_begins_anew_replaces_what_was_recorded(
    overrides: list[str], whole: list[dict[str, Any]], killed: Any, tmp_path: Path
):
    offline = [*overrides, "logger=wandb_offline", f"outputs={tmp_path / 'outputs'}"]
    with isolated_wandb(tmp_path):
        killed(offline, 3)  # before the first checkpoint
        _, folder = run(offline)
        (record,) = read_offline_runs(folder.parent)
    assert rows_of(record["history"]) == whole
    assert len(list((folder.parent / "wandb" / SUPERSEDED).iterdir())) == 1


@pytest.mark.parametrize("modes", [("online", "online"), ("offline", "online")])
def test_online_the_server_has_each_row_once(
    overrides: list[str], whole: list[dict[str, Any]], killed: Any, tmp_path: Path, modes: tuple[str, str]
):
    job = [*overrides, "logger=wandb", f"outputs={tmp_path / 'outputs'}"]
    with wandb_backend() as server:
        own = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": WELL_FORMED_KEY}
        with isolated_wandb(tmp_path, **own):
            killed([*job, f"logger.mode={modes[0]}"], 7)
            run([*job, f"logger.mode={modes[1]}"])
        (got,) = server.runs.values()
    assert rows_of(got.rows) == whole
    assert not list(tmp_path.glob("outputs/shapes/wandb/offline-run-*"))


def test_the_records_of_a_run_are_those_with_its_id_and_among_them_two_of_one_second(tmp_path: Path):
    first, second = "offline-run-20260102_030405-1a2b3c4d", "offline-run-20260102_030405-1a2b3c4d-1"
    for name in (second, first, "offline-run-20260102_030405-5e6f7a8b", "run-20260102_030405-1a2b3c4d"):
        (tmp_path / name).mkdir()
    assert records_of(tmp_path, "1a2b3c4d", online=False) == [tmp_path / first, tmp_path / second]


def test_a_row_is_told_by_its_step_and_what_it_is_of():
    train, dev = {"train/loss": 0.5, "train/lr": 0.1, "epoch": 0}, {"dev/RR@10": 0.5, "epoch": 0}
    assert row_of(3, train) == row_of(3, {"train/loss": 0.25, "_step": 7, "trainer/global_step": 3})
    assert len({row_of(3, train), row_of(3, dev), row_of(4, train)}) == 3


def test_the_last_row_of_the_server_is_told_by_its_values():
    has = ServerRows({"trainer/global_step": 3, "train/loss": 0.5, "train/tokens_per_second": 9.0, "epoch": 0}).has
    assert has(2, {"train/loss": 0.75})
    assert has(3, {"train/loss": 0.5, "train/tokens_per_second": 8.0, "epoch": 0})
    assert not has(3, {"dev/RR@10": 0.5, "epoch": 0})
    assert not has(4, {"train/loss": 0.5})
