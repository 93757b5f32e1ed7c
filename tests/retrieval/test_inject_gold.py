"""Injected gold: what is added, where, and what is left alone."""

import numpy as np
from helpers.tiny import literal_run

from experiments.retrieval.inject_gold import with_gold


def test_missing_answers_stand_at_the_end_with_lower_scores():
    run = with_gold(literal_run({0: [4, 2], 1: [7]}), {0: np.array([2, 9, 8]), 1: np.array([7])})
    assert run.ranking(0).tolist() == [4, 2, 9, 8]
    assert run.scores[0].tolist() == [0, -1, -2, -3]
    assert run.ranking(1).tolist() == [7]


def test_a_query_that_found_nothing_gets_its_answers():
    run = with_gold(literal_run({1: [7]}), {0: np.array([3]), 1: np.array([7])})
    assert run.queries.tolist() == [0, 1]
    assert run.ranking(0).tolist() == [3]
