"""``python -m experiments.study run``, ``status`` and ``rerun-failed``: whole studies, run, broken, mended.

Hydra's multirun runs in this process.
"""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.studies import BOTH, broken, job, states

from experiments import study
from experiments.jobs.launch_control import LaunchControl

LOSSES = ("bce", "lce")


def test_a_study_that_ran_is_done(finished: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]):
    overrides, folder = finished
    assert states(folder) == {"bce": "done", "lce": "done"}
    assert not list(folder.glob(".launch-*")), "the launch is gone"
    assert study.main(["status", *overrides]) == 0
    by_grid = capsys.readouterr().out
    assert "2 jobs: 2 done" in by_grid
    assert study.main(["status", str(folder)]) == 0
    assert capsys.readouterr().out == by_grid


@pytest.mark.usefixtures("quick")
def test_a_study_that_is_run_again_does_nothing_twice_and_ends_with_its_report(
    finished: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    reported: list[list[str]] = []
    monkeypatch.setattr("experiments.report.main", lambda arguments: reported.append(arguments) or 0)
    before = (job(folder, "lce") / "status.json").stat().st_mtime_ns
    assert study.main(["run", *overrides]) == 0
    assert capsys.readouterr().out.startswith("2 jobs: 2 done; what is done is skipped\n")
    assert (job(folder, "lce") / "status.json").stat().st_mtime_ns == before
    assert reported == [[str(folder)]]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[Path]]:
    """The folders of each launch, which starts nothing."""
    launches: list[list[Path]] = []
    monkeypatch.setattr(
        "experiments.studies.commands.launch_jobs",
        lambda overrides, folders, **options: launches.append(list(folders)) or 0,
    )
    return launches


def test_a_finished_study_is_not_launched_again_and_shows_its_jobs(
    finished: tuple[list[str], Path], launched: list[list[Path]], capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    assert study.main(["run", "--no-report", *overrides]) == 0
    assert launched == []
    *lines, total = capsys.readouterr().err.splitlines()
    scores = [json.loads((job(folder, loss) / "metrics.json").read_text())["test"]["bm25"]["RR@10"] for loss in LOSSES]
    assert lines == [
        f"[{number}/2] loss={loss}: done before, test MRR@10 {score:.3f}"
        for number, (loss, score) in enumerate(zip(LOSSES, scores, strict=True), 1)
    ]
    assert total == "2 jobs: 2 done before"


def test_what_a_killed_launch_has_left_is_deleted_though_nothing_is_launched_again(
    finished: tuple[list[str], Path], launched: list[list[Path]], monkeypatch: pytest.MonkeyPatch
):
    overrides, folder = finished
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 2**22 + 1)  # no process has this id
        left = LaunchControl.make(folder).folder
    assert study.main(["run", "--no-report", *overrides]) == 0
    assert launched == []
    assert not left.exists()


def test_other_passages_launch_a_finished_study(
    finished: tuple[list[str], Path], launched: list[list[Path]], monkeypatch: pytest.MonkeyPatch
):
    overrides, folder = finished
    other = SimpleNamespace(fingerprint="of other passages")
    monkeypatch.setattr("experiments.studies.finished.open_collection", lambda *arguments: other)
    study.main(["run", "--no-report", *overrides])
    assert launched == [[job(folder, loss) for loss in LOSSES]]


def test_a_part_of_a_finished_study_is_launched_for_its_record(
    finished: tuple[list[str], Path], launched: list[list[Path]]
):
    overrides, folder = finished
    study.main(
        ["run", "--no-report", *(override for override in overrides if override not in BOTH), "loss=lce", BOTH[1]]
    )
    assert launched == [[job(folder, "lce")]]


def test_a_job_whose_measures_are_lost_launches_a_finished_study(
    finished: tuple[list[str], Path], launched: list[list[Path]]
):
    overrides, folder = finished
    metrics = job(folder, "lce") / "metrics.json"
    kept = metrics.read_bytes()
    metrics.write_text("{")
    study.main(["run", "--no-report", *overrides])
    metrics.write_bytes(kept)
    assert len(launched) == 1


def test_a_checkpoint_that_a_kill_has_left_launches_a_finished_study(
    finished: tuple[list[str], Path], launched: list[list[Path]]
):
    overrides, folder = finished
    left = job(folder, "lce") / "checkpoints"
    left.mkdir()
    study.main(["run", "--no-report", *overrides])
    left.rmdir()
    assert len(launched) == 1


