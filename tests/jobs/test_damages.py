"""Every damage of every file of a job: no traceback, a line that names the file, and never a wrong number.

``python -m stress.damages`` runs the same without parts and counts.
"""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.damages import DAMAGES, Damaged, TwoJobs, files_of, flipped, may_be_silent
from helpers.jobs import run

from experiments import study
from experiments.analysis.load import read_job
from experiments.common.errors import ExperimentError
from experiments.job_files.status import status_of
from experiments.models.pair_scorer import load_scorer
from experiments.probing.model import load_model

PARTS = 5  # of the damages, of which the usual tests take one


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> TwoJobs:
    return TwoJobs.run_in(tmp_path_factory.mktemp("damages"), data, backbone)


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))])
def test_each_damage_of_each_file_is_named_and_nothing_wrong_is_believed(jobs: TwoJobs, tmp_path: Path, part: int):
    for job in (jobs.finished, jobs.stopped):
        for number, name in enumerate(files_of(job)):
            for turn, damage in enumerate(DAMAGES):
                if (number + turn) % PARTS != part:
                    continue
                damaged = Damaged(job, tmp_path / "copy", name, damage, jobs.whole)
                damaged.look()
                seen = damaged.resume(jobs.overrides)
                where = f"{job.parents[1].name}: {name}, {damage}"
                assert not seen.crashes, where
                assert not seen.believed, where
                assert Path(name).name in seen.said or may_be_silent(name, job == jobs.finished), where


def copied(jobs: TwoJobs, tmp_path: Path) -> Path:
    shutil.copytree(jobs.finished.parents[1], tmp_path / "outputs")
    return tmp_path / "outputs" / jobs.finished.parent.name / jobs.finished.name


@pytest.mark.parametrize("name", ["status.json", "manifest.json", "config.yaml"])
def test_what_is_known_twice_is_restored_without_a_training(
    jobs: TwoJobs, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
):
    job = copied(jobs, tmp_path)
    before = (job / name).read_bytes()
    flipped(job / name)
    with caplog.at_level(logging.WARNING):
        metrics, _ = run([*jobs.overrides, f"outputs={tmp_path / 'outputs'}"])
    assert f"{job / name} was missing or altered: it is restored" in caplog.text
    if name != "config.yaml":  # which names the folder of the outputs
        assert (job / name).read_bytes() == before
    assert json.loads((job / "status.json").read_text())["attempts"] == 1
    assert metrics == jobs.whole
    assert study.main(["verify", str(job.parent)]) == 0


@pytest.mark.parametrize("name", ["metrics.json", "per_query.bm25.tsv", "run.bm25.trec.gz", "model/model.safetensors"])
def test_a_job_whose_files_are_not_those_it_wrote_runs_again_to_the_same_numbers(
    jobs: TwoJobs, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
):
    job = copied(jobs, tmp_path)
    before = (job / name).read_bytes()
    flipped(job / name)
    state = status_of(job)
    assert (state.state, state.why) == (
        "unreadable",
        f"{name} was altered: run the study again, which runs this job anew",
    )
    with caplog.at_level(logging.WARNING):
        metrics, _ = run([*jobs.overrides, f"outputs={tmp_path / 'outputs'}"])
    assert f"{job / name} was altered: the job runs again" in caplog.text
    assert metrics["test"] == jobs.whole["test"]
    assert status_of(job).state == "done"
    if not name.startswith("metrics"):  # which have seconds
        assert (job / name).read_bytes() == before


def test_a_report_leaves_out_a_job_whose_measures_were_edited_and_says_why(jobs: TwoJobs, tmp_path: Path):
    job = copied(jobs, tmp_path)
    metrics = json.loads((job / "metrics.json").read_text())
    metrics["test"]["bm25"]["RR@10"] = 0.999
    (job / "metrics.json").write_text(json.dumps(metrics, indent=1))
    read = read_job(job)
    assert (read.state, read.test) == ("unreadable", {})
    assert read.reason.startswith(f"{job / 'metrics.json'} has ")


def test_a_model_or_a_run_that_was_deleted_is_named_and_the_results_stay(jobs: TwoJobs, tmp_path: Path):
    job = copied(jobs, tmp_path)
    shutil.rmtree(job / "model")
    (job / "run.bm25.trec.gz").unlink()
    state = status_of(job)
    assert state.state == "done"
    assert state.why is not None
    assert "missing, its results are whole; to make them anew, delete its folder" in state.why
    assert read_job(job).finished
    assert run([*jobs.overrides, f"outputs={tmp_path / 'outputs'}"])[0] == jobs.whole


def test_a_folder_in_the_place_of_a_file_is_refused_with_the_way_out(jobs: TwoJobs, tmp_path: Path):
    job = copied(jobs, tmp_path)
    (job / "metrics.json").unlink()
    (job / "metrics.json").mkdir()
    with pytest.raises(ExperimentError, match=r"metrics\.json is a folder, and the job needs a file there: delete it"):
        run([*jobs.overrides, f"outputs={tmp_path / 'outputs'}"])
    (job / "metrics.json").rmdir()
    assert run([*jobs.overrides, f"outputs={tmp_path / 'outputs'}"])[0]["test"] == jobs.whole["test"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("load", [load_model, lambda place: load_scorer(place, "audit.scorer")])
def test_an_altered_model_is_loaded_by_no_command(
    jobs: TwoJobs, tmp_path: Path, name: str, load: Callable[[str], object]
):
    model = copied(jobs, tmp_path) / "model"
    load(str(model))
    flipped(model / name)
    with pytest.raises(ExperimentError, match=rf"{name} was altered since its job finished: run the job lce-.* again"):
        load(str(model))


def test_an_altered_model_is_not_measured(jobs: TwoJobs, tmp_path: Path):
    job = copied(jobs, tmp_path)
    flipped(job / "model" / "model.safetensors")
    measured = [override for override in jobs.overrides if override.partition("=")[0] in ("data", "data.path", "cache")]
    with pytest.raises(ExperimentError, match=r"model\.safetensors was altered since its job finished: run the job"):
        run([*measured, "model=checkpoint", f"model.path={job}", "logger=none", f"outputs={tmp_path / 'measured'}"])
