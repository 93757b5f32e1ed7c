"""A study read back from its W&B runs is the study as its folder has it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.jobs import run, tiny_overrides
from helpers.wandb_api import server_of, uploaded
from helpers.wandb_records import isolated_wandb
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.depths import depth_results
from experiments.analysis.load import JobResult, read_study
from experiments.analysis.load_wandb import job_of, jobs_of
from experiments.analysis.settings import group_results
from experiments.common.errors import ExperimentError
from experiments.tracking.summary import flat, nested
from experiments.tracking.wandb_records import RunRecord, offline_runs, server_runs

TABLE = {"columns": ["query", "text", "RR@10", "first_stage:RR@10"], "data": [["q1", "why ?", 1, 0.5]]}


@pytest.fixture(scope="module")
def study(data: Path, backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real study of a job with probed layers and one that diverged, logged offline."""
    folder = tmp_path_factory.mktemp("study")
    overrides = tiny_overrides(
        folder, data, backbone, "logger=wandb_offline", "study=shapes", "probe=all_layers", "probe.control=true",
        "first_stage_depth=[4,10]",
    )  # fmt: skip
    with isolated_wandb(tmp_path_factory.mktemp("home")):
        _, job = run(overrides)
        with pytest.raises(ExperimentError, match="no finite score"):
            run([*overrides, "optimizer.lr=1e30", "optimizer.clip=null", "seed=7"])
    return job.parent


@pytest.fixture(scope="module")
def on_disk(study: Path) -> list[JobResult]:
    return read_study(study)


@pytest.fixture(scope="module")
def offline(study: Path) -> list[JobResult]:
    return jobs_of(offline_runs(study / "wandb"))


@pytest.fixture(scope="module")
def from_server(study: Path) -> list[JobResult]:
    return jobs_of(server_runs("shapes", "rerank-ablations", api=server_of(uploaded(study))))


@pytest.fixture(params=["offline", "from_server"])
def read_back(request: pytest.FixtureRequest) -> list[JobResult]:
    jobs: list[JobResult] = request.getfixturevalue(request.param)
    return jobs


class TestRealStudy:
    def test_has_the_same_jobs_in_the_same_states_and_folders(
        self, on_disk: list[JobResult], read_back: list[JobResult]
    ) -> None:
        assert [(job.name, job.state, job.folder) for job in read_back] == [
            (job.name, job.state, job.folder) for job in on_disk
        ]

    @pytest.mark.parametrize("part", ["labels", "test", "compute", "probe", "config", "hash"])
    def test_every_part_of_a_finished_job_is_as_in_its_folder(
        self, on_disk: list[JobResult], read_back: list[JobResult], part: str
    ) -> None:
        assert getattr(read_back[0], part) == getattr(on_disk[0], part)
        assert getattr(read_back[0], part)

    def test_values_at_each_depth_of_re_ranking_are_as_in_its_folder(
        self, on_disk: list[JobResult], read_back: list[JobResult]
    ) -> None:
        expected, found = on_disk[0].per_depth["bm25"], read_back[0].per_depth["bm25"]
        assert list(found) == list(expected) == [4, 10]
        for depth in found:
            assert found[depth].query_ids == expected[depth].query_ids
            for measure, values_Q in expected[depth].reranked.items():
                np.testing.assert_allclose(found[depth].reranked[measure], values_Q, atol=1e-6)

    def test_the_curve_over_depths_is_that_of_the_folder(
        self, on_disk: list[JobResult], read_back: list[JobResult]
    ) -> None:
        def curve(jobs: list[JobResult]) -> list[tuple[int, float, float, float | None]]:
            (group,) = group_results(job for job in jobs if job.finished)
            (results,) = depth_results(group)
            return [(each.depth, each.setting.mean, each.pairs, each.milliseconds) for each in results]

        assert [depth for depth, *_ in curve(read_back)] == [4, 10]
        for found, expected in zip(curve(read_back), curve(on_disk), strict=True):
            assert found == pytest.approx(expected, abs=1e-6)

    def test_values_per_query_differ_from_the_folders_six_digits_by_rounding_only(
        self, on_disk: list[JobResult], read_back: list[JobResult]
    ) -> None:
        expected, found = on_disk[0].per_query["bm25"], read_back[0].per_query["bm25"]
        assert (found.query_ids, found.measures) == (expected.query_ids, expected.measures)
        for measure in expected.measures:
            np.testing.assert_allclose(found.reranked[measure], expected.reranked[measure], atol=1e-6)
            np.testing.assert_allclose(found.first_stage[measure], expected.first_stage[measure], atol=1e-6)

    def test_a_job_that_crashed_says_why_as_its_folder_does(
        self, on_disk: list[JobResult], read_back: list[JobResult]
    ) -> None:
        assert read_back[1].state == "failed"
        assert read_back[1].error == on_disk[1].error
        assert "no finite score" in str(read_back[1].error)


