"""A cross-validation on a collection with one file of qrels, trained, pooled and verified."""

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.jobs import run, tiny_overrides

from experiments.analysis.findings import findings_of
from experiments.analysis.load import read_study
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[tuple[dict[str, Any], Path]]:
    tmp_path = tmp_path_factory.mktemp("folds")
    for split in ("train", "dev"):
        (data / "qrels" / f"{split}.tsv").rename(tmp_path / f"{split}.tsv")
    more = ["data.folds=3", "negatives.count=1", "budget.size=8"]
    return [run(tiny_overrides(tmp_path, data, backbone, *more, f"data.fold={fold}")) for fold in range(3)]


def test_each_query_is_tested_in_one_fold_by_a_model_that_did_not_see_it(folds: list[tuple[dict[str, Any], Path]]):
    counts = [(metrics["labels"]["fold"], metrics["test"]["bm25"]["queries"]) for metrics, _ in folds]
    assert counts == [(0, 4), (1, 4), (2, 4)]
    for job in read_study(folds[0][1].parent):
        with gzip.open(job.folder / "negatives.tsv.gz", "rt") as file:
            trained = {row["query"] for row in csv.DictReader(file, delimiter="\t")}
        assert len(trained) > 4
        assert not trained & set(job.per_query["bm25"].query_ids)


def test_the_study_shows_one_result_over_all_queries(folds: list[tuple[dict[str, Any], Path]]):
    study = folds[0][1].parent
    findings = findings_of(study, "RR@10")
    (block,) = findings.groups
    (cell,) = block.settings
    assert (len(block.query_ids), cell.values_SQ.shape, block.constants["folds"]) == (12, (1, 12), 3)
    values = np.concatenate([job.per_query["bm25"].reranked["RR@10"] for job in read_study(study)])
    assert cell.mean == pytest.approx(values.mean())
    assert cell.compute("groups") == 24


def test_every_fold_verifies(folds: list[tuple[dict[str, Any], Path]]):
    opener = InputLoader()
    for _, folder in folds:
        verified = verify_job(folder, opener)
        assert (verified.differences, verified.runs) == ((), 1)
