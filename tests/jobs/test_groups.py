"""Trainer, callbacks, logger and optimiser of the user's own: any of Lightning's and torch's, by ``_target_``."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from helpers.jobs import ROOT, run, tiny_overrides
from pytorch_lightning.callbacks import EarlyStopping

from experiments.common.errors import ExperimentError
from experiments.jobs.trainer import monitor_of

SPY = '''
"""A callback of a user's own, on the Python path."""

import json
import traceback
from pathlib import Path

import pytorch_lightning as pl


class Spy(pl.Callback):
    def __init__(self, path, monitor, mode, times=1):
        self.path, self.given = path, [monitor, mode, times]

    def on_fit_start(self, trainer, pl_module):
        frames = [[frame.filename, frame.name] for frame in traceback.extract_stack()]
        Path(self.path).write_text(json.dumps({"frames": frames, "given": self.given}))
'''


@pytest.fixture
def overrides(tmp_path: Path, data: Path, backbone: Path) -> list[str]:
    return tiny_overrides(tmp_path, data, backbone)


def test_a_callback_of_ones_own_runs_at_most_four_frames_below_the_command(overrides: list[str], tmp_path: Path):
    (tmp_path / "spies.py").write_text(SPY)
    seen = tmp_path / "seen.json"
    spy = ["+callbacks.spy._target_=spies.Spy", f"+callbacks.spy.path={seen}", "+callbacks.spy.times=3"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", *overrides, *spy], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    noted = json.loads(seen.read_text())
    assert noted["given"] == ["dev/RR@10", "max", 3], "what its settings leave out is the dev measure"
    ours = [name for path, name in noted["frames"] if Path(path).is_relative_to(ROOT / "experiments")]
    assert ours[ours.index("main") :] == ["main", "run", "run_whole_job", "run_job"]
    assert len(ours[ours.index("main") :]) <= 4


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, ("dev/RR@10", "max")), ({"monitor": "train/loss"}, ("train/loss", "min"))]
)
def test_a_callback_that_names_its_monitor_keeps_its_own_mode(settings: dict[str, str], expected: tuple[str, str]):
    made = partial(EarlyStopping, **settings)
    callback = made(**monitor_of(made, "dev/RR@10"))
    assert (callback.monitor, callback.mode) == expected


def test_any_argument_of_the_trainer_reaches_it(overrides: list[str], caplog: pytest.LogCaptureFixture):
    metrics, folder = run([*overrides, "+trainer.limit_val_batches=1", "+trainer.profiler=simple"])
    assert metrics["test"]["bm25"]["queries"] == 12
    assert "limit_val_batches: 1" in (folder / "config.yaml").read_text()
    assert "trainer.limit_val_batches=1: dev passages beyond them keep score 0" in caplog.text


def test_an_argument_that_lightning_refuses_is_one_line(overrides: list[str]):
    with pytest.raises(ExperimentError, match=r"^trainer: Trainer cannot be made: .*profiler"):
        run([*overrides, "+trainer.profiler=no_such_profiler"])


def test_averaged_weights_are_what_is_kept(overrides: list[str], tmp_path: Path):
    plain, before = run(overrides)
    metrics, folder = run([*overrides, "callbacks=weight_averaging", "validation.select=last"])
    assert metrics["compute"]["steps"] == plain["compute"]["steps"]
    assert (folder / "run.bm25.trec.gz").read_bytes() != (before / "run.bm25.trec.gz").read_bytes()


def test_early_stopping_looks_at_the_dev_measure(overrides: list[str]):
    stop = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-12"]
    metrics, _ = run([*overrides, *stop, "validation.times=4"])
    assert metrics["compute"]["steps"] == 4, "the second of four validations is no better than the first"


def test_another_optimiser_and_schedule_train(overrides: list[str]):
    metrics, folder = run([*overrides, "optimizer=sgd", "scheduler=constant", "scheduler.warmup=0"])
    with (folder / "history.tsv").open() as file:
        rates = {float(row["lr"]) for row in csv.DictReader(file, delimiter="\t")}
    assert rates == {1e-3}
    assert metrics["compute"]["steps"] == 8


def test_the_csv_logger_writes_into_the_jobs_folder(overrides: list[str]):
    _, folder = run([*overrides, "logger=csv", "trainer.log_every_n_steps=1"])
    with (folder / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["train/loss"]]) == 8
    assert len([row for row in rows if row["dev/RR@10"]]) == 2


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="tensorboard is installed")
def test_tensorboard_that_is_not_installed_is_one_line(overrides: list[str]):
    with pytest.raises(ExperimentError, match=r"^logger: TensorBoardLogger cannot be made: .*tensorboard.*") as refused:
        run([*overrides, "logger=tensorboard"])
    assert "\n" not in str(refused.value)


def test_a_history_and_a_progress_bar_can_be_left_out(overrides: list[str]):
    _, folder = run([*overrides, "callbacks.history=null", "callbacks.progress=null"])
    assert not (folder / "history.tsv").exists()
    assert (folder / "run.bm25.trec.gz").exists()


def test_one_step_of_everything(overrides: list[str]):
    sizes = ["budget.size=2", "batch.size=2", "validation.times=1"]
    metrics, folder = run([*overrides, "+debug=one_step", "data.carve_dev=5", *sizes])
    assert folder.parent.name == "debug"
    assert metrics["compute"]["steps"] == 1
    assert metrics["test"]["bm25"]["queries"] == 5
