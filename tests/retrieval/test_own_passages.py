"""Queries that stand in the collection under their own ids, as in ArguAna and Quora."""

import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import composed
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.config import compose
from experiments.data.collection import Collection, open_collection
from experiments.data.readers.beir import BeirFolder
from experiments.data.run import Run
from experiments.data.splits import make_splits
from experiments.evaluation.measures import evaluate
from experiments.jobs.prepare import excluded_of, never_negative
from experiments.retrieval.bm25 import BM25
from experiments.retrieval.retriever import run_for

PASSAGES = [
    ("p0", "copper wire"),
    ("a", "Copper  wire bends"),
    ("p1", "copper bends"),
    ("1", "nothing like it, copper"),
]
QUERIES = [("a", "copper wire bends"), ("b", "copper wire"), ("1", "bends")]
JUDGED = {"test": [("a", "p0", 1), ("b", "p0", 1), ("1", "p1", 1)]}


def collection(folder: Path, setting: bool | None = None, **extra) -> Collection:
    source = LiteralSource(PASSAGES, QUERIES, JUDGED)
    for name, value in extra.items():
        setattr(source, name, value)
    return open_collection(source, Cache(folder), setting)


def run_on(opened: Collection, folder: Path, depth: int = 2) -> Run:
    return run_for(BM25(), opened, np.arange(3), depth, Cache(folder))


def test_rows_of_the_same_ids(tmp_path: Path):
    assert collection(tmp_path).own_passages.tolist() == [1, -1, 3]


def test_by_default_a_query_finds_itself_and_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run = run_on(collection(tmp_path), tmp_path)
    assert run.ranking(0).tolist()[0] == 1
    assert "1 of 3 queries found their own text" in caplog.text
    assert "such as 'a'" in caplog.text
    assert "data.ignore_identical_ids=true leaves it out" in caplog.text


def test_ids_that_coincide_without_the_same_text_are_not_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run_for(BM25(), collection(tmp_path), np.array([1, 2]), 4, Cache(tmp_path))
    assert caplog.text == ""


def test_the_key_leaves_it_out_and_keeps_the_depth(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        opened = collection(tmp_path, True)
        run = run_on(opened, tmp_path)
    assert {query: run.ranking(query).tolist() for query in range(3)} == {0: [0, 2], 1: [0, 1], 2: [2, 1]}
    assert caplog.text == ""
    relevance = {0: {0: 1}, 1: {0: 1}, 2: {2: 1}}
    assert evaluate(run, relevance, ["RR@10"]).mean["RR@10"] == 1.0
    off = run_on(collection(tmp_path, False), tmp_path)
    assert off.ranking(0).tolist() == [1, 0]
    assert evaluate(off, relevance, ["RR@10"]).mean["RR@10"] == pytest.approx((0.5 + 1 + 1) / 3)


def test_a_query_that_finds_itself_alone_finds_nothing(tmp_path: Path):
    source = LiteralSource([("a", "copper"), ("b", "wire")], [("a", "copper")], {"test": [("a", "b", 1)]})
    opened = open_collection(source, Cache(tmp_path), True)
    assert len(run_for(BM25(), opened, np.array([0]), 5, Cache(tmp_path))) == 0


def test_a_source_may_say_that_its_queries_are_passages_and_the_key_overrules_it(tmp_path: Path):
    assert not collection(tmp_path).ignore_identical_ids
    assert collection(tmp_path, queries_among_passages=True).ignore_identical_ids
    assert not collection(tmp_path, False, queries_among_passages=True).ignore_identical_ids


@pytest.mark.parametrize(("name", "on"), [("arguana", True), ("Quora", True), ("scifact", False)])
def test_the_folders_of_beir_whose_queries_are_passages(tmp_path: Path, name: str, on: bool):
    folder = tmp_path / name
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "p", "text": "x"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "x"}\n')
    (folder / "qrels" / "test.tsv").write_text("q\tp\t1\n")
    assert BeirFolder(str(folder)).queries_among_passages is on


@pytest.mark.parametrize(("setting", "barred"), [(True, [0, 1]), (False, [0])])
def test_in_the_batch_too_the_querys_own_passage_is_no_negative(tmp_path: Path, setting: bool, barred: list[int]):
    judgements = {"train": [("a", "p0", 1), ("1", "p1", 1)], "test": [("b", "p0", 1)]}
    opened = open_collection(LiteralSource(PASSAGES, QUERIES, judgements), Cache(tmp_path), setting)
    splits = make_splits(opened)
    experiment = compose.check(composed(f"data.ignore_identical_ids={str(setting).lower()}"))
    assert never_negative(excluded_of(experiment, splits["train"]), opened)[0].tolist() == barred
