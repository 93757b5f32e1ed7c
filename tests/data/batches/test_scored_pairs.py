"""What is read to score a pair: its first tokens, or each window of its passage."""

import numpy as np
import pytest
import torch
from helpers.tiny import literal_run

from experiments.common.errors import ExperimentError
from experiments.data.batches.pair_batches import RunPairs
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.batches.scored_pairs import ScoredPairs, check_windows
from experiments.data.ragged import Ragged
from experiments.data.run import Run
from experiments.data.windows import Windows
from experiments.evaluation.measures import rerank

TEMPLATE = PairTemplate(prefix=(1,), middle=(2,), suffix=(2,), query_segment=0, passage_segment=1)
QUERIES = Ragged.of([[10, 11], [12, 13, 14, 15]], np.int64)
ANSWER = 77  # the token that a query asks for
PASSAGES = Ragged.of([[31, 32, 33, 34, 35], [41, 42, 43, 44, 45, 46, ANSWER], [51, ANSWER - 1]], np.int64)
ENCODER = PairEncoder(TEMPLATE, QUERIES, PASSAGES, max_query_tokens=3, max_length=10)


def texts(pairs: ScoredPairs) -> list[list[int]]:
    batch = pairs.join(np.arange(len(pairs)))
    assert list(batch.lengths) == pairs.lengths_W.tolist()
    return [text.tolist() for text in torch.split(batch.input_ids_T, list(batch.lengths))]


def test_first_p_reads_each_pair_once():
    pairs = ScoredPairs(ENCODER, np.array([0, 1]), np.array([0, 1]))
    assert texts(pairs) == [[1, 10, 11, 2, 31, 32, 33, 34, 35, 2], [1, 12, 13, 14, 2, 41, 42, 43, 44, 2]]
    assert pairs.counts_P is None


def test_max_p_reads_the_query_with_each_window():
    pairs = ScoredPairs(ENCODER, np.array([1, 0]), np.array([1, 2]), Windows(tokens=4, stride=3))
    assert texts(pairs) == [
        [1, 12, 13, 14, 2, 41, 42, 43, 44, 2],
        [1, 12, 13, 14, 2, 44, 45, 46, ANSWER, 2],
        [1, 10, 11, 2, 51, ANSWER - 1, 2],
    ]
    assert pairs.counts_P is not None
    assert pairs.counts_P.tolist() == [2, 1]


def test_one_window_is_first_p():
    queries, passages = (grid.ravel() for grid in np.meshgrid(np.arange(2), np.arange(3)))
    first, one = (ScoredPairs(ENCODER, queries, passages, windows) for windows in (None, Windows(most=1)))
    assert texts(one) == texts(first)
    assert one.lengths_W.tolist() == first.lengths_W.tolist()


@pytest.mark.parametrize(("windows", "best"), [(None, 0), (Windows(tokens=4, stride=3), 1)])
def test_a_passage_whose_answer_is_behind_the_first_window_is_first_by_max_p_alone(windows: Windows | None, best: int):
    run = literal_run({1: [0, 1, 2]})
    data = RunPairs(run, ENCODER, tokens_per_batch=20, windows=windows)
    scores, ties = rerank(run, data.pairs.best(_scores(data)), "made")
    assert scores.passages[0].tolist()[0] == best


def _scores(data: RunPairs) -> np.ndarray:
    """Score a text by the answers in it."""
    scores_W = np.zeros(data.total, np.float32)
    for batch in (data[i] for i in range(len(data))):
        rows = torch.split(batch.tokens.input_ids_T, list(batch.tokens.lengths))
        scores_W[batch.places_B.numpy()] = [(row == ANSWER).sum().item() for row in rows]
    return scores_W


def long_run() -> Run:
    return literal_run({0: [0, 1, 2], 1: [1, 2]})


def test_batches_are_of_windows_sorted_by_length():
    data = RunPairs(long_run(), ENCODER, tokens_per_batch=20, windows=Windows(tokens=4, stride=3))
    # query 0: two windows of passage 0 (9 and 7 tokens), two of 1 (9, 9), one of 2 (7); query 1, cut to three tokens:
    # two of 1 (10, 10), one of 2 (8)
    assert data.pairs.lengths_W.tolist() == [9, 7, 9, 9, 7, 10, 10, 8]
    assert data.tokens == sum([9, 7, 9, 9, 7, 10, 10, 8])
    places = np.concatenate([data[i].places_B.numpy() for i in range(len(data))])
    assert data.pairs.lengths_W[places].tolist() == [10, 10, 9, 9, 9, 8, 7, 7]
    assert all(sum(data[i].tokens.lengths) <= 20 for i in range(len(data)))


def test_the_windows_of_a_pair_may_be_scored_by_two_ranks():
    ranks = [RunPairs(long_run(), ENCODER, 20, rank, 2, windows=Windows(tokens=4, stride=3)) for rank in (0, 1)]
    places = torch.cat([data[i].places_B for data in ranks for i in range(len(data))])
    assert sorted(places.tolist()) == list(range(8))
    together = ranks[0].pairs.best(_scores(ranks[0]) + _scores(ranks[1]))  # each rank has zeros elsewhere
    assert together.tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (Windows(tokens=5), r"model\.window=5 does not fit into model\.max_length=10 .* set it to at most 4"),
        (Windows(stride=5), r"model\.stride=5 is more than the 4 tokens of a window .* set it to at most 4"),
    ],
)
def test_windows_that_do_not_fit_next_to_the_longest_query_are_refused(windows: Windows, said: str):
    check_windows(Windows(tokens=4, stride=4), ENCODER)
    with pytest.raises(ExperimentError, match=said):
        check_windows(windows, ENCODER)
