"""The course of a training in ``history.tsv``: its rows and columns, a killed and resumed training, reading it back."""

import math
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import run, tiny_overrides

from experiments.common.errors import ExperimentError
from experiments.job_files.history import COLUMNS, DIAGNOSTICS, FILE, read_history, write_history
from experiments.models.cross_encoder.lightning_module import CrossEncoder

Job = tuple[dict[str, Any], Path]


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    """A job of 8 steps of 4 groups of 4, a validation after each 4, a row after each 3."""
    return [*tiny_overrides(tmp_path_factory.mktemp("history"), data, backbone), "trainer.log_every_n_steps=3"]


@pytest.fixture(scope="module")
def finished(overrides: list[str]) -> Job:
    return run(overrides)


def test_a_row_every_so_many_steps_and_one_at_each_validation(finished: Job):
    history = read_history(finished[1] / FILE)
    assert list(history) == ["step", "groups", "pairs", "tokens", "seconds", "lr", "loss", *DIAGNOSTICS, "dev"]
    assert history["step"] == [3, 4, 6, 8]
    assert history["groups"] == [12, 16, 24, 32]
    assert history["pairs"] == [48, 64, 96, 128]


def test_dev_is_known_at_validations_only(finished: Job):
    metrics, folder = finished
    dev = read_history(folder / FILE)["dev"]
    assert [math.isnan(one) for one in dev] == [True, False, True, False]
    assert max(dev[1], dev[3]) == pytest.approx(metrics["dev"]["RR@10"], rel=1e-5)


def test_the_last_row_is_what_was_spent(finished: Job):
    metrics, folder = finished
    history, spent = read_history(folder / FILE), metrics["compute"]
    assert history["tokens"][-1] == spent["tokens"]
    assert history["seconds"] == sorted(history["seconds"])
    assert 0 < history["seconds"][-1] <= spent["train_seconds"] * (1 + 1e-5)


def test_the_rate_is_that_of_the_step_and_the_rest_are_means_since_the_row_before(finished: Job, overrides: list[str]):
    each = read_history(run([*overrides, "trainer.log_every_n_steps=1", "study=each_step"])[1] / FILE)
    rows = read_history(finished[1] / FILE)
    assert rows["lr"] == [each["lr"][step - 1] for step in (3, 4, 6, 8)]
    for name in ("loss", *DIAGNOSTICS):
        steps = each[name]
        means = [sum(steps[0:3]) / 3, steps[3], sum(steps[4:6]) / 2, sum(steps[6:8]) / 2]
        assert rows[name] == pytest.approx(means, rel=1e-4, abs=1e-6), name


def test_a_training_that_stopped_and_went_on_has_the_rows_of_one_that_did_not(
    finished: Job, overrides: list[str], monkeypatch: pytest.MonkeyPatch
):
    """It stops at the seventh step, so that the row of the sixth is made again from the checkpoint of the fourth."""
    train = CrossEncoder.training_step

    def stop_at_seven(self: CrossEncoder, batch: Any, batch_idx: int) -> Any:
        if batch.step == 6:
            raise RuntimeError("out of memory")
        return train(self, batch, batch_idx)

    halves = [*overrides, "study=in_two_halves"]
    monkeypatch.setattr(CrossEncoder, "training_step", stop_at_seven)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(halves)
    monkeypatch.undo()
    (stopped,) = (finished[1].parents[1] / "in_two_halves").rglob(FILE)
    assert read_history(stopped)["step"] == [3, 4, 6], "what is known of a failed training is kept"
    resumed, whole = (read_history(folder / FILE) for folder in (run(halves)[1], finished[1]))
    for name in COLUMNS:
        if name != "seconds":
            assert resumed[name] == pytest.approx(whole[name], nan_ok=True, rel=0, abs=0), name


def test_what_is_written_is_read_and_what_is_unknown_stays_empty(tmp_path: Path):
    rows = [{"step": 10, "loss": 0.25}, {"step": 20, "dev": 0.5}]
    write_history(tmp_path / FILE, rows, ["step", "loss", "dev"])
    assert (tmp_path / FILE).read_text() == "step\tloss\tdev\n10\t0.25\t\n20\t\t0.5\n"
    found = read_history(tmp_path / FILE)
    assert found["step"] == [10, 20]
    write_history(tmp_path / FILE, [{"step": 1, "loss": 1 / 3}], ["step", "loss"])
    assert read_history(tmp_path / FILE)["loss"] == [1 / 3], "in full precision"
    assert found["loss"] == pytest.approx([0.25, math.nan], nan_ok=True)
    assert found["dev"] == pytest.approx([math.nan, 0.5], nan_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step\tloss\n10\t0.5\n20\n", r"history\.tsv, line 3: 1 fields, but line 1 names 2 columns"),
        ("step\tloss\n10\tlow\n", r"history\.tsv, line 2: loss is 'low', which is no number"),
        ("loss\tstep\n", r"history\.tsv, line 1: no history of a training"),
        ("step\tloss\tloss\n", r"history\.tsv, line 1: no history of a training"),
        ("", r"history\.tsv, line 1: no history of a training"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ExperimentError, match=message):
        read_history(tmp_path / FILE)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"history\.tsv is missing"):
        read_history(tmp_path / FILE)
