"""BM25: a score worked out by hand, stems, queries without a match, caching."""

import logging
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource

from experiments.common import memory
from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.retrieval.bm25 import BM25
from experiments.retrieval.retriever import run_for

PASSAGES = [
    ("p0", "cats chase mice"),
    ("p1", "dogs chase cats and cats chase dogs"),
    ("p2", "mice eat cheese"),
    ("p3", "stars shine"),
]
QUERIES = [("q0", "chasing cat"), ("q1", "cheese"), ("q2", "quasar")]


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    judged = {"test": [("q0", "p0", 1), ("q1", "p2", 1)]}
    return open_collection(LiteralSource(PASSAGES, QUERIES, judged), Cache(tmp_path))


def test_scores_by_hand(collection: Collection, tmp_path: Path):
    # "cheese" stands in 1 of 4 passages; p2 has 3 terms, the mean is (3 + 6 + 3 + 2) / 4 = 3.5 without the stop word
    # "and"
    run = run_for(BM25(k1=0.9, b=0.4), collection, np.array([1]), 4, Cache(tmp_path))
    idf = math.log(1 + (4 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 1 / (1 + 0.9 * (1 - 0.4 + 0.4 * 3 / 3.5))
    assert run.ranking(1).tolist() == [2]
    assert run.scores[0][0] == pytest.approx(expected, rel=1e-5)


def test_words_match_by_their_stems_and_passages_without_a_match_are_not_retrieved(
    collection: Collection, tmp_path: Path
):
    run = run_for(BM25(), collection, np.array([0, 2]), 4, Cache(tmp_path))
    assert sorted(run.ranking(0).tolist()) == [0, 1]
    assert run.ranking(2).tolist() == []


def test_settings_make_another_run_and_the_same_settings_the_same(collection: Collection, tmp_path: Path):
    store = Cache(tmp_path)
    for k1 in (0.9, 1.2, 0.9):
        run_for(BM25(k1=k1), collection, np.array([0]), 4, store)
    assert (store.builds["run"], store.hits["run"]) == (2, 1)


def test_an_index_that_may_not_fit_into_memory_is_noticed_before_it_is_built(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    run_for(BM25(), collection, np.array([0]), 4, Cache(tmp_path))
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert warning.startswith("the index of bm25: 4 texts may need 0.5 GB of memory, and 0.0 GB are free")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"k1": -1}, "k1 must be"), ({"b": 1.5}, "b from 0 to 1"), ({"stemmer": "klingon"}, "'klingon'")],
)
def test_settings_out_of_range_are_named(settings: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        BM25(**settings)
