"""The index of BM25: the scores of bm25s, the same however it is built and searched, and nothing lost by a kill."""

from collections.abc import Iterator
from pathlib import Path

import bm25s
import numpy as np
import pyarrow as pa
import pytest
import Stemmer
from helpers.tiny import LiteralSource
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.cache import Cache
from experiments.data.collection import Collection, open_collection
from experiments.retrieval import bm25_count
from experiments.retrieval.bm25 import BM25
from experiments.retrieval.bm25_index import Bm25Index, build_index, open_index
from experiments.retrieval.bm25_scan import BLOCK
from experiments.retrieval.bm25_search import by_numpy, compiled
from experiments.retrieval.retriever import run_for
from experiments.retrieval.words import Words

PASSAGES = [
    ("p0", "cats chase mice"),
    ("p1", "dogs chase cats and cats chase dogs"),
    ("p2", "?"),
    ("p3", "mice eat cheese, mice eat cake"),
    ("p4", "stars shine on cats"),
]
QUERIES = [("q0", "chasing cat"), ("q1", "cheese for mice"), ("q2", "quasar"), ("q3", "cat cat star"), ("q4", "dog")]
ALL = np.arange(len(QUERIES))


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return open_collection(LiteralSource(PASSAGES, QUERIES, {"test": [("q0", "p0", 1)]}), Cache(tmp_path))


def words() -> Words:
    return Words("english", "en")


def built(collection: Collection, folder: Path) -> Bm25Index:
    folder.mkdir()
    assert build_index(collection.passages, words(), 0.9, 0.4, "bm25", folder)
    return open_index(folder)


def entries(index: Bm25Index) -> dict[str, list[tuple[int, float]]]:
    """The passages and shares of each term."""
    rows, scores = index.rows_N.tolist(), index.scores_N.tolist()
    ends = index.offsets.tolist()
    return {
        word: list(zip(rows[start:end], scores[start:end], strict=True))
        for word, start, end in zip(index.words.to_pylist(), ends, ends[1:], strict=False)
    }


def test_the_shares_are_exactly_those_of_bm25s(collection: Collection, tmp_path: Path):
    mine = entries(built(collection, tmp_path / "index"))
    theirs = bm25s.BM25(k1=0.9, b=0.4, method="lucene")
    tokens = bm25s.tokenize(
        [text for _, text in PASSAGES], stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False
    )
    theirs.index(tokens, show_progress=False)
    assert set(mine) == set(tokens.vocab) - {""}  # which bm25s adds, in no passage
    for word, own in mine.items():
        scores = theirs.get_scores_from_ids(theirs.get_tokens_ids([word]))
        assert own == [(row, scores[row]) for row in np.flatnonzero(scores).tolist()]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_it_is_the_same_however_many_passages_a_part_has(
    collection: Collection, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
):
    whole = entries(built(collection, tmp_path / "whole"))
    monkeypatch.setattr(bm25_count, "PASSAGES_A_PART", size)
    assert entries(built(collection, tmp_path / "parts")) == whole
    assert not (tmp_path / "parts" / "parts").exists()


