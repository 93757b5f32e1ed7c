"""Whole jobs on a tiny model: what they leave on disk, that they repeat, skip and resume; that knobs do something."""

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.jobs import ROOT, run, tiny_overrides

from experiments.common.errors import ExperimentError
from experiments.jobs import run_job
from experiments.jobs.trainer import select


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path
) -> tuple[dict[str, Any], Path, list[str]]:
    overrides = tiny_overrides(tmp_path_factory.mktemp("job"), data, backbone)
    return *run(overrides), overrides


def test_a_job_leaves_all_that_its_folder_promises(finished):
    _, folder, _ = finished
    assert {path.name for path in folder.iterdir()} >= {
        "config.yaml", "status.json", "metrics.json", "compute.json", "audit.json", "negatives.tsv.gz",
        "per_query.bm25.tsv", "run.bm25.trec.gz", "model",
    }  # fmt: skip
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["hash"]) == ("finished", folder.name.rpartition("-")[2])
    assert not (folder / "checkpoints").exists()


def test_metrics_have_the_flat_key_of_each_first_stage_and_its_own_values_beside(finished):
    metrics, folder, _ = finished
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    found = metrics["test"]["bm25"]
    assert 0 <= found["RR@10"] <= 1
    assert found["first_stage"].keys() == {"RR@10", "nDCG@10", "R@10", "AP"}
    assert found["queries"] == 12


def test_per_query_values_average_to_the_metrics(finished):
    metrics, folder, _ = finished
    rows = list(csv.DictReader((folder / "per_query.bm25.tsv").open(), delimiter="\t"))
    assert len(rows) == 12
    assert np.mean([float(row["RR@10"]) for row in rows]) == pytest.approx(metrics["test"]["bm25"]["RR@10"], abs=1e-5)
    assert np.mean([float(row["first_stage:RR@10"]) for row in rows]) == pytest.approx(
        metrics["test"]["bm25"]["first_stage"]["RR@10"], abs=1e-5
    )


def test_what_was_spent_is_counted(finished):
    metrics, _, _ = finished
    spent = metrics["compute"]
    assert (spent["steps"], spent["groups"], spent["pairs"]) == (8, 32, 128)
    assert spent["computed_tokens"] >= spent["tokens"] > 128 * 5
    assert spent["flops"] > 0
    assert spent["padding_waste"] == 0.0, "packed on a CPU"


def test_the_audit_file_has_every_group_as_it_was_drawn(finished):
    _, folder, _ = finished
    with gzip.open(folder / "negatives.tsv.gz", "rt") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    audit = json.loads((folder / "audit.json").read_text())
    assert len(rows) == audit["groups"] == 32
    assert all(len(row["negatives"].split()) == 3 for row in rows)
    assert all(row["positive"] not in row["negatives"].split() for row in rows)
    assert audit["negatives_drawn"] == 96
    assert 1 <= audit["rank_in_source"]["p5"] <= audit["rank_in_source"]["p95"] <= 20


def test_the_exported_model_gives_the_scores_of_the_run_file(finished, data: Path):
    from sentence_transformers import CrossEncoder

    _, folder, _ = finished
    passages = {one["_id"]: f"{one['title']} {one['text']}" for one in map(json.loads, (data / "corpus.jsonl").open())}
    queries = {one["_id"]: one["text"] for one in map(json.loads, (data / "queries.jsonl").open())}
    with gzip.open(folder / "run.bm25.trec.gz", "rt") as file:
        rows = [line.split() for line in file]
    theirs = CrossEncoder(str(folder / "model"), max_length=48).predict(
        [(queries[row[0]], passages[row[2]]) for row in rows]
    )
    np.testing.assert_allclose(theirs, [float(row[4]) for row in rows], atol=1e-5)


def test_a_finished_job_is_not_run_again(finished):
    metrics, folder, overrides = finished
    before = (folder / "status.json").stat().st_mtime_ns
    again, same = run(overrides)
    assert (again, same) == (metrics, folder)
    assert (folder / "status.json").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_numbers_and_nothing_is_made_twice(finished, tmp_path: Path):
    metrics, folder, overrides = finished
    again, other = run([*overrides, f"outputs={tmp_path}"])
    assert other != folder
    assert again["test"] == metrics["test"]
    assert again["dev"] == metrics["dev"]
    assert (other / "run.bm25.trec.gz").read_bytes() == (folder / "run.bm25.trec.gz").read_bytes()
    assert again["compute"]["cache_builds"] == {}


