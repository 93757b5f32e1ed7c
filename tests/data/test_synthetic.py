"""The synthetic collection: deterministic, of any size, with the statistics of real MS MARCO passages."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.data.readers.synthetic import Synthetic, word_of
from experiments.retrieval.words import Words

# Of the 30,005 MS MARCO passages of TREC Deep Learning 2019 and 2020, lower-cased \w+
REAL_LENGTHS = {5: 31, 25: 44, 50: 53, 75: 76, 95: 110}  # percentile -> words
REAL_SHARES = {1: 0.058, 10: 0.233, 100: 0.420, 1_000: 0.677, 10_000: 0.932}  # most frequent words -> share of all
REAL_FOUND = 0.1396  # share of the passages that have a word of a query, summed over its words, stemmed
REAL_DISTINCT = 41.2  # words of a passage


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    return [text.split() for _, text in Synthetic(passages=30_005).passages()]


def test_lengths_are_those_of_ms_marco(texts: list[list[str]]):
    lengths = [len(text) for text in texts]
    assert np.mean(lengths) == pytest.approx(61, rel=0.02)
    assert np.std(lengths) == pytest.approx(25, rel=0.03)
    for percentile, words in REAL_LENGTHS.items():
        assert np.percentile(lengths, percentile) == pytest.approx(words, rel=0.08)


def test_frequencies_are_those_of_ms_marco(texts: list[list[str]]):
    counts = np.array(sorted(Counter(word for text in texts for word in text).values(), reverse=True))
    for most_frequent, share in REAL_SHARES.items():
        assert counts[:most_frequent].sum() / counts.sum() == pytest.approx(share, rel=0.1)
    assert np.mean([len(set(text)) for text in texts]) == pytest.approx(REAL_DISTINCT, rel=0.1)


def test_queries_have_words_as_frequent_as_those_of_trec_deep_learning():
    source, words = Synthetic(passages=30_000, train=1000), Words("english", "en")
    passages_with = Counter(word for _, text in source.passages() for word in set(words.of(text)))
    found = [sum(passages_with[word] for word in words.of(text)) for _, text in source.queries()]
    assert np.mean(found) / 30_000 == pytest.approx(REAL_FOUND, rel=0.1)


def test_a_query_is_of_the_rarer_words_of_its_passage_and_each_split_has_its_number():
    source = Synthetic(passages=500, train=20, dev=5, test=7)
    passages, queries, qrels = dict(source.passages()), dict(source.queries()), source.qrels()
    rows = {split: list(judged) for split, judged in qrels.items()}
    assert {split: len(judged) for split, judged in rows.items()} == {"train": 20, "dev": 5, "test": 7}
    judged = [row for split in rows.values() for row in split]
    assert sorted(queries) == sorted(query for query, _, _ in judged)
    for query, passage, grade in judged:
        assert grade == 1
        assert set(queries[query].split()) <= set(passages[passage].split())
        assert 1 <= len(queries[query].split()) <= 6


def test_the_same_settings_give_the_same_texts_and_another_seed_others():
    first, again, other = Synthetic(passages=3000), Synthetic(passages=3000), Synthetic(passages=3000, seed=2)
    assert list(first.passages()) == list(again.passages())
    assert list(first.queries()) == list(again.queries())
    assert list(islice(first.passages(), 10)) != list(islice(other.passages(), 10))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_no_two_ranks_are_one_word(first: int, second: int):
    assert (word_of(first) == word_of(second)) == (first == second)


def test_the_most_frequent_words_are_the_shortest():
    assert [word_of(rank) for rank in (0, 1, 79, 80, 6479, 6480)] == ["ba", "be", "zu", "baba", "zuzu", "bababa"]


def test_more_queries_than_passages_are_refused():
    with pytest.raises(ExperimentError, match=r"12 queries need as many passages of their own, and there are 10"):
        Synthetic(passages=10, train=10, dev=1, test=1)
