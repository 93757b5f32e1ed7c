"""BM25 at the cut: equal scores by passage row, every depth the head of a deeper one, on every processor."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.data.run import Run
from experiments.retrieval.bm25 import BM25
from experiments.retrieval.topk import best_matches

WORDS = ["copper", "silver", "iron", "nickel", "cobalt", "helium", "neon", "argon", "krypton", "xenon"]
ASKED = np.arange(8)


def tied(folder: Path) -> Collection:
    """1,200 passages of which 300 at a time have the same words: hundreds of ties at any depth."""
    passages = [(f"p{i}", f"{WORDS[i % 4]} {WORDS[4 + i % 3]} {WORDS[7] if i % 5 else WORDS[8]}") for i in range(1_200)]
    queries = [(f"q{i}", f"{WORDS[i % 4]} {WORDS[4 + i % 3]} {WORDS[9 - i % 3]}") for i in range(len(ASKED))]
    return open_collection(LiteralSource(passages, queries, {"test": [("q0", "p0", 1)]}), Cache(folder))


def retrieved(folder: Path, depth: int) -> Run:
    return BM25().retrieve(tied(folder), ASKED, depth, Cache(folder))


def digest(run: Run) -> str:
    return hashlib.sha256(run.passages.values.tobytes() + run.scores.values.tobytes()).hexdigest()


def test_of_equal_scores_the_lower_rows_stay():
    scores = np.array([0.0, 2.0, 1.0, 2.0, 0.0, 1.0, 1.0, 3.0], np.float32)
    assert best_matches(scores, 4).tolist() == [7, 1, 3, 2]
    assert best_matches(scores, 5).tolist() == [7, 1, 3, 2, 5]
    assert best_matches(scores, 100).tolist() == [7, 1, 3, 2, 5, 6]  # what scores 0 is no match
    assert best_matches(np.zeros(3, np.float32), 2).tolist() == []


@pytest.mark.parametrize("depth", [10, 50])
def test_a_shallow_run_is_the_head_of_a_deep_one(tmp_path: Path, depth: int):
    deep, shallow = retrieved(tmp_path, 1_000), retrieved(tmp_path, depth)
    assert len(deep.ranking(0)) > depth
    for query in ASKED.tolist():
        assert shallow.ranking(query).tolist() == deep.ranking(query)[:depth].tolist()


def test_the_order_is_that_of_score_and_then_of_the_row(tmp_path: Path):
    run = retrieved(tmp_path, 1_000)
    for i in range(len(run)):
        order = np.lexsort((run.passages[i], -run.scores[i]))
        assert order.tolist() == list(range(len(order)))
        assert len(np.unique(run.scores[i])) < 20


def test_a_processor_without_vector_instructions_gives_the_same_run(tmp_path: Path):
    import numpy._core._multiarray_umath as numpy_features

    here = [name for name in numpy_features.__cpu_dispatch__ if numpy_features.__cpu_features__[name]]
    code = "import sys; from pathlib import Path; from test_bm25_cut import digest, retrieved; "
    code += "print(*(digest(retrieved(Path(sys.argv[1]), depth)) for depth in (10, 50, 1000)))"
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path])
    without = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(here), "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "other")], env=without, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [digest(retrieved(tmp_path, depth)) for depth in (10, 50, 1_000)]


@pytest.mark.parametrize("texts", [["?", " - "], ["the", "of and"]], ids=["signs", "stop words"])
def test_passages_without_a_word_are_one_clear_error(tmp_path: Path, texts: list[str]):
    passages = [(f"p{i}", text) for i, text in enumerate(texts)]
    source = LiteralSource(passages, [("q0", "copper")], {"test": [("q0", "p0", 1)]})
    collection = open_collection(source, Cache(tmp_path))
    with pytest.raises(ExperimentError, match=r"retrievers\.bm25: none of the 2 passages of 'literal' has a word"):
        BM25().retrieve(collection, np.array([0]), 10, Cache(tmp_path))


def test_nothing_is_logged_of_empty_queries(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    source = LiteralSource([("p0", "copper")], [("q0", ""), ("q1", "the")], {"test": [("q0", "p0", 1)]})
    run = BM25().retrieve(open_collection(source, Cache(tmp_path)), np.array([0, 1]), 10, Cache(tmp_path))
    assert len(run.passages.values) == 0
    assert not [record for record in caplog.records if record.name == "bm25s"]
