"""What is averaged over and trained on: queries without a relevant passage, and queries that come twice."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of
from experiments.data.collection import Collection, open_collection
from experiments.data.query_split import QuerySplit
from experiments.data.ragged import Ragged
from experiments.data.run import Run
from experiments.data.splits import make_splits
from experiments.evaluation.measures import evaluate
from experiments.jobs.prepare import relevance_of

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
    return open_collection(LiteralSource(passages, queries, judged), Cache(tmp_path / "store"))


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
        "they are left out (data.without_relevant=count_as_zero counts dev and test queries as 0)"
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


def judged_in(**counts: int) -> dict[str, list[tuple[str, str, int]]]:
    """So many queries of each split, the first ones first, each answered by its passage."""
    rows = iter(range(10))
    numbers = {name: [next(rows) for _ in range(count)] for name, count in counts.items()}
    return {name: [(f"q{i}", f"p{i}", 1) for i in taken] for name, taken in numbers.items()}


FOLDS_OF_TWO = {"folds": 2, "fold": 0}


@pytest.mark.parametrize(
    ("judged", "given", "trained", "remedy", "then"),
    [
        (judged_in(test=6), FOLDS_OF_TWO, 3, "set data.folds=6", {"folds": 6, "fold": 0}),
        (judged_in(test=4), FOLDS_OF_TWO, 2,
         "leave out data.folds and data.fold, and set data.split.train=1 data.split.dev=1 data.split.test=2",
         {"split": QuerySplit(train=1, dev=1, test=2)}),
        (judged_in(train=1, test=4), FOLDS_OF_TWO | {"split": QuerySplit(of="test")}, 2,
         "leave out data.folds and data.fold, and set data.split.dev=1 data.split.test=3",
         {"split": QuerySplit(of="test", dev=1, test=3)}),
        (judged_in(test=6), {"split": QuerySplit(train=4, test=2)}, 4,
         "set data.split.train=3 data.split.dev=1 data.split.test=2", {"split": QuerySplit(train=3, dev=1, test=2)}),
        (judged_in(train=2, test=4), {"split": QuerySplit(of="test", test=4)}, 2,
         "set data.split.dev=1 data.split.test=3", {"split": QuerySplit(of="test", dev=1, test=3)}),
        (judged_in(train=4, test=2), {}, 4,
         "set data.split.of=train data.split.train=3 data.split.dev=1, or name qrels in data.source.splits.dev",
         {"split": QuerySplit(of="train", train=3, dev=1)}),
        (judged_in(train=1, test=2), {}, 1,
         "set data.split.of=test data.split.dev=1 data.split.test=1, or name qrels in data.source.splits.dev",
         {"split": QuerySplit(of="test", dev=1, test=1)}),
        (judged_in(train=1, test=1), {"split": QuerySplit(train=1, test=1)}, 1, "judge more queries", None),
    ],
)  # fmt: skip
def test_too_few_training_queries_to_carve_dev_from_are_refused_with_a_remedy_that_works(
    tmp_path: Path, judged: Any, given: Any, trained: int, remedy: str, then: Any
):
    collection = collection_of(tmp_path, judged)
    with pytest.raises(ExperimentError) as refused:
        make_splits(collection, carve_dev=200, **given)
    assert str(refused.value) == (
        "data set 'literal' has no dev queries to choose checkpoints on: data.carve_dev takes at most a fifth of the "
        f"training queries, and a fifth of {trained} is none; {remedy}"
    )
    if then is not None:
        splits = make_splits(collection, carve_dev=200, **then)
        assert sorted(splits) == ["dev", "test", "train"]
        assert all(len(split.queries) for split in splits.values())


def test_more_folds_leave_enough_to_carve_from_in_every_fold(tmp_path: Path):
    judged = {"test": [(f"q{i}", f"p{i}", 1 if i < 7 else 0) for i in range(10)]}  # q7, q8, q9: nothing relevant
    collection = collection_of(tmp_path, judged)
    with pytest.raises(ExperimentError, match=r"a fifth of 3 is none; set data\.folds=5$"):
        make_splits(collection, carve_dev=200, folds=2, fold=1)  # trains on q2, q3, q4, q7, q8
    for fold in range(5):
        splits = make_splits(collection, carve_dev=200, folds=5, fold=fold, without_relevant="count_as_zero")
        assert len(splits["dev"].queries) == 1


def test_without_a_training_no_dev_query_is_needed(tmp_path: Path):
    collection = collection_of(tmp_path, judged_in(test=6))
    for name in ("train", "test"):
        assert len(make_splits(collection, carve_dev=200, needed=(name,), folds=2, fold=0)[name].queries) == 3
    with pytest.raises(ExperimentError, match=r"a fifth of 3 is none; set data\.folds=6$"):
        make_splits(collection, carve_dev=200, needed=("dev",), folds=2, fold=0)


def test_folds_of_one_split_keep_the_dev_split_of_the_data_set(tmp_path: Path):
    collection = collection_of(tmp_path, judged_in(dev=2, test=8))
    for fold in (0, 1):
        splits = make_splits(collection, folds=2, fold=fold, split=QuerySplit(of="test"), carve_dev=200)
        assert splits["dev"].queries.tolist() == [0, 1]
        assert [len(splits[name].queries) for name in ("train", "test")] == [4, 4]


JUDGED_TO_TUNE = {
    "train": [("q0", "p0", 1)],
    "dev": [("q1", "p1", 1), ("q2", "p2", 1), ("q3", "p3", 1)],
    "test": [("q4", "p4", 1)],
}


class TestMeasuredOnDev:
    """A recipe is chosen on dev queries that chose no checkpoint; the test queries are not used."""

    def test_the_dev_queries_beyond_the_limit_are_measured(self, tmp_path: Path):
        collection = collection_of(tmp_path, JUDGED_TO_TUNE)
        splits = make_splits(collection, measured_on="dev", limits={"dev": 1})
        assert len(splits["dev"].queries) == 1
        assert sorted([*splits["dev"].queries.tolist(), *splits["test"].queries.tolist()]) == [1, 2, 3]

    def test_their_number_has_a_limit(self, tmp_path: Path):
        collection = collection_of(tmp_path, JUDGED_TO_TUNE)
        splits = make_splits(collection, measured_on="dev", limits={"dev": 1, "test": 1})
        assert len(splits["test"].queries) == 1

    def test_a_collection_without_test_queries_will_do(self, tmp_path: Path):
        judged = {name: JUDGED_TO_TUNE[name] for name in ("train", "dev")}
        splits = make_splits(collection_of(tmp_path, judged), measured_on="dev", limits={"dev": 2})
        assert len(splits["test"].queries) == 1

    @pytest.mark.parametrize("limit", [3, None])
    def test_refuses_a_limit_that_leaves_none(self, tmp_path: Path, limit: int | None):
        with pytest.raises(ExperimentError, match=f"beyond the first data.queries.dev={limit}.*'literal' has 3"):
            make_splits(collection_of(tmp_path, JUDGED_TO_TUNE), measured_on="dev", limits={"dev": limit})
