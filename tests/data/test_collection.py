"""A collection is checked when it is built, and read back by row."""

import logging
import shutil
from pathlib import Path

import pytest
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import open_collection
from experiments.data.splits import make_splits

PASSAGES = [("p1", "one"), ("p2", "two"), ("p3", "three")]
QUERIES = [("q1", "first"), ("q2", "second"), ("q3", "third")]


def build(tmp_path: Path, passages=PASSAGES, queries=QUERIES, **judgements):
    default = {"train": [("q1", "p1", 1)], "test": [("q2", "p2", 1)]}
    return open_collection(LiteralSource(passages, queries, judgements or default), Cache(tmp_path))


def test_rows_ids_and_texts(tmp_path: Path):
    collection = build(tmp_path)
    assert collection.passages.rows(["p3", "p1"], "a test").tolist() == [2, 0]
    assert collection.passages.ids([1, 0]) == ["p2", "p1"]
    assert collection.queries.text(2) == "third"


def test_qrels_are_grouped_by_query(tmp_path: Path):
    collection = build(tmp_path, test=[("q3", "p2", 2), ("q1", "p1", 1), ("q3", "p1", 0)])
    assert {q: p.tolist() for q, p in collection.qrels("test").relevant().items()} == {0: [0], 2: [1]}
    assert {q: p.tolist() for q, p in collection.qrels("test").relevant(min_grade=2).items()} == {2: [1]}


def test_the_fingerprint_is_that_of_the_content_whatever_the_source_says(tmp_path: Path):
    judgements = {"test": [("q2", "p2", 1)]}
    one, same, other = (
        open_collection(LiteralSource(PASSAGES, QUERIES[:count], judgements, extra={"read": read}), Cache(tmp_path))
        for count, read in ((3, 1), (3, 2), (2, 1))
    )
    assert one.folder != same.folder
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passages": [*PASSAGES, ("p1", "again")]}, "repeats 1 passage ids, such as 'p1'"),
        ({"queries": [*QUERIES, ("q2", "again")]}, "repeats 1 query ids, such as 'q2'"),
        ({"test": [("q1", "p9", 1)]}, "split 'test', names 1 passage id.*such as 'p9'"),
        ({"test": [("q9", "p1", 1)]}, "split 'test', names 1 query id.*such as 'q9'"),
        ({"test": []}, "split 'test', are empty"),
        ({"test": [("q1", "p1", 1), ("q1", "p1", 1)]}, "judge the passage 'p1' for the query 'q1' more than once"),
        ({"passages": []}, "has no passage: its file is empty"),
    ],
)
def test_what_is_wrong_with_the_data_is_named(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        build(tmp_path, **changes)


def test_a_failed_build_leaves_nothing_that_is_taken_for_a_collection(tmp_path: Path):
    with pytest.raises(ExperimentError):
        build(tmp_path, test=[("q1", "p9", 1)])
    assert [path for path in (tmp_path / "collection").iterdir() if path.is_dir()] == []


def test_empty_texts_are_reported_not_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        build(tmp_path, passages=[*PASSAGES, ("p4", " ")])
    assert "such as the text of 'p4'" in caplog.text


def test_a_smaller_sample_is_part_of_a_larger_one(tmp_path: Path):
    queries = [(f"q{i}", f"text {i}") for i in range(30)]
    judged = {"train": [(f"q{i}", "p1", 1) for i in range(20)], "test": [(f"q{i}", "p2", 1) for i in range(20, 30)]}
    collection = build(tmp_path, queries=queries, **judged)
    sizes = {n: set(make_splits(collection, limits={"train": n})["train"].queries.tolist()) for n in (3, 8, 20)}
    assert [len(rows) for rows in sizes.values()] == [3, 8, 20]
    assert sizes[3] < sizes[8] < sizes[20]


def test_without_dev_qrels_training_queries_are_carved_and_not_trained_on(tmp_path: Path):
    queries = [(f"q{i}", f"text {i}") for i in range(30)]
    judged = {"train": [(f"q{i}", "p1", 1) for i in range(20)], "test": [("q25", "p2", 1)]}
    splits = make_splits(build(tmp_path, queries=queries, **judged), carve_dev=3)
    assert len(splits["dev"].queries) == 3
    assert len(splits["train"].queries) == 17
    assert not set(splits["dev"].queries) & set(splits["train"].queries)


@pytest.mark.parametrize(
    ("judgements", "message"),
    [
        ({"train": [("q1", "p1", 1)]}, "has no test split"),
        (
            {"train": [("q1", "p1", 1)], "test": [("q1", "p2", 1)]},
            "1 queries are in train and test, such as 'q1'",
        ),
        ({"train": [("q1", "p1", 1)], "test": [("q2", "p2", 0)]}, "split 'test' .*no passage judged 1 or better"),
    ],
)
def test_splits_that_cannot_serve_are_refused(tmp_path: Path, judgements: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        make_splits(build(tmp_path, **judgements))


def test_an_open_collection_needs_its_folder_no_more(tmp_path: Path):
    collection = build(tmp_path / "store")
    fingerprint = collection.fingerprint
    shutil.rmtree(tmp_path / "store")
    assert collection.splits == ("train", "test")
    assert {row: passages.tolist() for row, passages in collection.qrels("test").relevant().items()} == {1: [1]}
    assert collection.passages.text(2) == "three"
    assert collection.fingerprint == fingerprint
