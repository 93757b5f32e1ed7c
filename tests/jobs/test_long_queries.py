"""Queries longer than ``model.max_query_tokens``: the limit is said, exported, and used by whatever scores."""

import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import run, tiny_overrides

from experiments.common.cache import Cache
from experiments.data.collection import open_collection
from experiments.data.readers.beir import BeirFolder
from experiments.models.pair_scorer import load_scorer


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> Path:
    """Queries have eight tokens or more: "what is the area of the circle 1 ?"."""
    tmp_path = tmp_path_factory.mktemp("job")
    overrides = tiny_overrides(tmp_path, data, backbone, "model.max_query_tokens=7", "model.max_length=20")
    return run(overrides)[1]


def test_how_pairs_were_cut_is_in_the_export(job: Path):
    assert json.loads((job / "model" / "config.json").read_text())["rerank_ablations"] == {
        "max_query_tokens": 7, "max_length": 20,
    }  # fmt: skip
    said = " ".join((job / "model" / "README.md").read_text().split())
    assert "queries are cut to 7 tokens (model.max_query_tokens), and 60 of the collection's 60 are longer" in said


def test_the_own_scorer_gives_the_very_scores_of_the_job(job: Path, data: Path, tmp_path: Path):
    store = Cache(tmp_path)
    collection = open_collection(BeirFolder(str(data)), store)
    lines = [line.split() for line in gzip.decompress((job / "run.bm25.trec.gz").read_bytes()).decode().splitlines()]
    rows = {
        kind: {one: row for row, one in enumerate(table.ids(np.arange(len(table))))}
        for kind, table in (("query", collection.queries), ("passage", collection.passages))
    }
    queries = np.array([rows["query"][line[0]] for line in lines])
    passages = np.array([rows["passage"][line[2]] for line in lines])
    scores = load_scorer(str(job / "model")).score(collection, queries, passages, store)
    np.testing.assert_allclose(scores, [float(line[4]) for line in lines], atol=1e-5)


def test_it_is_said_before_training(tmp_path: Path, data: Path, backbone: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run(tiny_overrides(tmp_path, data, backbone, "model.max_query_tokens=7", "budget.size=8"))
    assert "60 of the collection's 60 are longer; sentence-transformers' CrossEncoder has no such limit" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run(tiny_overrides(tmp_path, data, backbone, "budget.size=8"))
    assert "are longer" not in caplog.text
