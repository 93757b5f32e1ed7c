"""Twin queries: how alike two queries are, whose answers count, and what the filter makes of a draw."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource, literal_run
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.cache import Cache
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged
from experiments.data.splits import make_splits
from experiments.negatives.filters import AnswersOfTwins
from experiments.negatives.near_duplicates import similarity
from experiments.negatives.sampler import NegativeSampler
from experiments.negatives.sampling_report import FilterCounts
from experiments.negatives.twin_queries import TwinQueries, query_shingles


def alike(first: str, second: str) -> float:
    return float(similarity(query_shingles([first, second]), np.array([0]), np.array([1]))[0])


def test_function_words_case_and_punctuation_make_no_difference():
    assert (
        alike("Sync files in a directory from local to bucket", "sync files in the directory, from local to a bucket.")
        == 1
    )
    assert alike("Display information for a package", "Display information on the package") == 1


def test_the_reversed_order_is_no_twin():
    # <s> convert, convert ppm, ppm pict, pict </s> against <s> convert, convert pict, pict ppm, ppm </s>
    assert alike("Convert PPM to PICT", "Convert PICT to PPM") == 1 / 7


def test_the_ends_of_a_query_count():
    # <s> list, list files, files </s> against <s> list, list files, files recursively, recursively </s>
    assert alike("list files", "list the files recursively") == 2 / 5
    assert alike("list", "files") == 0


def test_words_that_turn_a_question_round_are_no_function_words():
    # <s> branches, branches merged, merged </s>; branches not, not merged instead of the second
    assert alike("branches that are merged", "branches that are not merged") == 2 / 5
    assert alike("with tags one and two", "with tags one or two") < 1


@pytest.mark.parametrize(("first", "second"), [("compile C", "compile C++"), ("files > 1 MB", "files < 1 MB")])
def test_signs_that_tell_questions_apart_count_as_words(first: str, second: str):
    assert alike(first, second) < 1


def test_a_query_of_nothing_but_function_words_is_like_no_other():
    assert alike("what", "What?") == 1, "no stop word of the list"
    assert alike("to be", "to be") == 0
    assert alike("", "") == 0


# --- which queries a candidate answers

QUERIES = [
    "copy the text to the clipboard",  # 0
    "Copy text to clipboard",  # 1, its twin
    "copy text",  # 2: <s> copy, copy text of the four pairs of 0, and text </s> that 0 has not: 2 of 5
    "list all users",  # 3, shares no pair with 0
    "Copy text to clipboard!",  # 4, as 1
]


def collection_of(folder: Path, qrels: Mapping[str, Sequence[tuple[str, str, int]]]) -> Collection:
    passages = [(f"p{i}", f"passage number {i}") for i in range(9)]
    queries = [(f"q{i}", text) for i, text in enumerate(QUERIES)]
    return open_collection(LiteralSource(passages, queries, qrels), Cache(folder / "store"))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return collection_of(tmp_path_factory.mktemp("twins"), {"train": [("q0", "p0", 1)]})


def twins_of(collection: Collection, relevant: Mapping[int, Sequence[int]]) -> TwinQueries:
    return TwinQueries.of(collection, {query: np.array(passages) for query, passages in relevant.items()})


def nearest(twins: TwinQueries, query: int, candidates: Sequence[int]) -> list[tuple[float, int]]:
    similarity_C, twin_C = twins.nearest(query, np.array(candidates, np.int64))
    return list(zip(similarity_C.tolist(), twin_C.tolist(), strict=True))


def test_a_candidate_is_as_near_as_the_query_that_it_answers(collection: Collection):
    twins = twins_of(collection, {0: [0], 1: [1], 2: [2], 3: [3]})
    assert nearest(twins, 0, [3, 2, 1]) == [(0.0, -1), (2 / 5, 2), (1.0, 1)]


def test_a_candidate_that_answers_nothing_has_no_twin(collection: Collection):
    twins = twins_of(collection, {0: [4], 1: [5]})
    assert nearest(twins, 0, [0, 7, 8]) == [(0.0, -1)] * 3
    assert nearest(twins, 0, []) == []


def test_a_query_is_not_its_own_twin(collection: Collection):
    assert nearest(twins_of(collection, {0: [0], 3: [1]}), 0, [0]) == [(0.0, -1)]


def test_of_the_queries_that_a_candidate_answers_the_most_alike_counts_and_of_equals_the_first(collection: Collection):
    twins = twins_of(collection, {0: [0], 1: [5, 6], 2: [5], 3: [5], 4: [5, 6]})
    assert nearest(twins, 0, [5, 6]) == [(1.0, 1), (1.0, 1)]
    assert nearest(twins, 2, [5]) == [(2 / 5, 1)]


def test_what_is_judged_for_other_splits_is_not_used(tmp_path: Path):
    # the twins of query 0 stand in dev and in test: their positives are candidates like all others
    qrels = {
        "train": [("q0", "p0", 1), ("q3", "p3", 1)],
        "dev": [("q1", "p1", 1)],
        "test": [("q4", "p4", 1)],
    }
    collection = collection_of(tmp_path, qrels)
    train = make_splits(collection)["train"]
    twins = TwinQueries.of(collection, train.relevant)
    assert twins.queries.tolist() == [0, 3]
    assert nearest(twins, 0, [1, 4]) == [(0.0, -1), (0.0, -1)]


def test_a_query_that_is_not_trained_on_is_a_mistake_of_the_program(collection: Collection):
    twins = twins_of(collection, {0: [0], 3: [1]})
    for row in (1, 4):
        with pytest.raises(KeyError, match=str(row)):
            nearest(twins, row, [0])


WORDS = st.lists(st.sampled_from(["x", "y", "z", "the"]), max_size=4)
POSITIVES = st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=3, max_size=3)


@given(texts=st.lists(WORDS, min_size=3, max_size=3), positives=POSITIVES)
def test_it_is_the_jaccard_similarity_of_word_pairs_searched_one_by_one(
    texts: list[list[str]], positives: list[set[int]]
):
    def pairs(text: list[str]) -> set[tuple[str, str]]:
        words = [word for word in text if word != "the"]
        return set(zip(["<", *words], [*words, ">"], strict=True)) if words else set()

    rows = [(passage, query) for query, some in enumerate(positives) for passage in some]
    answered = {passage: [query for one, query in rows if one == passage] for passage, _ in sorted(rows)}
    twins = TwinQueries(
        np.arange(3),
        query_shingles(" ".join(text) for text in texts),
        np.array(list(answered), np.int64),
        Ragged.of(list(answered.values()), np.int64),
    )
    sets = [pairs(text) for text in texts]
    wanted = [
        max((len(sets[0] & sets[q]) / len(sets[0] | sets[q] or {0}) for q in answered.get(passage, ()) if q), default=0)
        for passage in range(7)
    ]
    assert [one for one, _ in nearest(twins, 0, range(7))] == pytest.approx(wanted)


# --- the filter


@pytest.mark.parametrize(("threshold", "left"), [(1.0, [2, 3, 7]), (0.41, [2, 3, 7]), (0.4, [3, 7])])
def test_answers_of_a_twin_are_dropped_from_the_threshold_on(collection: Collection, threshold: float, left: list[int]):
    one = AnswersOfTwins(twins_of(collection, {0: [0], 1: [1], 2: [2], 3: [3]}), threshold)
    candidates = np.array([1, 2, 3, 7])
    keep = one.keep(literal_run({0: [1]}), 0, np.array([0]), candidates)
    assert keep is not None
    assert candidates[keep].tolist() == left


def test_the_filter_changes_what_is_drawn_and_is_counted(collection: Collection):
    relevant = {0: np.array([0]), 1: np.array([1]), 3: np.array([3])}
    runs = [literal_run({query: [0, 1, 2, 3, 4] for query in relevant})]
    rule = NegativeRule(count=3, depth=5)
    twins = [AnswersOfTwins(TwinQueries.of(collection, relevant), 1.0)]
    plain, filtered = (NegativeSampler(rule, runs, relevant, collection, 3, some) for some in ((), twins))
    # 0 and 1 are twins: each loses the other's positive, and the fourth candidate steps in; 3 loses nothing
    assert [plain.draw(query, 0).tolist() for query in relevant] == [[4, 1, 2], [4, 0, 2], [1, 0, 2]]
    assert [filtered.draw(query, 0).tolist() for query in relevant] == [[4, 2, 3], [4, 2, 3], [1, 0, 2]]
    assert filtered.report.filtered == {"first": {"twin_query": FilterCounts(candidates=2, of=12, queries=2)}}