def scored(folder: Path) -> list[list[str]]:
    """Query, passage and score of each line of a job's run, without the run's name, which differs between any two
    jobs.
    """
    with gzip.open(folder / "run.bm25.trec.gz", "rt") as file:
        return [[fields[0], fields[2], fields[4]] for fields in map(str.split, file)]


@pytest.mark.parametrize(
    "change", ["loss=bce", "negatives.count=1", "seed=2", "loss=bce_two_class", "negatives=gao2021"]
)
def test_each_knob_changes_the_outcome(finished, change: str):
    metrics, folder, overrides = finished
    _, other = run([*[one for one in overrides if one.split("=")[0] != change.split("=")[0]], change])
    assert scored(other) != scored(folder)


@pytest.mark.parametrize(("unit", "size", "pairs"), [("pairs", 200, 224), ("tokens", 2000, None)])
def test_a_budget_in_pairs_or_tokens_is_spent_to_the_next_step_between_validations(
    finished, tmp_path: Path, unit: str, size: int, pairs: int | None
):
    _, _, overrides = finished
    metrics, _ = run([*overrides, f"budget.unit={unit}", f"budget.size={size}", f"outputs={tmp_path}"])
    spent = metrics["compute"]
    assert spent["steps"] % 2 == 0
    if pairs is not None:
        assert spent["pairs"] == pairs, "200 pairs are 12.5 steps of 4 groups of 4, rounded up to 14"
    else:
        assert size <= spent["tokens"] < size + 2 * spent["tokens"] / spent["steps"] * 1.5


def test_a_job_outlives_the_deletion_of_its_cache_during_training(finished, tmp_path: Path, monkeypatch):
    metrics, _, overrides = finished

    def select_without_a_cache(*arguments: Any) -> Any:
        shutil.rmtree(tmp_path / "cache")
        return select(*arguments)

    monkeypatch.setattr(run_job, "select", select_without_a_cache)
    again, _ = run([*overrides, f"outputs={tmp_path / 'outputs'}", f"cache={tmp_path / 'cache'}"])
    assert again["test"] == metrics["test"]


def test_too_few_negatives_stop_before_anything_is_trained(finished, tmp_path: Path):
    _, _, overrides = finished
    with pytest.raises(ExperimentError, match=r"training queries have fewer than negatives\.count=31 usable negatives"):
        run(
            [
                *overrides,
                "negatives.count=31",
                "negatives.depth=32",
                "retrievers.bm25.stopwords=en_plus",
                f"outputs={tmp_path}",
            ]
        )
    (status,) = tmp_path.rglob("status.json")
    assert json.loads(status.read_text())["state"] == "failed"
    assert "usable negatives" in json.loads(status.read_text())["error"]


@pytest.mark.slow
def test_a_job_killed_in_the_middle_ends_with_the_numbers_of_one_that_was_not(finished, tmp_path: Path):
    _, _, overrides = finished
    longer = [*overrides, "budget.size=1600", "validation.times=20", "model.dropout=0.1"]
    whole, _ = run([*longer, f"outputs={tmp_path / 'whole'}"])
    killed = [*longer, f"outputs={tmp_path / 'killed'}"]
    process = subprocess.Popen([sys.executable, "-m", "experiments.train", *killed], cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").rglob("record.json")):
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (status,) = (tmp_path / "killed").rglob("status.json")
    assert json.loads(status.read_text())["state"] == "running"
    resumed, folder = run(killed)
    assert json.loads((folder / "status.json").read_text())["attempts"] == 2
    assert resumed["test"] == whole["test"]
    assert resumed["dev"] == whole["dev"]
    assert resumed["compute"]["tokens"] == whole["compute"]["tokens"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_job_on_a_gpu_notes_it_as_its_device(tmp_path: Path, data: Path, backbone: Path):
    overrides = [override for override in tiny_overrides(tmp_path, data, backbone) if override != "trainer=cpu"]
    metrics, _ = run([*overrides, "trainer=gpu"])
    assert metrics["compute"]["device"] == "cuda:0"
    assert torch.cuda.get_device_name() in metrics["compute"]["machine"]