@pytest.mark.usefixtures("quick")
def test_a_job_that_fails_leaves_the_others_done_and_is_mended_when_its_cause_is(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    study_of, folder = [*overrides, *BOTH], tmp_path / "outputs" / "both"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, "bce", RuntimeError("out of memory\nin layer 7"))
        assert study.main(["run", "--no-report", *study_of]) == 1
    assert states(folder) == {"bce": "failed", "lce": "done"}
    said = capsys.readouterr()
    assert "[1/2] loss=bce: failed: RuntimeError: out of memory (see " in said.err
    assert f"rerun-failed {folder}" in said.out
    assert study.main(["rerun-failed", *study_of]) == 0
    assert states(folder) == {"bce": "done", "lce": "done"}
    assert json.loads((job(folder, "bce") / "status.json").read_text())["attempts"] == 2
    assert json.loads((job(folder, "lce") / "status.json").read_text())["attempts"] == 1
    capsys.readouterr()
    assert study.main(["rerun-failed", *study_of]) == 0
    assert capsys.readouterr().out == "nothing to rerun: no job has failed or was interrupted\n"


@pytest.mark.usefixtures("quick")
def test_after_a_failure_no_job_starts_if_it_is_to_fail_fast_and_only_the_failed_one_is_rerun(
    overrides: list[str], tmp_path: Path
):
    folder = tmp_path / "outputs" / "both"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, "bce", RuntimeError("out of memory"))
        assert study.main(["run", "--fail-fast", "--no-report", *overrides, *BOTH]) == 1
    assert states(folder) == {"bce": "failed", "lce": "missing"}
    assert study.main(["rerun-failed", str(folder)]) == 0, "from the overrides that Hydra kept in the job's folder"
    assert states(folder) == {"bce": "done", "lce": "missing"}


@pytest.mark.usefixtures("quick")
def test_an_interrupted_job_is_no_failed_one_and_is_rerun(overrides: list[str], tmp_path: Path):
    folder = tmp_path / "outputs" / "both"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, "bce", KeyboardInterrupt())
        assert study.main(["run", "--no-report", *overrides, *BOTH]) == 130
    assert states(folder)["bce"] == "interrupted"
    assert study.main(["rerun-failed", *overrides, *BOTH]) == 0
    assert states(folder)["bce"] == "done"


@pytest.mark.usefixtures("quick")
def test_a_job_that_could_not_begin_says_why(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from experiments.common.errors import ExperimentError
    from experiments.jobs import whole_job

    def no_components(*args: Any) -> None:
        raise ExperimentError("the retriever of negatives is not there")

    monkeypatch.setattr(whole_job, "train_prerequisites", no_components)
    assert study.main(["run", "--no-report", *overrides, "study=both"]) == 1
    assert re.search(
        r"\[1/1\] \S+: failed: the retriever of negatives is not there$", capsys.readouterr().err, re.MULTILINE
    )


def test_a_job_whose_overrides_make_another_one_today_is_not_rerun_as_that(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    folder = job(copied, "bce")
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "failed"}))
    assert study.main(["rerun-failed", str(copied)]) == 2
    assert "its overrides (data=beir" in (said := capsys.readouterr().err)
    assert "make another job today" in said


def test_a_job_whose_overrides_have_lost_a_line_is_named_with_the_key_that_is_missing(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    folder = job(copied, "bce")
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "failed"}))
    kept = folder / "hydra" / "overrides.yaml"
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join(line for line in lines if not line.startswith("- data.path=")))
    assert study.main(["rerun-failed", str(copied)]) == 2
    way_out = "data.path must be given: add data.path=... to its hydra/overrides.yaml"
    assert capsys.readouterr().err == f"error: {folder}: {way_out}\n"


@pytest.mark.parametrize("command", ["status", "verify", "rerun-failed", "plan", "run"])
def test_overrides_without_a_key_that_must_be_given_are_refused_by_every_command(
    overrides: list[str], command: str, capsys: pytest.CaptureFixture[str]
):
    assert study.main([command, *(one for one in overrides if not one.startswith("data.path="))]) == 2
    assert "data.path must be given: add data.path=... to the command\n" in capsys.readouterr().err
