"""The settings of a teacher's file: what they may be, and that jobs without such a file are called as before."""

from pathlib import Path

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_hash, scientific
from experiments.config.teacher_file import TeacherFile, names_file


@pytest.mark.parametrize(
    ("place", "file"),
    [
        ("scores.tsv", True),
        ("runs/rank-distillm.run", True),
        ("scores.parquet", True),
        ("msmarco-hard-negatives.jsonl.gz", True),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", False),
        ("outputs/adhoc/lce-n7/model", False),
        ("model", False),
    ],
)
def test_a_file_is_told_from_a_model_by_its_ending(place: str, file: bool):
    assert names_file(place) == file


def test_a_file_with_any_ending_that_is_there_is_one_and_a_folder_is_none(tmp_path: Path):
    (tmp_path / "scores").write_text("q\tp\t1.5\n")
    (tmp_path / "model.run").mkdir()
    assert names_file(str(tmp_path / "scores"))
    assert not names_file(str(tmp_path / "model.run"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("loss.teacher_file.format=csv", r"loss\.teacher_file\.format is 'csv': it must be one of auto, trec, msmarco"),
        ("loss.teacher_file.value=ranks", r"loss\.teacher_file\.value is 'ranks': it must be one of score, rank"),
        ("loss.teacher_file.missing=skip", r"loss\.teacher_file\.missing is 'skip': it must be one of error, mask"),
        ("loss.teacher_file.repeated=last", r"loss\.teacher_file\.repeated is 'last': it must be one of error, mean"),
        ("loss.teacher_file.coverage=2", r"loss\.teacher_file\.coverage is 2: it must be at most 1"),
        ("loss.teacher_file.coverage=most", r"loss\.teacher_file\.coverage is 'most': it must be a number"),
        (
            "+loss.teacher_file.mising=mask",
            r"no key loss\.teacher_file\.mising: did you mean loss\.teacher_file\.missing",
        ),
        ("loss.teacher_file=mask", r"loss\.teacher_file is 'mask': it must have the keys format, value"),
    ],
)
def test_what_it_may_be(overrides: str, message: str):
    with pytest.raises(ExperimentError, match=message):
        compose.check(composed("loss=mse", "loss.teacher=scores.tsv", *overrides.split()))


@pytest.mark.parametrize("teacher", ["loss.teacher=null", "loss.teacher=some/model"])
def test_a_model_has_no_such_settings(teacher: str):
    with pytest.raises(ExperimentError, match=r"loss\.teacher_file is of a file of scores, but loss\.teacher is"):
        compose.check(composed("loss=mse", teacher, "loss.teacher_file.missing=mask"))


def test_a_loss_without_a_teacher_has_no_such_settings():
    with pytest.raises(ExperimentError, match=r"loss\.teacher_file does not exist: loss=lce learns from no teacher"):
        compose.check(composed("loss=lce", "+loss.teacher_file={missing:mask}"))


def test_the_settings_are_those_of_the_file():
    given = ["loss.teacher_file.missing=mask", "loss.teacher_file.value=rank", "loss.teacher_file.coverage=0.9"]
    experiment = compose.check(composed("loss=mse", "loss.teacher=a.run", *given))
    assert experiment.teacher_file == TeacherFile(missing="mask", value="rank", coverage=0.9)
    assert compose.check(composed("loss=mse", "loss.teacher=some/model")).teacher_file is None


def test_a_job_is_called_as_it_was_before_there_were_such_settings():
    config = compose.plain(composed("loss=margin_mse", "loss.teacher=some/model"))
    before = {**config, "loss": {key: value for key, value in config["loss"].items() if key != "teacher_file"}}
    assert "teacher_file" in config["loss"]
    assert "teacher_file" not in scientific(config)["loss"]
    assert job_hash(config) == job_hash(before)


@pytest.mark.parametrize("setting", ["missing=mask", "value=rank", "repeated=mean", "coverage=0.1", "format=trec"])
def test_a_setting_is_part_of_what_a_job_is(setting: str):
    base = ["loss=mse", "loss.teacher=a.run"]
    changed = compose.plain(composed(*base, f"loss.teacher_file.{setting}"))
    assert job_hash(changed) != job_hash(compose.plain(composed(*base)))
