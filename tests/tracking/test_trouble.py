"""Whatever happens to W&B, a job ends with its numbers, says once in one line what happened, and what is left to sync.

The service is W&B's own process, `wandb-core`; the server is a local one.
"""

import logging
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import run, tiny_overrides
from helpers.wandb_backend import wandb_backend
from helpers.wandb_records import UNREACHABLE, WELL_FORMED_KEY, isolated_wandb, kill_service, read_offline_runs

from experiments.models.cross_encoder.lightning_module import CrossEncoder


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    """A job of 8 steps that logs each."""
    tiny = tiny_overrides(tmp_path_factory.mktemp("trouble"), data, backbone, "trainer.log_every_n_steps=1")
    return [*tiny, "logger=wandb", "study=shapes"]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [record.getMessage() for record in found if record.name.startswith("experiments.tracking")]


def losses_of(records: list[dict[str, Any]]) -> list[int]:
    """The steps of the rows of the training, in all records."""
    rows = [row for record in records for row in record["history"] if "train/loss" in row]
    return [row["trainer/global_step"] for row in rows]


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps at whose start the service is killed."""
    steps: list[int] = []
    train = CrossEncoder.training_step

    def step(module: CrossEncoder, batch: Any, batch_idx: int) -> Any:
        if batch.step in steps:
            assert kill_service()
        return train(module, batch, batch_idx)

    monkeypatch.setattr(CrossEncoder, "training_step", step)
    return steps


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_service_that_dies_leaves_a_complete_record_for_sync(
    overrides: list[str], killed_at: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
):
    killed_at += [3]
    with wandb_backend() as server:
        own = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": WELL_FORMED_KEY}
        with isolated_wandb(tmp_path, **own):
            metrics, folder = run([*overrides, f"outputs={tmp_path / 'outputs'}", f"logger.mode={mode}"])
            records = read_offline_runs(folder.parent)
    assert (folder / "metrics.json").is_file()
    (warning,) = warnings_of(caplog)
    assert "W&B's service has ended" in warning
    assert "`wandb sync` uploads it from" in warning
    assert "\n" not in warning
    steps = losses_of(records)
    assert sorted(steps) == sorted(set(steps)), "no row twice"
    if mode == "offline":
        assert sorted(steps) == list(range(8)), "no row is lost"
    assert records[-1]["exit_code"] == 0
    assert records[-1]["summary"]["RR@10"] == pytest.approx(metrics["test"]["bm25"]["RR@10"])


def test_a_service_that_dies_twice_is_left_alone(
    overrides: list[str], killed_at: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    killed_at += [2, 5]
    with isolated_wandb(tmp_path):
        metrics, folder = run([*overrides, f"outputs={tmp_path / 'outputs'}", "logger.mode=offline"])
    assert metrics["test"]["bm25"]["queries"] == 12
    assert (folder / "metrics.json").is_file()
    first, second = warnings_of(caplog)
    assert "goes on offline" in first
    assert "the job goes on without it" in second


@pytest.mark.parametrize("trouble", ["wrong key", "no rights", "no network", "server out of order"])
def test_a_server_that_does_not_take_the_run_leaves_it_on_disk(
    overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
):
    with wandb_backend() as server:
        server.unknown_key, server.dead = trouble == "wrong key", trouble == "server out of order"
        server.denied |= {"UpsertBucket"} if trouble == "no rights" else set()
        url = UNREACHABLE if trouble == "no network" else server.url
        with isolated_wandb(tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY=WELL_FORMED_KEY):
            metrics, folder = run([*overrides, f"outputs={tmp_path / 'outputs'}", "logger.mode=online"])
            (record,) = read_offline_runs(folder.parent)
    assert (folder / "metrics.json").is_file()
    assert losses_of([record]) == list(range(8))
    assert record["exit_code"] == 0
    assert record["summary"]["RR@10"] == pytest.approx(metrics["test"]["bm25"]["RR@10"])
    (warning,) = warnings_of(caplog)
    assert "`wandb sync` uploads its runs later" in warning
    assert "\n" not in warning
    assert WELL_FORMED_KEY not in warning