def test_a_killed_build_goes_on_with_the_parts_that_it_has(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = entries(built(collection, tmp_path / "whole"))
    monkeypatch.setattr(bm25_count, "PASSAGES_A_PART", 1)
    folder, answers_of, asked = tmp_path / "index", bm25_count.answers_of, []

    def killed_after_two(module: str, arguments: list[str], tasks: list[str]) -> Iterator[str]:
        asked.append(tasks)
        answers = answers_of(module, arguments, tasks)
        yield next(answers)
        yield next(answers)
        if len(asked) == 1:
            answers.close()
            raise KeyboardInterrupt
        yield from answers

    monkeypatch.setattr(bm25_count, "answers_of", killed_after_two)
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        build_index(collection.passages, words(), 0.9, 0.4, "bm25", folder)
    counted = {path.name for path in (folder / "parts").iterdir() if not path.name.startswith(".")}
    assert 2 <= len(counted) < 5
    build_index(collection.passages, words(), 0.9, 0.4, "bm25", folder)
    assert asked == [["0 1", "1 2", "2 3", "3 4", "4 5"], [f"{n} {n + 1}" for n in range(5) if str(n) not in counted]]
    assert entries(open_index(folder)) == whole


def test_the_words_of_a_query_keep_their_order_and_repetitions(collection: Collection, tmp_path: Path):
    index = built(collection, tmp_path / "index")
    names = index.words.to_pylist()
    found = index.terms_of([["star", "quasar", "cat", "cat"], [], ["dog"]])
    assert [[names[term] for term in terms] for terms in found] == [["star", "cat", "cat"], [], ["dog"]]


def index_of(lists: list[tuple[list[int], list[float]]], passages: int) -> Bm25Index:
    """An index whose terms have these passages and shares."""
    offsets = np.cumsum([0, *(len(rows) for rows, _ in lists)])
    rows = np.array([row for own, _ in lists for row in own], np.int32)
    scores = np.array([score for _, own in lists for score in own], np.float32)
    return Bm25Index(pa.array([f"w{i}" for i in range(len(lists))]), offsets, rows, scores, passages)


def test_equal_scores_go_to_the_lower_row_across_blocks():
    rows = [5, BLOCK - 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 2]
    index = index_of([(rows, [1.0, 1.0, 2.0, 1.0, 2.0]), ([BLOCK - 1, 3 * BLOCK], [1.0, 1.0])], 4 * BLOCK)
    found, scores = compiled(index, np.array([0, 1]), 4)
    assert found.tolist() == [BLOCK - 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 2]
    assert scores.tolist() == [2.0, 2.0, 2.0, 2.0]
    assert compiled(index, np.array([0]), 3)[0].tolist() == [BLOCK, 3 * BLOCK + 2, 5]
    assert compiled(index, np.array([], np.int64), 3)[0].tolist() == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.sampled_from([1, 3, 200, 5_000]), levels=st.sampled_from([1, 5, 10**6]))
def test_the_compiled_search_is_that_of_numpy(seed: int, k: int, levels: int):
    rng = np.random.default_rng(seed)
    passages = int(rng.integers(1, 3 * BLOCK))
    lists = []
    for _ in range(int(rng.integers(1, 6))):
        rows = np.unique(rng.integers(0, passages, int(rng.integers(1, 20_000))))
        lists.append((rows.tolist(), (rng.integers(1, levels + 1, len(rows)) / levels).tolist()))
    index = index_of(lists, passages)
    terms = rng.integers(0, len(lists), int(rng.integers(1, 8)))
    (rows, scores), (expected_rows, expected_scores) = compiled(index, terms, k), by_numpy(index, terms, k)
    assert rows.tolist() == expected_rows.tolist()
    assert scores.tobytes() == expected_scores.tobytes()


def test_a_killed_retrieval_goes_on_with_the_parts_that_it_has(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = run_for(BM25(), collection, ALL, 3, Cache(tmp_path / "whole"))
    asked: list[list[int]] = []

    class Killed(BM25):
        queries_a_part = 2

        def retrieve(self, collection, queries, depth, cache):
            asked.append(queries.tolist())
            if len(asked) == 2:
                raise KeyboardInterrupt
            return super().retrieve(collection, queries, depth, cache)

    cache = Cache(tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        run_for(Killed(), collection, ALL, 3, cache)
    run = run_for(Killed(), collection, ALL, 3, cache)
    assert asked == [[0, 1], [2, 3], [2, 3], [4]]
    assert run.queries.tolist() == whole.queries.tolist() == [0, 1, 3, 4]
    assert run.passages.values.tolist() == whole.passages.values.tolist()
    assert run.scores.values.tobytes() == whole.scores.values.tobytes()
