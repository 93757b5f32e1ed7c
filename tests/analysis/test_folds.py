"""The folds of a cross-validation as one result: every query once, costs added up; nothing where a fold is missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.study_folder import write_job, write_unfinished_job

from experiments.analysis.combine import LoadedStudy, side_by_side
from experiments.analysis.findings import findings_of
from experiments.analysis.folds import pool
from experiments.analysis.layers import layer_results
from experiments.analysis.load import JobResult, read_study
from experiments.common.errors import ExperimentError
from experiments.reporting.page.provenance import provenance_of
from experiments.reporting.tables.results import left_out

# Two folds of three and one queries: the mean over queries, (1 + 0.5 + 0 + 0.25) / 4, is not the mean of means.
FOLDS = [{"q1": 1.0, "q2": 0.5, "q3": 0.0}, {"q4": 0.25}]
BM25 = {"q1": 0.5, "q2": 0.5, "q3": 0.0, "q4": 1.0}


def write_fold(study: Path, fold: int, *, loss: str = "lce", seed: int = 1, **more: Any) -> Path:
    return write_job(
        study,
        f"{loss}-n7-bm25-s{seed}-{loss}f{fold}s{seed}",
        FOLDS[fold],
        first_stage_values=BM25,
        labels={"loss": loss, "seed": seed, "folds": 2, "fold": fold},
        config={"data": {"folds": 2, "fold": fold}},
        ties=fold + 1,
        **more,
    )


def pooled(study: Path) -> list[JobResult]:
    return pool(read_study(study))


def test_the_folds_of_a_setting_are_one_job_with_every_query_once(tmp_path: Path):
    for fold in (0, 1):
        write_fold(tmp_path, fold)
    (job,) = pooled(tmp_path)
    table = job.per_query["bm25"]
    assert table.query_ids == ("q1", "q2", "q3", "q4")
    np.testing.assert_array_equal(table.reranked["RR@10"], [1.0, 0.5, 0.0, 0.25])
    np.testing.assert_array_equal(table.first_stage["RR@10"], [0.5, 0.5, 0.0, 1.0])
    assert job.test["bm25"]["RR@10"] == 0.4375
    assert job.test["bm25"]["first_stage"]["RR@10"] == 0.5
    assert (job.test["bm25"]["queries"], job.test["bm25"]["ties"]) == (4, 3)


def test_their_labels_keep_the_number_of_folds_and_their_costs_add_up(tmp_path: Path):
    for fold in (0, 1):
        tokens = {"tokens": 30 + fold, "computed_tokens": 40 + fold * 84, "padding_waste": 0.9}
        where = {"machine": "Linux", "threads": 2, "cache_hits": {"run": 3}}
        write_fold(tmp_path, fold, compute=tokens | where)
    (job,) = pooled(tmp_path)
    assert job.labels["folds"] == 2
    assert "fold" not in job.labels
    assert (job.compute["pairs"], job.compute["seconds"], job.compute["threads"]) == (16_000, 160.2, 2)
    assert (job.compute["machine"], job.compute["cache_hits"]) == ("Linux", {"run": 6})
    assert job.compute["padding_waste"] == 1 - 61 / 164
    assert [part.labels["fold"] for part in job.parts] == [0, 1]


def test_seeds_stay_an_axis_and_settings_stay_apart(tmp_path: Path):
    for loss in ("lce", "bce"):
        for seed in (1, 2):
            for fold in (0, 1):
                write_fold(tmp_path, fold, loss=loss, seed=seed)
    findings = findings_of(tmp_path)
    (block,) = findings.groups
    assert [(cell.labels["loss"], cell.seeds, cell.mean) for cell in block.settings] == [
        ("bce", (1, 2), 0.4375),
        ("lce", (1, 2), 0.4375),
    ]
    assert block.first_stage_mean == 0.5
    assert block.constants["folds"] == 2
    assert "fold" not in block.axes
    assert [len(setting.query_ids) for setting in block.settings] == [4, 4]


def test_a_setting_without_one_of_its_folds_is_incomplete_and_in_no_table(tmp_path: Path):
    for fold in (0, 1):
        write_fold(tmp_path, fold, loss="bce")
    write_fold(tmp_path, 0)
    write_unfinished_job(tmp_path, "lce-n7-bm25-s1-lcef1s1", "failed", "out of memory")
    findings = findings_of(tmp_path)
    assert [cell.labels["loss"] for block in findings.groups for cell in block.settings] == ["bce"]
    why = {state: reason for _, state, reason in left_out(findings.jobs)}
    assert why == {
        "incomplete": "only 1 of 2 folds have finished: run the study again with data.fold=1",
        "failed": "out of memory",
    }


def test_folds_of_changed_queries_are_not_put_together(tmp_path: Path):
    write_fold(tmp_path, 0)
    write_job(tmp_path, "lce-n7-bm25-s1-other", {"q3": 1.0, "q4": 1.0}, first_stage_values=BM25,
              labels={"folds": 2, "fold": 1}, config={"data": {"folds": 2, "fold": 1}})  # fmt: skip
    (job,) = pooled(tmp_path)
    assert job.state == "incomplete"
    assert "both tested the query q3" in str(job.error)


def test_one_fold_twice_is_refused(tmp_path: Path):
    write_fold(tmp_path, 0)
    (tmp_path / "lce-n7-bm25-s1-lcef0s1").rename(tmp_path / "lce-n7-bm25-s1-copied")
    write_fold(tmp_path, 0)
    with pytest.raises(ExperimentError, match=r"the same setting, seed and fold \(0\)"):
        pooled(tmp_path)


def test_jobs_without_folds_stay_as_they_are(tmp_path: Path):
    write_job(tmp_path, "lce-n7-bm25-s1-aaaaaaaa", BM25, first_stage_values=BM25)
    jobs = read_study(tmp_path)
    assert pool(jobs) == jobs
    assert jobs[0].parts == (jobs[0],)


def test_what_is_pooled_is_not_pooled_again(tmp_path: Path):
    for fold in (0, 1):
        write_fold(tmp_path, fold)
    once = pooled(tmp_path)
    assert pool(once) == once


def test_studies_side_by_side_are_pooled_each_on_its_own(tmp_path: Path):
    for name in ("one", "two"):
        for fold in (0, 1):
            write_fold(tmp_path / name, fold, loss="lce" if name == "one" else "bce")
    studies = [LoadedStudy(name, tuple(read_study(tmp_path / name)), tmp_path / name) for name in ("one", "two")]
    jobs, _ = side_by_side(studies)
    assert [(job.labels["study"], job.test["bm25"]["queries"]) for job in jobs] == [("one", 4), ("two", 4)]


def write_probe(job: Path, values: dict[str, float]) -> None:
    """Let a job have probed one layer, by query."""
    cell = {"layer": 1, "pooling": "mean", "candidates": "bm25", "mean": {"RR@10": sum(values.values()) / len(values)},
            "ties": 1, "pairs": 10, "differences": {"bm25": {"mean": 0.1, "low": 0.0, "high": 0.2}}}  # fmt: skip
    probed = {"settings": {"measures": ["RR@10"]}, "queries": len(values), "first_stages": {}, "cells": [cell]}
    metrics = json.loads((job / "metrics.json").read_text())
    (job / "metrics.json").write_text(json.dumps(metrics | {"probe": {"model": probed, "control": None}}))
    rows = "".join(f"{query}\t{value}\n" for query, value in values.items())
    (job / "per_query.probe.tsv").write_text("query\tlayer1:mean:bm25\n" + rows)


def test_probed_layers_are_pooled_by_query_too(tmp_path: Path):
    for fold in (0, 1):
        write_probe(write_fold(tmp_path, fold), FOLDS[fold])
    findings = findings_of(tmp_path)
    (job,) = findings.jobs
    assert job.probe is not None
    model = job.probe["model"]
    assert (model["queries"], model["cells"][0]["mean"], model["cells"][0]["pairs"]) == (4, {"RR@10": 0.4375}, 20)
    assert model["cells"][0]["differences"] == {}, "intervals of folds do not add up"
    (sample,) = layer_results(findings.groups)
    assert sample.values_SQ.tolist() == [[1.0, 0.5, 0.0, 0.25]]


def test_the_page_shows_a_row_a_fold_where_it_says_where_results_come_from(tmp_path: Path):
    for fold in (0, 1):
        write_fold(tmp_path, fold)
    rows = provenance_of(findings_of(tmp_path))
    assert [row.name for row in rows] == ["lce-n7-bm25-s1-lcef0s1", "lce-n7-bm25-s1-lcef1s1"]


@pytest.mark.parametrize("split", ["train", "dev"])
def test_first_stages_on_train_or_dev_are_shown_by_fold(tmp_path: Path, split: str):
    """Folds share training queries, here q2. Those of dev may be disjoint by chance and are no whole even then."""
    values = [{"q1": 1.0, "q2": 0.5}, {"q2" if split == "train" else "q4": 0.5, "q3": 0.0}]
    for fold in (0, 1):
        folder = write_job(tmp_path, f"retrieve-{split}-{fold}", values[fold], first_stage_values=values[fold],
                           labels={"loss": "none", "data": f"apidocs/{split}", "folds": 2, "fold": fold},
                           config={"data": {"folds": 2, "fold": fold}})  # fmt: skip
        metrics = json.loads((folder / "metrics.json").read_text())
        (folder / "metrics.json").write_text(json.dumps(metrics | {"split": split}))
    jobs = pooled(tmp_path)
    assert [(job.name, job.state) for job in jobs] == [(f"retrieve-{split}-{i}", "finished") for i in (0, 1)]
    assert pool(jobs) == jobs
    blocks = findings_of(tmp_path).groups
    assert [(block.data, block.first_stage_mean) for block in blocks] == [
        (f"apidocs/{split}/fold0", 0.75),
        (f"apidocs/{split}/fold1", 0.25),
    ]
