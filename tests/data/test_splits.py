"""What is averaged over and trained on: queries without a relevant passage, and queries that come twice."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource

from experiments.data.assignment import QuerySplit
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged
from experiments.data.splits import make_splits
from experiments.errors import ExperimentError
from experiments.evaluation.measures import evaluate
from experiments.hashing import key_of
from experiments.retrieval.run import Run
from experiments.store import Store
from experiments.studies.preparation import relevance_of

# Grade 1 is relevant. q1 of train, q5 of dev, q7 and q8 of test have no passage judged so.
JUDGED = {
    "train": [("q0", "p0", 1), ("q1", "p1", 0), ("q2", "p2", 2)],
    "dev": [("q4", "p4", 1), ("q5", "p5", 0)],
    "test": [("q6", "p6", 1), ("q7", "p7", 0), ("q8", "p8", 0), ("q9", "p9", 1)],
}


def collection_of(
    tmp_path: Path, judged: Mapping[str, Sequence[tuple[str, str, int]]], texts: Mapping[str, str] | None = None
) -> Collection:
    passages = [(f"p{i}", f"passage {i}") for i in range(10)]
    queries = [(f"q{i}", (texts or {}).get(f"q{i}", f"query {i}")) for i in range(10)]
    return open_collection(LiteralSource(passages, queries, judged), Store(tmp_path / "store"))


def test_queries_without_a_relevant_passage_are_left_out_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        splits = make_splits(collection_of(tmp_path, JUDGED))
    assert {name: split.queries.tolist() for name, split in splits.items()} == {
        "train": [0, 2], "dev": [4], "test": [6, 9],
    }  # fmt: skip
    assert {name: split.without_relevant for name, split in splits.items()} == {"train": 1, "dev": 1, "test": 2}
    (warning,) = caplog.messages
    assert warning == (
        "literal: judged queries without a passage judged 1 or better: 1 of 3 in train, 1 of 2 in dev, 2 of 4 in test; "
        "they are left out (data.without_relevant=count_as_zero counts those of dev and test as 0)"
    )


def test_they_count_as_zero_on_dev_and_test_and_are_never_trained_on(tmp_path: Path):
    splits = make_splits(collection_of(tmp_path, JUDGED), without_relevant="count_as_zero")
    assert {name: split.queries.tolist() for name, split in splits.items()} == {
        "train": [0, 2], "dev": [4, 5], "test": [6, 7, 8, 9],
    }  # fmt: skip
    assert splits["test"].relevant[7].tolist() == []
    assert splits["test"].without_relevant == 2


def test_of_a_sample_only_the_queries_in_it_count(tmp_path: Path):
    collection = collection_of(tmp_path, JUDGED)
    counts = [
        make_splits(collection, without_relevant="count_as_zero", limits={"test": limit})["test"]
        for limit in range(1, 5)
    ]
    for split in counts:
        assert split.without_relevant == len({7, 8} & set(split.queries.tolist()))
    assert [len(split.queries) for split in counts] == [1, 2, 3, 4]


def test_data_without_such_queries_are_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    judged = {"train": [("q0", "p0", 1)], "test": [("q1", "p1", 1)]}
    with caplog.at_level(logging.WARNING):
        make_splits(collection_of(tmp_path, judged))
    assert caplog.messages == []


def test_training_queries_with_the_text_of_a_test_query_are_said_and_dropped_on_demand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    texts = {"q0": "What is  BM25?", "q6": "what is bm25? ", "q2": "query 4", "q9": "query nine"}  # q2 repeats dev's q4
    collection = collection_of(tmp_path, {**JUDGED, "train": [*JUDGED["train"], ("q3", "p3", 1)]}, texts)
    with caplog.at_level(logging.WARNING):
        kept = make_splits(collection)
    assert kept["train"].queries.tolist() == [0, 2, 3]
    (said,) = [message for message in caplog.messages if "have the text of" in message]
    assert said.startswith("literal: 2 of 3 train queries have the text of a dev or test query, such as ")
    assert said.endswith("data.repeated_queries=drop leaves them out of training")
    dropped = make_splits(collection, repeated_queries="drop")
    assert dropped["train"].queries.tolist() == [3]
    assert dropped["test"].queries.tolist() == kept["test"].queries.tolist()


def test_dropping_every_training_query_is_refused(tmp_path: Path):
    collection = collection_of(
        tmp_path, {"train": [("q0", "p0", 1)], "test": [("q6", "p6", 1)]}, {"q0": "x", "q6": "X"}
    )
    with pytest.raises(ExperimentError, match=r"data\.repeated_queries=drop leaves no training query"):
        make_splits(collection, repeated_queries="drop")


def test_empty_texts_repeat_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    collection = collection_of(tmp_path, {"train": [("q0", "p0", 1)], "test": [("q6", "p6", 1)]}, {"q0": "", "q6": " "})
    caplog.clear()
    make_splits(collection)
    assert not [message for message in caplog.messages if "have the text of" in message]


def test_folds_carve_dev_from_the_other_folds(tmp_path: Path):
    judged = {"test": [(f"q{i}", f"p{i}", 1) for i in range(10)]}
    for fold in (0, 1):
        splits = make_splits(collection_of(tmp_path, judged), folds=2, fold=fold, carve_dev=200)
        assert [len(splits[name].queries) for name in ("train", "dev", "test")] == [4, 1, 5]
        assert sorted(row for split in splits.values() for row in split.queries.tolist()) == list(range(10))


def test_what_is_judged_at_least_partly_relevant_can_be_asked_for_apart_from_the_positives(tmp_path: Path):
    judged = {"train": [("q0", "p0", 2), ("q0", "p1", 1), ("q0", "p2", 0), ("q1", "p3", 1)], "test": [("q6", "p6", 2)]}
    train = make_splits(collection_of(tmp_path, judged), min_grade=2)["train"]
    assert train.queries.tolist() == [0]
    assert {row: passages.tolist() for row, passages in train.relevant.items()} == {0: [0]}
    assert {row: passages.tolist() for row, passages in train.judged(1).items()} == {0: [0, 1]}


# Of six queries only q5 has no passage judged 2; leave-one-out tests it alone in one of the six folds.
GRADED = {"test": [(f"q{i}", f"p{i}", 1 if i == 5 else 2) for i in range(6)]}


def fold_of(query: str) -> int:
    return sorted((f"q{i}" for i in range(6)), key=lambda one: key_of("fold", one)).index(query)


def test_a_fold_without_a_relevant_passage_counts_as_zero(tmp_path: Path):
    splits = make_splits(
        collection_of(tmp_path, GRADED), min_grade=2, folds=6, fold=fold_of("q5"), without_relevant="count_as_zero"
    )
    test = splits["test"]
    assert (test.queries.tolist(), test.without_relevant) == ([5], 1)
    assert {row: passages.tolist() for row, passages in test.relevant.items()} == {5: []}
    assert splits["train"].queries.tolist() == [0, 1, 2, 3, 4]
    nothing = Run("none", np.empty(0, np.int64), Ragged.of([], np.int64), Ragged.of([], np.float32))
    judged = relevance_of(collection_of(tmp_path, GRADED), test)
    assert evaluate(nothing, judged, ["RR(rel=2)@10"]).mean == {"RR(rel=2)@10": 0.0}


def test_a_fold_without_a_relevant_passage_names_its_keys_where_such_queries_are_left_out(tmp_path: Path):
    fold = fold_of("q5")
    with pytest.raises(ExperimentError) as refused:
        make_splits(collection_of(tmp_path, GRADED), min_grade=2, folds=6, fold=fold)
    assert str(refused.value) == (
        f"split 'test' of 'literal' has no passage judged 2 or better for the queries that data.folds=6 "
        f"data.fold={fold} puts there: set data.without_relevant=count_as_zero to count its queries as 0, or lower "
        f"data.min_grade, or change data.folds"
    )


@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_share_without_a_relevant_passage_counts_as_zero_or_names_its_key(tmp_path: Path, name: str):
    order = sorted((f"q{i}" for i in range(6)), key=lambda one: key_of("split", one))
    without = order[-1] if name == "test" else order[-2]
    judged = {"test": [(one, f"p{one[1]}", 1 if one == without else 2) for one in order]}
    collection, split = collection_of(tmp_path, judged), QuerySplit(train=4, dev=1, test=1)
    counted = make_splits(collection, min_grade=2, split=split, without_relevant="count_as_zero")
    assert (counted[name].queries.tolist(), counted[name].without_relevant) == ([int(without[1])], 1)
    message = rf"data\.split\.{name}=1 puts there: set data\.without_relevant=count_as_zero"
    with pytest.raises(ExperimentError, match=message):
        make_splits(collection, min_grade=2, split=split)


def test_data_without_any_relevant_passage_are_refused_even_if_such_queries_count(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"no passage judged 3 or better: lower data\.min_grade$"):
        make_splits(collection_of(tmp_path, GRADED), min_grade=3, needed=("test",), without_relevant="count_as_zero")
