"""What is read back from a study's folder, and what is said about a job that cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import write_job, write_unfinished_job

from experiments.analysis.load import read_job, read_study
from experiments.common.errors import ExperimentError

RERANKED = {"q1": 1.0, "q2": 0.25, "q3": 1.0, "q4": 0.5}


def test_a_study_holds_the_folders_that_have_a_status(tmp_path: Path) -> None:
    write_job(tmp_path, "lce-n7", RERANKED)
    write_unfinished_job(tmp_path, "bce-n7", "running")
    (tmp_path / "wandb").mkdir()
    (tmp_path / "table.md").write_text("", encoding="utf-8")
    assert [job.name for job in read_study(tmp_path)] == ["bce-n7", "lce-n7"]


def test_a_finished_job_has_labels_config_compute_and_values_per_query(tmp_path: Path) -> None:
    job = read_job(write_job(tmp_path, "lce-n7", RERANKED, config={"optimizer": {"lr": 2e-4}}, ties=3))
    assert job.finished
    assert (job.labels["loss"], job.labels["negatives"]) == ("lce", 7)
    assert job.config["optimizer"] == {"lr": 2e-4}
    assert job.compute["pairs"] == 8000
    assert job.test["bm25"]["ties"] == 3
    assert job.per_query["bm25"].query_ids == ("q1", "q2", "q3", "q4")
    np.testing.assert_array_equal(job.per_query["bm25"].reranked["RR@10"], [1.0, 0.25, 1.0, 0.5])
    np.testing.assert_array_equal(job.per_query["bm25"].first_stage["RR@10"], [0.5, 0.25, 1.0, 0.0])


def test_a_failed_job_says_why_in_one_line(tmp_path: Path) -> None:
    job = read_job(write_unfinished_job(tmp_path, "lce-n31", "failed", "out of memory\nTraceback ..."))
    assert (job.state, job.error) == ("failed", "out of memory")


def test_a_running_job_needs_nothing_but_its_status(tmp_path: Path) -> None:
    job = read_job(write_unfinished_job(tmp_path, "lce-n31", "running"))
    assert (job.state, job.error, job.config) == ("running", None, {})


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "per_query.bm25.tsv"])
def test_a_finished_job_that_lacks_a_file_is_unreadable_and_names_it(tmp_path: Path, name: str) -> None:
    folder = write_job(tmp_path, "lce-n7", RERANKED)
    (folder / name).unlink()
    job = read_job(folder)
    assert job.state == "unreadable"
    assert f"{folder / name} is missing" in str(job.error)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("status.json", "{", "not readable JSON"),
        ("status.json", "[]", "should hold named values"),
        ("metrics.json", "{}", "its key 'labels'"),
        ("metrics.json", json.dumps({"labels": {"loss": "lce"}, "test": {}, "compute": {}}), "the labels lack 'data'"),
        ("config.yaml", "a: [", "not readable YAML"),
    ],
)
def test_a_malformed_file_makes_a_job_unreadable(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    folder = write_job(tmp_path, "lce-n7", RERANKED)
    (folder / name).write_text(content, encoding="utf-8")
    job = read_job(folder)
    assert job.state == "unreadable"
    assert name in str(job.error)
    assert complaint in str(job.error)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="nowhere is not a folder"):
        read_study(tmp_path / "nowhere")


def test_a_folder_without_jobs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    with pytest.raises(ExperimentError, match="holds no job"):
        read_study(tmp_path)


def test_a_job_given_in_the_place_of_a_study_points_to_the_study(tmp_path: Path) -> None:
    folder = write_job(tmp_path, "lce-n7", RERANKED)
    with pytest.raises(ExperimentError, match="is the folder of one job: give the study's folder"):
        read_study(folder)


def test_jobs_of_the_last_launch_that_never_began_are_missing(tmp_path: Path) -> None:
    write_job(tmp_path, "b", RERANKED)
    (tmp_path / "grid.json").write_text('["a", "b"]')
    assert [(job.name, job.state) for job in read_study(tmp_path)] == [("a", "missing"), ("b", "finished")]


def test_the_hash_is_what_the_job_noted_and_not_what_it_is_called(tmp_path: Path) -> None:
    noted = write_job(tmp_path, "renamed", RERANKED, hash="1a2b3c4d")
    assert read_job(noted).hash == "1a2b3c4d"


@pytest.mark.parametrize(("name", "expected"), [("lce-n7-bm25-s1-1a2b3c4d", "1a2b3c4d"), ("lce-n7", None)])
def test_a_job_of_before_hashes_were_noted_has_the_one_in_its_name(
    tmp_path: Path, name: str, expected: str | None
) -> None:
    assert read_job(write_job(tmp_path, name, RERANKED)).hash == expected
    assert read_job(write_unfinished_job(tmp_path / "failed", name, "failed")).hash == expected
