"""Every moment of a job is counted once, for the innermost stage that was going on."""

import csv
from pathlib import Path

import pytest
from helpers.jobs import run, tiny_overrides

from experiments.callbacks.stage_profiler import OF_CALLBACKS, OTHER, StageProfiler, stage_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def test_what_happens_within_a_step_is_taken_out_of_it(tmp_path: Path, clock: list[float]):
    profiler = StageProfiler(tmp_path / "profile.tsv")
    for at, action in [(0, "run_training_batch"), (1, "A.optimizer_step"), (3, "S.training_step")]:
        clock[0] = at
        profiler.start(action)
    for at, action in [(7, "S.training_step"), (8, "A.optimizer_step"), (10, "run_training_batch")]:
        clock[0] = at
        profiler.stop(action)
    assert dict(profiler.seconds) == {OTHER: 1 + 2, "optimiser": 2 + 1, "forward": 4}
    assert profiler.summary() == (
        "stage\tseconds\tshare\tcalls\n"
        "forward\t4.000\t0.400\t1\n"
        "the rest of Lightning's loop\t3.000\t0.300\t1\n"
        "optimiser\t3.000\t0.300\t1\n"
    )


def test_an_action_that_an_error_left_open_ends_with_the_one_around_it(tmp_path: Path, clock: list[float]):
    profiler = StageProfiler(tmp_path / "profile.tsv")
    profiler.start("S.training_step")
    profiler.start("S.backward")
    clock[0] = 2.0
    profiler.stop("S.training_step")
    clock[0] = 5.0
    profiler.start("S.training_step")
    assert dict(profiler.seconds) == {"backward": 2.0, "forward": 0.0}


@pytest.mark.parametrize(
    ("action", "stage"),
    [
        ("[Strategy]SingleDeviceStrategy.backward", "backward"),
        ("[_TrainingEpochLoop].train_dataloader_next", "assembling batches"),
        ("[Callback]History.on_train_batch_end", OF_CALLBACKS),
        ("run_training_epoch", None),
    ],
)
def test_the_stage_of_an_action(action: str, stage: str | None):
    assert stage_of(action) == stage


def test_a_job_leaves_its_profile_and_is_the_job_that_it_is_without(tmp_path: Path, data: Path, backbone: Path):
    overrides = tiny_overrides(tmp_path, data, backbone)
    _, folder = run([*overrides, "trainer.profile=true"])
    with (folder / "profile.tsv").open(encoding="utf-8") as file:
        rows = {row["stage"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert {"forward", "backward", "optimiser", "assembling batches", "validation", "scoring"} <= rows.keys()
    assert sum(float(row["share"]) for row in rows.values()) == pytest.approx(1, abs=0.01)
    assert run(overrides)[1] == folder
