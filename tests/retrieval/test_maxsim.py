"""MaxSim: a score by hand, the library's scores, padding that changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.util.similarity import maxsim as library_maxsim

from experiments.data.ragged import Ragged
from experiments.retrieval.maxsim import Queries, maxsim, maxsim_pairs, rows_at

QUERIES = Ragged.of([[[1, 0], [0, 2]], [[1, 1]]], np.float32)
PASSAGES = Ragged.of([[[3, 0], [0, 1], [-9, -9]], [[-1, -1]]], np.float32)


def ragged(random: np.random.Generator, lengths: list[int], dimensions: int, dtype: type = np.float32) -> Ragged:
    rows = [random.normal(size=(length, dimensions)) for length in lengths]
    return Ragged.of([row / np.linalg.norm(row, axis=1, keepdims=True) for row in rows], dtype)


def of_library(queries: Ragged, passages: Ragged) -> np.ndarray:
    as_tensors = [[torch.from_numpy(one[i]).float() for i in range(len(one))] for one in (queries, passages)]
    return library_maxsim(*as_tensors).numpy()


def test_scores_by_hand():
    # query 0 with passage 0: max(3, 0, -9) + max(0, 2, -18) = 5; with passage 1: -1 + -2
    # query 1 with passage 0: max(3, 1, -18) = 3; with passage 1: -2
    assert maxsim(Queries(QUERIES), PASSAGES).tolist() == [[5, -3], [3, -2]]


def test_pairs_by_hand():
    assert maxsim_pairs(torch.from_numpy(QUERIES[0]), PASSAGES).tolist() == [5, -3]


def test_rows_are_gathered_in_the_order_asked_for():
    some = rows_at(PASSAGES, np.array([1, 0, 1]))
    assert some.values.tolist() == [[-1, -1], [3, 0], [0, 1], [-9, -9], [-1, -1]]
    assert some.offsets.tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_scores_are_those_of_the_library(dtype: type):
    random = np.random.default_rng(0)
    queries = ragged(random, random.integers(1, 40, 70).tolist(), 16)
    passages = ragged(random, random.integers(1, 200, 90).tolist(), 16, dtype)
    expected = of_library(queries, passages)
    assert np.abs(maxsim(Queries(queries), passages).numpy() - expected).max() < 1e-4
    pairs = [maxsim_pairs(torch.from_numpy(queries[i]), passages).numpy() for i in range(len(queries))]
    assert np.abs(np.stack(pairs) - expected).max() < 1e-4


@given(
    query_lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    passage_lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_lengths_of_the_neighbours_change_no_score(query_lengths: list[int], passage_lengths: list[int], seed: int):
    random = np.random.default_rng(seed)
    queries, passages = ragged(random, query_lengths, 4), ragged(random, passage_lengths, 4)
    together = maxsim(Queries(queries), passages).numpy()
    for i in range(len(queries)):
        for j in range(len(passages)):
            alone = (queries[i] @ passages[j].T).max(axis=1).sum()
            assert together[i, j] == pytest.approx(alone, abs=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_scores_of_the_cpu():
    random = np.random.default_rng(0)
    queries = ragged(random, [32] * 20, 64)
    passages = ragged(random, random.integers(1, 200, 90).tolist(), 64, np.float16)
    on_gpu = maxsim(Queries(queries, "cuda"), passages).cpu().numpy()
    assert np.abs(on_gpu - maxsim(Queries(queries), passages).numpy()).max() < 1e-4
