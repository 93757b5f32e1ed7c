"""``python -m experiments.study plan``: what a study will cost."""

import json
from pathlib import Path

import pytest
from helpers.jobs import job_override
from helpers.studies import BOTH, job

from experiments import study


def test_a_plan_names_each_job_with_what_varies_and_its_cost_and_runs_nothing(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    others = [one for one in overrides if one != "negatives.count=3"]
    assert study.main(["plan", *others, "loss=bce,lce", "negatives.count=1,3"]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if "loss=" in line]
    assert [row[2:7] for row in rows] == [
        ["loss=bce", "negatives.count=1", "missing", "32", "64"],
        ["loss=bce", "negatives.count=3", "missing", "32", "128"],
        ["loss=lce", "negatives.count=1", "missing", "32", "64"],
        ["loss=lce", "negatives.count=3", "missing", "32", "128"],
    ]
    assert "4 jobs: 4 missing" in said
    assert "time: no measurement yet" in said
    assert not (tmp_path / "outputs").exists()


def test_a_plan_estimates_time_from_finished_jobs_and_leaves_out_what_is_done(
    finished: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    assert study.main(["plan", *overrides, "seed=1,2"]) == 0
    said = capsys.readouterr().out
    assert "4 jobs: 2 done, 2 missing; what is done is skipped" in said
    assert "to do: 64 groups, 256 pairs trained on, 560 scored" in said, "2 x (12 x 10 test + 2 x 8 x 10 dev)"
    assert "(from 2 finished jobs of the same kind)" in said
    spent = json.loads((job(folder, "bce") / "compute.json").read_text())
    assert (spent["groups"], spent["pairs"]) == (32, 128), "what the plan says of one job is what it did"


def test_a_job_that_others_need_first_is_planned_once(overrides: list[str], capsys: pytest.CaptureFixture[str]):
    colbert = job_override(
        "retrievers.colbert.job",
        "model=colbert model.max_length=48 model.max_query_tokens=16 budget.size=16 batch.size=8 validation.times=1 "
        f"{overrides[2]} {overrides[3]} {overrides[4]}",
    )
    assert study.main(["plan", *overrides, "retriever=[bm25,colbert]", "first_stage=[colbert]", colbert, BOTH[0]]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "-n" in line]
    assert [row[0] for row in rows] == ["first", "1", "2"]
    assert rows[0][1].startswith("colbert-lce-")
    assert rows[0][2:6] == ["for", "retrievers.colbert", "missing", "16"]
