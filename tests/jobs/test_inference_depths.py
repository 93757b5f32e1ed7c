"""Several depths of re-ranking in one job: one scoring, the values of single-depth jobs, and files that are read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.jobs import run, tiny_overrides
from helpers.tiny import literal_collection, literal_run

from experiments.analysis.depths import depth_results
from experiments.analysis.findings import findings_of
from experiments.common.errors import ExperimentError
from experiments.job_files.archive import keep_study, study_folder
from experiments.job_files.per_query import read_per_query
from experiments.jobs.inference_depths import answers_among, check_reached, measure_depths
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job
from experiments.studies.verify_archive import verify_archived_job

FIRST = literal_run({3: [5, 4, 3, 2]}, "bm25")
SCORES = np.array([0.1, 0.9, 0.8, 0.7], np.float32)
RELEVANCE = {3: {3: 1}}


def measured(tmp_path: Path, **more: Any) -> dict[str, dict[str, float]]:
    return measure_depths(
        "bm25", FIRST, SCORES, (1, 2, 4), relevance=RELEVANCE, measures=["RR@10"],
        collection=literal_collection(tmp_path), folder=tmp_path, **more,
    )  # fmt: skip


def test_each_depth_is_measured_from_one_scoring(tmp_path: Path):
    # passage 3 is third at first; above it are 5, 4 re-ranked among themselves; then 4, 3, 2, 5
    assert {depth: values["RR@10"] for depth, values in measured(tmp_path).items()} == {
        "1": pytest.approx(1 / 3),
        "2": pytest.approx(1 / 3),
        "4": pytest.approx(1 / 2),
    }


def test_smaller_depths_have_values_by_query(tmp_path: Path):
    measured(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("per_query*")) == ["per_query.bm25@1.tsv", "per_query.bm25@2.tsv"]
    table = read_per_query(tmp_path / "per_query.bm25@2.tsv")
    assert (table.query_ids, table.reranked["RR@10"].tolist()) == (("q3",), [1 / 3])


def test_milliseconds_are_the_share_of_the_scored_pairs(tmp_path: Path):
    timed = measured(tmp_path, seconds=2.0)
    assert [(values["pairs"], values["ms_per_query"]) for values in timed.values()] == [(1, 500), (2, 1000), (4, 2000)]
    assert "ms_per_query" not in measured(tmp_path)["4"]


def test_an_oracles_answers_are_re_ranked_at_each_depth(tmp_path: Path):
    answers = answers_among(FIRST, {3: np.array([3])})
    assert answers.tolist() == [False, False, True, False]
    assert measured(tmp_path, always_N=answers)["1"] == {"RR@10": 1.0, "pairs": 2}


@pytest.mark.parametrize(("depths", "wrong"), [((2, 4), None), ((2, 9), None), ((2, 4, 9), "depth 9 is the same as 4")])
def test_a_depth_that_ranks_no_further_passage_is_refused(depths: tuple[int, ...], wrong: str | None):
    if wrong is None:
        check_reached(FIRST, depths)
        return
    with pytest.raises(
        ExperimentError, match=rf"first_stage_depth=\[2,4,9\]: the first stage bm25 has at most 4 .*{wrong}"
    ):
        check_reached(FIRST, depths)


DEPTHS = ["measures=[RR@5,nDCG@5,AP]", "budget.size=8"]


@pytest.fixture(scope="module")
def jobs(
    tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path
) -> dict[str, tuple[dict[str, Any], Path]]:
    place = tmp_path_factory.mktemp("depths")
    several = run(tiny_overrides(place, data, backbone, "first_stage_depth=[2,5,10]", "study=several", *DEPTHS))
    return {"several": several, "five": run(tiny_overrides(place, data, backbone, "first_stage_depth=5", *DEPTHS))}


def test_the_largest_depth_is_the_result_and_a_smaller_one_that_of_its_own_job(jobs):
    (several, _), (five, _) = jobs["several"], jobs["five"]
    by_depth = several["test"]["bm25"]["depths"]
    assert list(by_depth) == ["2", "5", "10"]
    assert all(by_depth["10"][measure] == several["test"]["bm25"][measure] for measure in ("RR@5", "nDCG@5", "AP"))
    assert [by_depth["5"][name] for name in ("RR@5", "nDCG@5")] == [
        pytest.approx(five["test"]["bm25"][name]) for name in ("RR@5", "nDCG@5")
    ]
    assert by_depth["5"]["pairs"] == five["test"]["bm25"]["pairs"]
    ratio = by_depth["5"]["pairs"] / by_depth["10"]["pairs"]
    assert by_depth["5"]["ms_per_query"] == pytest.approx(ratio * by_depth["10"]["ms_per_query"])


def test_a_single_depth_leaves_no_further_keys_or_files(jobs):
    metrics, folder = jobs["five"]
    assert "depths" not in metrics["test"]["bm25"]
    assert [path.name for path in folder.glob("per_query*")] == ["per_query.bm25.tsv"]


def test_they_are_verified(jobs):
    _, folder = jobs["several"]
    assert verify_job(folder, InputLoader()).differences == ()
    path = folder / "metrics.json"
    before = path.read_text()
    metrics = json.loads(before)
    metrics["test"]["bm25"]["depths"]["5"]["AP"] += 0.25
    path.write_text(json.dumps(metrics))
    try:
        (line,) = verify_job(folder, InputLoader()).differences
        assert "metrics.json, test.bm25.depths.5.AP: expected" in line
    finally:
        path.write_text(before)


def test_an_archive_keeps_them(jobs, tmp_path: Path):
    _, folder = jobs["several"]
    kept = study_folder(keep_study(folder.parent, tmp_path).path)
    verified = verify_archived_job(kept / folder.name, InputLoader())
    assert (verified.differences, verified.means) == ((), 15), "3 measures, their first stage's, and 3 at each depth"
    (group,) = findings_of(kept).groups
    ((two, five, ten),) = depth_results(group)
    assert [result.depth for result in (two, five, ten)] == [2, 5, 10]
    assert ten.setting.mean == group.settings[0].mean
