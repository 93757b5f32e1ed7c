"""Re-ranking fewer passages than were scored: values by hand, and what re-ranking a shorter run gives."""

import numpy as np
from helpers.tiny import literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data.run import Run
from experiments.evaluation.depths import rerank_some, within
from experiments.evaluation.measures import evaluate, rerank
from experiments.retrieval.own_passages import cut

FIRST = literal_run({0: [11, 12, 13, 14], 3: [21, 22]})
SCORES = np.array([0.1, 0.9, 0.5, 0.7, 0.2, 0.3], np.float32)


def order(depth: int, run: Run = FIRST, scores: np.ndarray = SCORES) -> dict[int, list[int]]:
    made = rerank_some(run, scores, within(run, depth))
    return {query: made.ranking(query).tolist() for query in made.queries.tolist()}


def test_the_first_passages_are_ordered_by_score_and_the_others_stay_below():
    assert order(1) == {0: [11, 12, 13, 14], 3: [21, 22]}
    assert order(2) == {0: [12, 11, 13, 14], 3: [22, 21]}
    assert order(3) == {0: [12, 13, 11, 14], 3: [22, 21]}
    assert order(4) == {0: [12, 14, 13, 11], 3: [22, 21]}


def test_lines_within_a_depth_are_counted_by_query():
    assert within(FIRST, 2).tolist() == [True, True, False, False, True, True]
    assert within(FIRST, 1).tolist() == [True, False, False, False, True, False]


def test_negative_scores_stay_above_passages_that_are_not_re_ranked():
    assert order(2, scores=np.array([-5, -1, 9, 9, -3, -2], np.float32)) == {0: [12, 11, 13, 14], 3: [22, 21]}


def test_equal_scores_keep_the_order_of_the_first_stage():
    assert order(3, scores=np.zeros(6, np.float32)) == {0: [11, 12, 13, 14], 3: [21, 22]}


def test_any_lines_may_be_re_ranked_such_as_an_oracles():
    made = rerank_some(FIRST, SCORES, np.array([True, False, False, True, True, False]))
    assert made.ranking(0).tolist() == [14, 11, 12, 13]


def test_scores_are_minus_the_rank():
    assert rerank_some(FIRST, SCORES, within(FIRST, 2)).scores.values.tolist() == [0.0, -1.0, -2.0, -3.0, 0.0, -1.0]


def test_a_run_of_nothing_is_one():
    none = literal_run({})
    assert len(rerank_some(none, np.empty(0, np.float32), within(none, 3))) == 0


RUNS = st.dictionaries(st.integers(0, 5), st.permutations(range(7)).map(lambda rows: rows[:5]), min_size=1)


@given(RUNS, st.integers(1, 6), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_up_to_the_depth_it_is_what_re_ranking_a_run_of_that_depth_gives(rankings, depth, random):
    run = literal_run(rankings)
    scores = np.array([random.choice([0.0, 0.25, 0.5, 1.0]) for _ in run.passages.values], np.float32)
    made = rerank_some(run, scores, within(run, depth))
    short = cut(run, np.ones(len(scores), bool), depth)
    alone, _ = rerank(short, scores[within(run, depth)], "alone")
    for query, ranking in rankings.items():
        assert made.ranking(query)[:depth].tolist() == alone.ranking(query).tolist()
        assert made.ranking(query)[depth:].tolist() == list(ranking)[depth:]
    relevance = {query: {int(ranking[-1]): 1} for query, ranking in rankings.items()}
    names = [f"RR@{depth}", f"nDCG@{depth}"]
    assert evaluate(made, relevance, names).mean == evaluate(alone, relevance, names).mean


@given(RUNS)
@settings(deadline=None, max_examples=30)
def test_with_all_passages_it_is_the_job_s_own_ranking(rankings):
    run = literal_run(rankings)
    scores = np.random.default_rng(0).normal(size=len(run.passages.values)).astype(np.float32)
    whole, _ = rerank(run, scores, "whole")
    made = rerank_some(run, scores, within(run, 5))
    assert made.passages.values.tolist() == whole.passages.values.tolist()
