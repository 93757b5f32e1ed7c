"""Several depths of re-ranking in one job: one scoring, the values of single-depth jobs, and files that are read."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.jobs import run, tiny_overrides
from helpers.seals import reseal
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


def test_smaller_depths_have_a_run_named_as_the_job(tmp_path: Path):
    measured(tmp_path, header=lambda depth: f"# depth {depth}\n" if depth == 2 else "")
    assert sorted(path.name for path in tmp_path.glob("run*")) == ["run.bm25@1.trec.gz", "run.bm25@2.trec.gz"]
    lines = gzip.decompress((tmp_path / "run.bm25@2.trec.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "# depth 2"
    fields = [line.split() for line in lines[1:]]
    assert [(query, passage, rank) for query, _, passage, rank, _, _ in fields] == [
        ("q3", "p4", "1"),
        ("q3", "p5", "2"),
        ("q3", "p3", "3"),
        ("q3", "p2", "4"),
    ]
    assert {tag for *_, tag in fields} == {tmp_path.name}


def test_values_by_query_are_logged_for_smaller_depths(tmp_path: Path):
    logged: dict[int, list[float]] = {}
    measured(tmp_path, log=lambda depth, table: logged.update({depth: table.reranked["RR@10"].tolist()}))
    assert logged == {1: [1 / 3], 2: [1 / 3]}


def test_the_share_of_a_depth_in_the_time_is_its_windows(tmp_path: Path):
    windows_N = np.array([4, 1, 2, 3])
    at = measured(tmp_path, seconds=1.0, windows_N=windows_N)
    assert [values["windows"] for values in at.values()] == [4, 5, 10]
    assert [values["ms_per_query"] for values in at.values()] == pytest.approx([400.0, 500.0, 1000.0])


def test_milliseconds_that_were_timed_are_taken_as_they_are(tmp_path: Path):
    timed = measured(tmp_path, milliseconds={1: 3.0, 2: 3.5, 4: 4.0})
    assert [values["ms_per_query"] for values in timed.values()] == [3.0, 3.5, 4.0]


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
    reseal(folder)
    try:
        (line,) = verify_job(folder, InputLoader()).differences
        assert "metrics.json, test.bm25.depths.5.AP: expected" in line
    finally:
        path.write_text(before)
        reseal(folder)


def test_their_runs_are_scored_again(jobs):
    _, folder = jobs["several"]
    assert verify_job(folder, InputLoader()).runs == 3
    path = folder / "run.bm25@5.trec.gz"
    before = path.read_bytes()
    table = read_per_query(folder / "per_query.bm25@5.tsv")
    query = next(name for name, value in zip(table.query_ids, table.reranked["AP"], strict=True) if value > 0)
    lines = gzip.decompress(before).decode().splitlines(keepends=True)
    path.write_bytes(gzip.compress("".join(line for line in lines if not line.startswith(f"{query} ")).encode()))
    reseal(folder)
    try:
        found = verify_job(folder, InputLoader()).differences
        assert any(f"per_query.bm25@5.tsv, query {query}, AP: expected 0, found" in line for line in found)
        assert any("metrics.json, test.bm25.depths.5.AP: expected" in line for line in found)
        path.unlink()
        reseal(folder)
        (line,) = verify_job(folder, InputLoader()).differences
        assert line.endswith("first stage bm25: run.bm25@5.trec.gz is missing")
    finally:
        path.write_bytes(before)
        reseal(folder)


def test_an_archive_keeps_them(jobs, tmp_path: Path):
    _, folder = jobs["several"]
    kept = study_folder(keep_study(folder.parent, tmp_path).path)
    verified = verify_archived_job(kept / folder.name, InputLoader())
    assert (verified.differences, verified.means) == ((), 15), "3 measures, their first stage's, and 3 at each depth"
    (group,) = findings_of(kept).groups
    ((two, five, ten),) = depth_results(group)
    assert [result.depth for result in (two, five, ten)] == [2, 5, 10]
    assert ten.setting.mean == group.settings[0].mean


COLBERT = ["model=colbert", "model.dimension=16", "model.max_length=48", "model.max_query_tokens=16"]


@pytest.fixture(scope="module")
def colbert(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> tuple[dict[str, Any], list[str]]:
    overrides = tiny_overrides(
        tmp_path_factory.mktemp("colbert"), data, backbone, "first_stage_depth=[2,5,10]", "study=colbert", *DEPTHS
    )
    metrics, folder = run([*overrides, *COLBERT])
    return metrics, [*overrides, "model=checkpoint", f"model.path={folder}"]


def milliseconds(metrics: dict[str, Any]) -> list[float]:
    return [values["ms_per_query"] for values in metrics["test"]["bm25"]["depths"].values()]


def test_a_bi_encoder_is_timed_at_each_depth_where_it_was_trained_and_where_it_is_evaluated(colbert):
    metrics, evaluation = colbert
    lengths = ("model.max_length=", "model.max_query_tokens=")
    again, _ = run([override for override in evaluation if not override.startswith(lengths)])
    for timed in (milliseconds(metrics), milliseconds(again)):
        assert len(timed) == 3
        assert all(0 < taken < 10_000 for taken in timed)
