"""Which queries train and test where one file of qrels is all there is: shares, counts, folds by a hash of the id."""

from pathlib import Path

import pytest
from helpers.tiny import LiteralSource, literal_collection

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of
from experiments.data.collection import Collection, open_collection
from experiments.data.query_split import QuerySplit, assigned, check_folds


def one_qrels(tmp_path: Path, queries: int = 40, split: str = "test") -> Collection:
    """A collection whose only qrels are those of one split: query i is answered by passage i."""
    return literal_collection(
        tmp_path, passages=queries, queries=queries, judgements={split: [(f"q{i}", f"p{i}", 1) for i in range(queries)]}
    )


def place(query: str) -> float:
    return key_of("split", query) / 2**64


def ids(collection: Collection, split: QuerySplit) -> dict[str, set[str]]:
    return {name: set(collection.queries.ids(one.queries)) for name, one in assigned(collection, split).items()}


def test_shares_cut_the_line_of_hashes_train_from_its_start_and_test_from_its_end(tmp_path: Path):
    found = ids(one_qrels(tmp_path), QuerySplit(train=0.5, dev=0.2, test=0.3))
    every = [f"q{i}" for i in range(40)]
    assert found == {
        "train": {one for one in every if place(one) < 0.5},
        "dev": {one for one in every if 0.5 <= place(one) < 0.7},
        "test": {one for one in every if place(one) >= 0.7},
    }
    assert all(found.values())


def test_a_query_keeps_its_place_when_others_come(tmp_path: Path):
    split = QuerySplit(train=0.5, dev=0.2, test=0.3)
    few, many = ids(one_qrels(tmp_path / "few", 20), split), ids(one_qrels(tmp_path / "many", 40), split)
    before = {f"q{i}" for i in range(20)}
    assert {name: queries & before for name, queries in many.items()} == few


def test_less_training_leaves_the_test_queries_where_they_are(tmp_path: Path):
    collection = one_qrels(tmp_path)
    much, little = (ids(collection, QuerySplit(train=share, test=0.3)) for share in (0.7, 0.2))
    assert little["test"] == much["test"]
    assert little["train"] < much["train"]


def test_counts_take_the_first_and_the_last_in_the_order_of_hashes(tmp_path: Path):
    found = ids(one_qrels(tmp_path, 10), QuerySplit(train=4, dev=1, test=3))
    order = sorted((f"q{i}" for i in range(10)), key=place)
    assert found == {"train": set(order[:4]), "dev": {order[6]}, "test": set(order[7:])}


def test_the_queries_of_all_splits_are_shared_out_together(tmp_path: Path):
    collection = literal_collection(tmp_path, queries=8)  # q0 to q6 train, q7 test
    found = ids(collection, QuerySplit(train=5, test=3))
    assert found["train"] | found["test"] == {f"q{i}" for i in range(8)}


def test_one_split_can_be_shared_out_and_the_others_kept(tmp_path: Path):
    judgements = {"train": [("q0", "p0", 1)], "test": [(f"q{i}", f"p{i}", 1) for i in range(1, 8)]}
    collection = literal_collection(tmp_path, queries=8, judgements=judgements)
    found = ids(collection, QuerySplit(of="test", dev=2, test=5))
    assert found["train"] == {"q0"}
    assert found["dev"] | found["test"] == {f"q{i}" for i in range(1, 8)}
    assert (len(found["dev"]), len(found["test"])) == (2, 5)


