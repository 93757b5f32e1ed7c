"""Prerequisites of a multirun's jobs run before them, by the multirun's launcher."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.jobs import GOES_ON, composed, tiny_overrides
from helpers.studies import broken, in_this_process

from experiments.common.errors import ExperimentError
from experiments.config.compose import check
from experiments.jobs.prerequisite_stage import needed_by

SIZES = (
    "model.max_length:48,model.max_query_tokens:16,negatives.count:3,negatives.depth:20,budget.size:32,batch.size:4,"
    "validation.depth:10,first_stage_depth:10"
)
BY_LCE, BY_BCE = (f"{{loss:{loss},{SIZES}}}" for loss in ("lce", "bce"))


@pytest.fixture
def overrides(tmp_path: Path, data: Path, backbone: Path) -> list[str]:
    return [*tiny_overrides(tmp_path, data, backbone), "loss=margin_mse", "study=grid"]


def launched(
    overrides: Sequence[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    """Run ``experiments.train -m``; returns the exit code and the lines of jobs that start, end or are refused."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    code = in_this_process(["python", "-m", "experiments.train", "-m", *overrides], None)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("[") and not GOES_ON.search(line)]
    return code, [line.partition(" in ")[0] for line in lines if "put in their places" not in line]


def test_a_teacher_of_two_jobs_is_trained_before_both_in_a_row_of_its_own(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    code, lines = launched([*overrides, f"++loss.job={BY_LCE}", "seed=1,2"], monkeypatch, capfd)
    assert code == 0
    assert lines == [
        "[first] lce-n3-bm25-s1 (prerequisite: loss.teacher): starts",
        "[first] lce-n3-bm25-s1 (prerequisite: loss.teacher): done",
        "[1/2] seed=1: starts",
        "[1/2] seed=1: done",
        "[2/2] seed=2: starts",
        "[2/2] seed=2: done",
    ]
    (teacher,) = (path.parent for path in (tmp_path / "outputs" / "for_loss").glob("*/status.json"))
    assert list(teacher.glob("*.log")), "its log is in its own folder"
    assert not (teacher / "hydra").exists(), "study rerun-failed runs it by the jobs that need it"


def test_one_that_is_done_is_in_no_row(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    grid = [*overrides, f"++loss.job={BY_LCE}"]
    assert launched([*grid, "seed=1"], monkeypatch, capfd)[1][0].startswith("[first]")
    code, lines = launched([*grid, "seed=1,2"], monkeypatch, capfd)
    assert code == 0
    assert not [line for line in lines if line.startswith("[first]")]
    assert any(line.startswith("[1/2] seed=1: done before") for line in lines)


def test_jobs_whose_teacher_failed_do_not_start_and_name_it_and_the_others_run(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    broken(monkeypatch, "lce", ExperimentError("the loss is no number"))
    code, lines = launched([*overrides, f"++loss.job={BY_LCE},{BY_BCE}"], monkeypatch, capfd)
    assert code == 2
    ends = [line for line in lines if not line.endswith(": starts")]
    assert ends[:2] == [
        "[first] lce-n3-bm25-s1 (prerequisite: loss.teacher): failed: the loss is no number",
        "[first] bce-n3-bm25-s1 (prerequisite: loss.teacher): done",
    ]
    assert ends[2].startswith("[1/2] ")
    assert ends[2].endswith(": not started: its prerequisite lce-n3-bm25-s1 (prerequisite: loss.teacher) has failed")
    assert ends[3].startswith("[2/2] ")
    assert ends[3].endswith(": done")
    statuses = {
        path.parent.name: json.loads(path.read_text())["state"]
        for path in (tmp_path / "outputs").glob("*/*/status.json")
    }
    assert sorted(statuses.values()) == ["failed", "finished", "finished"]


def test_those_that_others_need_come_first(overrides: list[str]):
    chain = f"{{loss:margin_mse,{SIZES},loss.job:{BY_BCE}}}"
    jobs = [
        (f"job-{seed}", [f"seed={seed}"], check(composed(*overrides, f"++loss.job={chain}", f"seed={seed}")))
        for seed in (1, 2)
    ]
    bce, margin_mse = needed_by(jobs)
    assert (bce.depth, margin_mse.depth) == (0, 1)
    assert margin_mse.by == {"job-1", "job-2"}
    assert bce.by == {"job-1", "job-2", margin_mse.folder.name}
    assert bce.overrides == margin_mse.overrides == ("seed=1",)
