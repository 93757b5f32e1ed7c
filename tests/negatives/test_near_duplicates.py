"""Word-for-word similarity: shingles and Jaccard similarities counted by hand."""

from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource, literal_collection
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.cache import Cache
from experiments.data.collection import open_collection
from experiments.negatives.near_duplicates import passage_shingles, shingles_of, similarity


def alike(positive: str, candidate: str) -> float:
    return float(similarity(shingles_of([positive, candidate]), np.array([0]), np.array([1]))[0])


def test_every_three_neighbouring_words_are_a_shingle():
    # a b c, b c d, c d e
    assert shingles_of(["a b c d e"]).lengths.tolist() == [3]


def test_a_shingle_that_comes_twice_counts_once():
    # a b a, b a b, a b a
    assert shingles_of(["a b a b a"]).lengths.tolist() == [2]


def test_a_short_text_is_one_shingle_and_one_without_words_has_none():
    assert shingles_of(["a b", "a", "", "?!", "a b c"]).lengths.tolist() == [1, 1, 0, 0, 1]


def test_similarity_is_shared_shingles_over_all_shingles():
    # abc bcd cde against abc bcd cdx: two of four
    assert alike("a b c d e", "a b c d x") == 2 / 4


def test_the_order_of_words_counts():
    assert alike("the cat ate the dog", "the dog ate the cat") == 0.0


def test_case_white_space_and_punctuation_do_not_count():
    assert alike("List all files, please.", "list  ALL files\nplease") == 1.0


def test_short_texts_are_alike_only_if_their_words_are_the_same():
    assert alike("a b", "A, b") == 1.0
    assert alike("a b", "b a") == 0.0
    assert alike("a b", "a b c") == 0.0


def test_texts_without_words_are_like_nothing():
    assert alike("", "") == 0.0
    assert alike("a b c", "...") == 0.0


def test_the_most_similar_positive_counts():
    texts = ["a b c d e", "v w x y z", "v w x y q", "m n o"]
    found = similarity(shingles_of(texts), np.array([0, 1]), np.array([2, 3, 0]))
    assert found.tolist() == [2 / 4, 0.0, 1.0]


def test_no_candidates_have_no_similarities():
    assert similarity(shingles_of(["a b c"]), np.array([0]), np.empty(0, np.int64)).tolist() == []


@given(st.lists(st.text(alphabet="abc ", max_size=24), min_size=2, max_size=6))
def test_similarity_is_that_of_the_sets_of_word_triples(texts: list[str]):
    def triples(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        if not words:
            return set()
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    sets = [triples(text) for text in texts]
    wanted = [len(sets[0] & one) / len(sets[0] | one) if sets[0] | one else 0.0 for one in sets]
    found = similarity(shingles_of(texts), np.array([0]), np.arange(len(texts)))
    assert found.tolist() == pytest.approx(wanted)


def test_shingles_of_a_collection_are_made_once_and_are_those_of_its_texts(tmp_path: Path):
    texts = ["one two three four", "", "five"]
    source = LiteralSource(
        [(f"p{i}", text) for i, text in enumerate(texts)], [("q0", "x")], {"train": [("q0", "p0", 1)]}
    )
    store = Cache(tmp_path / "store")
    collection = open_collection(source, store)
    first, again = passage_shingles(collection, store), passage_shingles(collection, store)
    assert first.values.tolist() == again.values.tolist() == shingles_of(texts).values.tolist()
    assert first.offsets.tolist() == [0, 2, 2, 3]
    assert (store.builds["shingles"], store.hits["shingles"]) == (1, 1)


def test_another_collection_has_shingles_of_its_own(tmp_path: Path):
    store = Cache(tmp_path / "shingles")
    few, many = (literal_collection(tmp_path / str(n), passages=n) for n in (5, 8))
    assert len(passage_shingles(few, store)) == 5
    assert len(passage_shingles(many, store)) == 8
