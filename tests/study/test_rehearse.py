"""``study rehearse``: every distinct job goes the whole way, shortly, and none of its results stay."""

from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import ROOT, composed

from experiments import study
from experiments.config import compose
from experiments.config.files import sweep_names
from experiments.config.grid import compose_grid
from experiments.studies.rehearse import distinct, shortened


def test_a_job_is_cut_to_two_steps_and_ten_queries_and_stays_the_same_otherwise():
    config = compose.plain(composed("loss=lce", "batch.unit=pairs", "batch.size=16", "negatives.count=3"))
    short = shortened(config)
    changed = {key for key in config if short[key] != config[key]}
    assert changed == {"budget", "data", "outputs", "logger", "validation"}
    assert short["budget"] == {"unit": "groups", "size": 8}, "two steps of 16 / (3 + 1) groups"
    assert short["data"]["queries"] == {"train": 10, "dev": 10, "test": 10}
    assert short["validation"]["times"] == 1


@pytest.fixture
def two_stages() -> dict[str, Any]:
    """A model that goes on from another one and learns from a run of a third."""
    return compose.plain(compose_grid(["+sweeps=rank_distillm", "+sweeps/rank_distillm=both_colbert"]).rows[0].config)


def test_the_jobs_that_it_needs_are_cut_however_deep_they_are(two_stages: dict[str, Any]):
    short = shortened(two_stages)
    before, after = (each["retrievers"]["rd_colbert"]["job"] for each in (two_stages, short))
    assert before["data"] == {"queries": {"train": 2000}}
    assert after["data"] == {"queries": {"train": 10}}, "as many as the job itself has"
    assert after["model"]["job"]["budget"] == {"unit": "groups", "size": 2}
    assert short["init_from"]["job"]["budget"] == {"unit": "groups", "size": 2}


def test_the_queries_of_test_sets_are_cut(two_stages: dict[str, Any]):
    assert {name: test["data"]["queries"]["test"] for name, test in two_stages["tests"].items()} == {
        "numerics": 150,
        "deep": 150,
    }
    assert {name: test["data"]["queries"]["test"] for name, test in shortened(two_stages)["tests"].items()} == {
        "numerics": 10,
        "deep": 10,
    }


def test_jobs_that_differ_in_the_seed_alone_are_rehearsed_once():
    jobs = distinct(compose_grid(["+sweeps=quickstart"]))
    assert [what for what, _ in jobs.values()] == [
        f"loss={loss} negatives.count={count}" for loss in ("bce", "lce") for count in (1, 7)
    ]
    assert list(jobs) == [1, 3, 5, 7]


@pytest.mark.parametrize("sweep", sweep_names())
def test_the_shortened_jobs_of_every_sweep_are_configs(sweep: str):
    _, config = next(iter(distinct(compose_grid([f"+sweeps={sweep}"])).values()))
    assert compose.plain(compose.typed(config)) == config


def test_a_fault_of_one_job_is_found_and_the_others_go_all_the_way(
    overrides: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    grid = ["loss=lce", "study=grid", "negatives.short=error", "negatives.depth=4", "negatives.count=3,4", "seed=1,2"]
    assert study.main(["rehearse", *overrides, *grid]) == 1
    said = capsys.readouterr().out
    assert "2 distinct jobs of 4, 2 steps and 10 queries each" in said
    assert "[1/4] negatives.count=3: went all the way" in said
    assert "[3/4] negatives.count=4: failed: " in said
    assert "lower negatives.count, raise negatives.depth" in said
    assert "1 job went all the way, 1 failed" in said
    assert list(Path(tmp_path, "outputs").iterdir()) == []
