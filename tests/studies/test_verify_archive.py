"""An archived job: its means are recomputed from its values by query, and its runs scored where they are kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.study_folder import write_job

from experiments.common.errors import ExperimentError
from experiments.studies.current_inputs import CurrentInputs
from experiments.studies.verify import Verified, summary
from experiments.studies.verify_archive import NOT_KEPT, verify_archived_job

REACHED = {"q1": 1.0, "q2": 0.5, "q3": 1.0, "q4": 0.5}  # mean 0.75; of the first stage 0.4375


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return write_job(tmp_path, "lce-n7", REACHED, config={"data": {"path": "my/folder"}})


def not_here(config: Mapping[str, Any]) -> CurrentInputs:
    raise ExperimentError("data.path: there is no folder my/folder")


def differences(job: Path) -> list[str]:
    return [line.removeprefix("lce-n7: ") for line in verify_archived_job(job, not_here).differences]


def edit_metrics(job: Path, **of_bm25: Any) -> None:
    metrics = json.loads((job / "metrics.json").read_text())
    metrics["test"]["bm25"] |= of_bm25
    (job / "metrics.json").write_text(json.dumps(metrics))


def test_every_mean_is_recomputed(job: Path):
    verified = verify_archived_job(job, not_here)
    assert verified == Verified("lce-n7", means=2, unscored=NOT_KEPT)
    assert summary([verified]) == (
        "1 job verified: 2 means recomputed from the values by query, no drift; "
        "the runs themselves are not kept (study keep --runs)"
    )


def test_a_mean_is_held_to_a_millionth(job: Path):
    edit_metrics(job, **{"RR@10": 0.7500009})
    assert differences(job) == []
    edit_metrics(job, **{"RR@10": 0.750002})
    assert differences(job) == ["metrics.json, test.bm25.RR@10: expected 0.75, found 0.750002"]


def test_an_edited_value_of_the_first_stage_is_found(job: Path):
    path = job / "per_query.bm25.tsv"
    path.write_text(path.read_text().replace("q1\t1.0\t0.5", "q1\t1.0\t0.9"))
    assert differences(job) == ["metrics.json, test.bm25.first_stage.RR@10: expected 0.5375, found 0.4375"]


def test_a_measure_without_values_by_query_is_found(job: Path):
    edit_metrics(job, AP=0.5, first_stage={"RR@10": 0.4375, "AP": 0.5})
    assert differences(job) == [
        "metrics.json, test.bm25.AP: expected nothing, found 0.5",
        "metrics.json, test.bm25.first_stage.AP: expected nothing, found 0.5",
    ]


def test_the_means_of_probed_layers_are_recomputed_too(job: Path):
    metrics = json.loads((job / "metrics.json").read_text())
    cell = {"layer": 2, "pooling": "mean", "candidates": "bm25", "mean": {"RR@10": 0.25, "R@100": 1.0}}
    metrics["probe"] = {"model": {"settings": {"measures": ["RR@10"]}, "cells": [cell]}}
    (job / "metrics.json").write_text(json.dumps(metrics))
    (job / "per_query.probe.tsv").write_text("query\tlayer2:mean:bm25\nq1\t0.5\nq2\t0.25\n")
    assert differences(job) == ["metrics.json, probe.layer2:mean:bm25.RR@10: expected 0.375, found 0.25"]


def test_a_config_without_local_paths_is_held_against_the_noted_hash(tmp_path: Path):
    job = write_job(tmp_path, "lce-n7", REACHED, hash="0123abcd")
    (found,) = differences(job)
    assert found.startswith(
        "config.yaml is not what the job ran with, or is of another version: hash: expected 0123abcd"
    )


def test_runs_whose_collection_is_not_here_are_not_scored_and_said_so(job: Path):
    (job / "run.bm25.trec.gz").touch()
    verified = verify_archived_job(job, not_here)
    assert (verified.means, verified.differences) == (2, ())
    assert verified.unscored == "the runs were not scored again: data.path: there is no folder my/folder"


def test_a_broken_file_is_a_difference(job: Path):
    (job / "per_query.bm25.tsv").write_text("query\tRR@10\nq1\tx\n")
    (found,) = differences(job)
    assert found.startswith("it cannot be verified: ")
    assert found.endswith("line 2: 'x' is no number")
