"""Top-k from a stream: exact, ties by passage row, independent of the order of blocks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.run import Run, run_of
from experiments.retrieval.topk import TopK, keys, rows_of, scores_of


def test_the_best_two_of_each_query_by_hand():
    best = TopK(np.array([7, 3]), k=2)
    best.add(np.array([[0.1, 0.9], [0.5, 0.2]], np.float32), np.array([10, 11]))
    best.add(np.array([[0.4], [0.6]], np.float32), np.array([5]))
    run = best.run("first")
    assert run.queries.tolist() == [3, 7]
    assert run.ranking(7).tolist() == [11, 5]
    assert run.ranking(3).tolist() == [5, 10]
    assert run.scores.values.tolist() == pytest.approx([0.6, 0.5, 0.9, 0.4])


def test_equal_scores_are_ordered_by_passage_row_and_minus_zero_equals_zero():
    best = TopK(np.array([0]), k=3)
    best.add(np.array([[0.0, -0.0, 0.0, -1.0]], np.float32), np.array([9, 4, 6, 1]))
    assert best.run("first").ranking(0).tolist() == [4, 6, 9]


def test_a_query_with_fewer_passages_than_k_keeps_them_all():
    best = TopK(np.array([0]), k=1000)
    best.add(np.array([[-1.0, -2.0]], np.float32), np.array([1, 0]))
    assert best.run("first").ranking(0).tolist() == [1, 0]


def test_without_a_passage_there_is_no_query():
    assert len(TopK(np.array([0, 1]), k=3).run("first")) == 0


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(ExperimentError, match="not numbers"):
        TopK(np.array([0]), k=1).add(np.array([[1.0, np.nan]], np.float32), np.array([0, 1]))


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2), st.integers(0, 2**32 - 2))
def test_keys_are_ordered_as_scores_and_give_them_back(values: list[float], row: int):
    scores = np.array(values, np.float32)
    made = keys(scores, np.full(len(scores), row))
    assert (np.argsort(made, kind="stable") == np.argsort(scores, kind="stable")).all()
    assert (scores_of(made) == scores).all()
    assert (rows_of(made) == row).all()
    assert (made > 0).all()


def brute_force(scores: NDArray[np.float32], k: int) -> Run:
    order = np.lexsort((np.broadcast_to(np.arange(scores.shape[1]), scores.shape), -scores))[:, :k]
    queries = np.repeat(np.arange(len(scores)), order.shape[1])
    return run_of("brute", queries, order.ravel(), np.take_along_axis(scores, order, axis=1).ravel())


@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(1, 5),
    passages=st.integers(1, 3000),
    k=st.integers(1, 40),
    levels=st.sampled_from([3, 50, 10**9]),
    as_torch=st.booleans(),
)
def test_any_blocks_in_any_order_give_what_sorting_gives(
    seed: int, queries: int, passages: int, k: int, levels: int, as_torch: bool
):
    random = np.random.default_rng(seed)
    scores = (random.integers(-levels, levels, (queries, passages)) / np.float32(levels)).astype(np.float32)
    order = random.permutation(passages)
    best = TopK(np.arange(queries), k)
    for block in np.array_split(order, random.integers(1, 9)):
        part = scores[:, block]
        best.add(torch.from_numpy(part) if as_torch else part, block)
    expected, run = brute_force(scores, k), best.run("stream")
    assert (run.passages.values == expected.passages.values).all()
    assert (run.scores.values == expected.scores.values).all()
    assert (run.passages.offsets == expected.passages.offsets).all()