def record(**changes: Any) -> RunRecord:
    """A run that has finished with all that a job needs."""
    whole = RunRecord(
        name="lce-n7-bm25-s1-1a2b3c4d",
        id="f00",
        state="finished",
        group="mini",
        job_type="train",
        config={"first_stage": ["bm25"], "seed": 1, "labels": {"loss": "lce", "data": "literal", "seed": 1}},
        summary={
            "RR@10": 1.0,
            "bm25/RR@10": 1.0,
            "bm25/ties": 2,
            "bm25/first_stage/RR@10": 0.5,
            "compute/pairs": 8,
            "compute/cache_hits/bm25": 1,
            "train/loss": 0.1,
            "per_query/bm25.path": "media/table.json",
        },
        tags=(),
        read=lambda path: json.dumps(TABLE) if path == "media/table.json" else "",
    )
    return replace(whole, **changes)


def test_summary_keys_become_the_nested_values_of_a_job() -> None:
    job = job_of(record())
    assert job.test == {"bm25": {"RR@10": 1.0, "ties": 2, "first_stage": {"RR@10": 0.5}}}
    assert job.compute == {"pairs": 8, "cache_hits": {"bm25": 1}}


def test_labels_are_no_part_of_the_config_that_identifies_a_job() -> None:
    assert job_of(record()).config == {"first_stage": ["bm25"], "seed": 1}


def test_the_hash_is_noted_in_the_config_or_else_in_the_name() -> None:
    noted = {**record().config, "hash": "5e6f7a8b"}
    assert (job_of(record(config=noted)).hash, job_of(record(config=noted)).config) == (
        "5e6f7a8b",
        job_of(record()).config,
    )
    assert job_of(record()).hash == "1a2b3c4d"


def test_a_table_per_query_becomes_the_measures_before_and_after() -> None:
    values = job_of(record()).per_query["bm25"]
    assert (values.query_ids, values.reranked["RR@10"], values.first_stage["RR@10"]) == (("q1",), [1.0], [0.5])


@pytest.mark.parametrize(
    ("state", "summary", "expected"),
    [
        ("running", {}, ("running", None)),
        ("failed", {"error": "RuntimeError: out of memory"}, ("failed", "RuntimeError: out of memory")),
        ("failed", {"error": "ValueError: no\nat line 7"}, ("failed", "ValueError: no")),
        ("crashed", {}, ("failed", "W&B shows it as crashed")),
    ],
)
def test_states_of_runs_that_have_not_finished(
    state: str, summary: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    job = job_of(record(state=state, summary=summary))
    assert (job.state, job.error) == expected


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"config": {"first_stage": ["bm25"]}}, "says nothing of its labels"),
        ({"summary": {"RR@10": 1.0}}, "has finished without test results"),
        ({"summary": {"bm25/first_stage/RR@10": 0.5}}, "lacks the table per_query/bm25"),
        (
            {"summary": {"bm25/first_stage/RR@10": 0.5, "compute/pairs": "x"}},
            "(f00): compute.pairs is 'x', which should",
        ),
        ({"read": lambda path: "{"}, "the table per_query/bm25 of the W&B run lce-n7-bm25-s1-1a2b3c4d"),
        ({"read": lambda path: json.dumps({**TABLE, "data": TABLE["data"] * 2})}, "has a query twice"),
        ({"read": lambda path: json.dumps({**TABLE, "data": [["q1", "", None, 1]]})}, "RR@10 that is not finite"),
    ],
)
def test_a_finished_run_that_lacks_something_is_unreadable_and_says_what(
    changes: dict[str, Any], complaint: str
) -> None:
    job = job_of(record(**changes))
    assert job.state == "unreadable"
    assert complaint in str(job.error)


def test_runs_of_another_stage_are_left_out() -> None:
    assert jobs_of([record(job_type="report")]) == []


NAMES = st.sampled_from(["RR@10", "ties", "first_stage", "bm25"])


@given(st.dictionaries(NAMES, st.integers() | st.dictionaries(NAMES, st.integers(), min_size=1)))
def test_flat_values_are_nested_again_among_others(values: dict[str, Any]) -> None:
    assert nested({**flat(values, "bm25"), "bm25x/a": 0, "RR@10": 1}, "bm25") == values
