"""The words that BM25 indexes are those of bm25s."""

import bm25s
import pytest
import Stemmer
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.retrieval.words import Words, check_stemmer


def test_words_are_in_lower_case_without_stop_words_and_stemmed():
    assert Words("english", "en").of("The cats of R2 were CHASING a cat, it's 5 x") == [
        "cat",
        "r2",
        "were",
        "chase",
        "cat",
    ]


def test_without_a_stemmer_and_stop_words_words_stay():
    assert Words(None, None).of("The cats chasing") == ["the", "cats", "chasing"]


@given(st.lists(st.text(max_size=40), max_size=4))
@example(["The Straße ﬁne İstanbul", "naïve café_au_lait 日本語 x1"])
def test_they_are_those_of_bm25s(texts: list[str]):
    for stemmer, stopwords in (("english", "en"), ("german", "de"), (None, None)):
        snowball = Stemmer.Stemmer(stemmer) if stemmer else None
        theirs = bm25s.tokenize(
            texts, stopwords=stopwords or [], stemmer=snowball, return_ids=False, show_progress=False
        )
        words = Words(stemmer, stopwords)
        assert [words.of(text) for text in texts] == theirs


def test_numbers_stand_for_words_in_the_order_in_which_they_come():
    assert Words(None, None).numbered(["cat dog cat", "", "eel dog"]) == (
        [[0, 1, 0], [], [2, 1]],
        ["cat", "dog", "eel"],
    )


def test_a_language_that_snowball_lacks_is_named():
    with pytest.raises(ExperimentError, match=r"retrievers\.mine\.stemmer: 'klingon' is none of arabic"):
        check_stemmer("retrievers.mine.stemmer", "klingon")