def test_folds_differ_by_one_query_at_most_and_each_query_is_tested_once(tmp_path: Path):
    collection = one_qrels(tmp_path, 11)
    tested = []
    for fold in range(3):
        found = assigned(collection, folds=3, fold=fold)
        assert set(found) == {"train", "test"}
        assert sorted([*found["train"].queries, *found["test"].queries]) == list(range(11))
        tested.append(found["test"].queries.tolist())
    assert sorted(map(len, tested)) == [3, 4, 4]
    assert sorted(row for rows in tested for row in rows) == list(range(11))
    order = sorted(range(11), key=lambda i: key_of("fold", f"q{i}"))
    assert [sorted(order[fold::3]) for fold in range(3)] == tested


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": 0.7, "test": 0.4}, r"the shares add up to 1\.1, above 1"),
        ({"train": 1.5}, r"data\.split\.train is 1\.5: give a share above 0 up to 1"),
        ({"train": 0}, r"data\.split\.train is 0: give a share above 0"),
        ({"train": 0.7, "test": 20}, r"mixes shares with counts \(train=0\.7, test=20\)"),
        ({"train": "most"}, r"data\.split\.train is 'most': it must be a share"),
        ({"of": "all", "train": 0.5}, r"data\.split\.of is 'all': it must be null or one of train, dev, test"),
    ],
)
def test_shares_and_counts_out_of_their_range_are_refused(given: dict[str, object], message: str):
    with pytest.raises(ExperimentError, match=message):
        QuerySplit(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (QuerySplit(train=30, test=11), r"30 train \+ 11 test = 41 queries, but only 40 are judged"),
        (QuerySplit(train=0.5, test=0.0001), r"data\.split\.test=0\.0001 leaves no query for test: raise it, as"),
        (QuerySplit(of="train", test=0.5), r"data\.split\.of is 'train', but data set 'literal' has test"),
        (QuerySplit(of="test"), r"data\.split\.of=test divides no queries"),
    ],
)
def test_shares_that_the_data_do_not_have_are_refused(tmp_path: Path, split: QuerySplit, message: str):
    with pytest.raises(ExperimentError, match=message):
        assigned(one_qrels(tmp_path), split)


def test_a_split_that_the_data_set_has_itself_is_not_given_twice(tmp_path: Path):
    collection = literal_collection(tmp_path, queries=8)
    with pytest.raises(ExperimentError, match=r"data\.split\.train is given, but data set 'literal' has a train split"):
        assigned(collection, QuerySplit(of="test", train=0.5, test=0.5))


@pytest.mark.parametrize(
    ("folds", "fold", "split", "message"),
    [
        (None, 1, QuerySplit(), r"data\.fold is 1, but data\.folds is null"),
        (1, 0, QuerySplit(), r"data\.folds is 1: it must be null or at least 2"),
        (3, None, QuerySplit(), r"data\.folds=3 needs a fold: .*, or all by -m data\.fold=0,1,2"),
        (3, 3, QuerySplit(), r"data\.fold is 3: with data\.folds=3 it must be one of 0,1,2"),
        (3, 0, QuerySplit(train=0.5), r"data\.folds and data\.split are both given"),
    ],
)  # fmt: skip
def test_folds_out_of_their_range_are_refused(folds: int | None, fold: int | None, split: QuerySplit, message: str):
    with pytest.raises(ExperimentError, match=message):
        check_folds(folds, fold, split)


def test_more_folds_than_queries_are_refused(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"data\.folds is 41, but only 40 queries are judged"):
        assigned(one_qrels(tmp_path), folds=41, fold=0)


def test_a_pair_judged_alike_in_two_splits_is_put_together_and_one_judged_otherwise_is_refused(tmp_path: Path):
    def collection(grade: int) -> Collection:
        qrels = {"train": [("q0", "p0", 1), ("q0", "p1", 0)], "test": [("q0", "p0", grade), ("q1", "p1", 1)]}
        source = LiteralSource([("p0", "a"), ("p1", "b")], [("q0", "x"), ("q1", "y")], qrels)
        return open_collection(source, Cache(tmp_path / "store"))

    found = assigned(collection(1), QuerySplit(train=1, test=1))
    rows = {int(query): found["train"].qrels.passages[i].tolist() for i, query in enumerate([0, 1])}
    assert rows == {0: [0, 1], 1: [1]}
    with pytest.raises(ExperimentError, match=r"the passage 'p0' is judged 1 and 2 for the query 'q0'"):
        assigned(collection(2), QuerySplit(train=1, test=1))
