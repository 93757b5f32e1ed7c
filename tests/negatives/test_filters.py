"""Filters of candidates: what each drops, what cannot be compared, and what a sampler makes of it."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeFilter, NegativeRule
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.run import Run
from experiments.negatives import sampler
from experiments.negatives.filters import CandidateFilter, Margin, NearDuplicates, PairScores
from experiments.negatives.near_duplicates import shingles_of
from experiments.negatives.sampler import NegativeSampler
from experiments.negatives.sampling_report import FilterCounts, filter_lines

TEXTS = ["a b c d e", "a b c d x", "A b c d e!", "v w x y z"]  # similarity to the first: 1, 1/2, 1, 0


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("filters"), passages=40)


def scores_of(query: int, scores: dict[int, float]) -> PairScores:
    passages = np.array(list(scores))
    return PairScores.of(np.full(len(scores), query), passages, np.array(list(scores.values()), np.float32))


def kept(one: CandidateFilter, positives: Sequence[int], candidates: Sequence[int], run: Run | None = None):
    keep = one.keep(run or literal_run({0: list(range(9))}), 0, np.array(positives), np.array(candidates))
    return None if keep is None else np.array(candidates)[keep].tolist()


@pytest.mark.parametrize(("threshold", "left"), [(1.0, [1, 3]), (0.5, [3]), (0.51, [1, 3])])
def test_near_duplicates_of_a_positive_are_dropped(threshold: float, left: list[int]):
    assert kept(NearDuplicates(shingles_of(TEXTS), threshold), [0], [1, 2, 3]) == left


def test_a_near_duplicate_of_any_positive_is_dropped():
    assert kept(NearDuplicates(shingles_of(TEXTS), 1.0), [3, 0], [1, 2]) == [1]


# The positive is scored 2.
SCORES = scores_of(0, {0: 2.0, 1: 3.0, 2: 2.0, 3: 1.5, 4: 1.0, 5: -1.0})


@pytest.mark.parametrize(
    ("margin", "left"),
    [(0.0, [2, 3, 4, 5]), (0.5, [3, 4, 5]), (1.0, [4, 5]), (-1.0, [1, 2, 3, 4, 5]), (-0.5, [2, 3, 4, 5])],
)
def test_an_absolute_margin_keeps_what_scores_at_most_the_positive_less_it(margin: float, left: list[int]):
    assert kept(Margin(margin, False, SCORES), [0], [1, 2, 3, 4, 5]) == left


@pytest.mark.parametrize(("margin", "left"), [(0.0, [2, 3, 4, 5]), (0.25, [3, 4, 5]), (0.5, [4, 5]), (1.5, [5])])
def test_a_relative_margin_is_a_share_of_the_positives_score(margin: float, left: list[int]):
    assert kept(Margin(margin, True, SCORES), [0], [1, 2, 3, 4, 5]) == left


def test_a_relative_margin_lowers_the_limit_of_a_negative_score_too():
    # -2 less half of 2 is -3
    scores = scores_of(0, {0: -2.0, 1: -1.0, 2: -2.5, 3: -3.0})
    assert kept(Margin(0.5, True, scores), [0], [1, 2, 3]) == [3]


def test_margins_compare_with_the_best_scored_of_several_positives():
    scores = scores_of(0, {0: 2.0, 6: -4.0, 1: 1.9, 2: 2.1})
    assert kept(Margin(0.0, False, scores), [6, 0], [1, 2]) == [1]


def test_the_runs_own_scores_serve_without_a_model():
    # literal runs are scored 0, -1, -2 ...: the positive has -2
    run = literal_run({0: [5, 6, 0, 7, 8]})
    assert kept(Margin(0.0, False, None), [0], [5, 6, 7, 8], run) == [7, 8]


def test_a_positive_that_the_run_did_not_retrieve_cannot_be_compared():
    assert kept(Margin(0.0, False, None), [30], [1, 2]) is None
    assert kept(Margin(0.0, False, None), [30, 1], [0, 2]) == [2], "the retrieved one of two positives serves"


def test_a_candidate_without_a_score_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="lack a candidate of query row 0"):
        kept(Margin(0.0, False, SCORES), [0], [1, 9])


# --- in a sampler


def sampler_of(collection: Collection, count: int, filters: Sequence[CandidateFilter], short: str = "error", **more):
    rule = NegativeRule(count=count, depth=12, short=short, **more)
    runs = [literal_run({0: list(range(12)), 1: list(range(12))})]
    relevant = {0: np.array([0]), 1: np.array([1])}
    return NegativeSampler(rule, runs, relevant, collection, 1, filters)


def only_first_query(dropped: Sequence[int]) -> CandidateFilter:
    """Drops some passages from the first query's candidates."""
    high = dict.fromkeys(dropped, 5.0)
    scores = [{passage: high.get(passage, -1.0) for passage in range(12)} | {0: 0.0}, dict.fromkeys(range(12), 0.0)]
    rows = [(query, passage, value) for query in (0, 1) for passage, value in scores[query].items()]
    queries, passages, values = (np.array(column) for column in zip(*rows, strict=True))
    return Margin(0.0, False, PairScores.of(queries, passages, values.astype(np.float32)))


def test_a_filter_changes_what_is_drawn_and_nothing_else(collection: Collection):
    plain, filtered = (sampler_of(collection, 8, some) for some in ((), (only_first_query([3, 7]),)))
    before, after = plain.draw(0, 0).tolist(), filtered.draw(0, 0).tolist()
    assert {3, 7} & set(before), "the draw without the filter has one of them"
    assert not {3, 7} & set(after)
    # what stays is drawn in the same order, and what is dropped is replaced from behind
    stays = [passage for passage in before if passage not in (3, 7)]
    assert after[: len(stays)] == stays
    assert plain.draw(1, 0).tolist() == filtered.draw(1, 0).tolist(), "the other query lost nothing"


def test_near_duplicates_leave_the_pool(collection: Collection):
    texts = shingles_of(["same words as here", *["something else entirely"] * 2, "Same words as here."] + ["x"] * 8)
    filtered = sampler_of(collection, 3, [NearDuplicates(texts, 0.9)])
    assert sorted(filtered.pool(0).tolist()) == [1, 2, *range(4, 12)]


def test_what_a_filter_dropped_is_counted_by_source(collection: Collection):
    exceptions = sampler_of(collection, 3, [only_first_query([3, 7])]).report
    assert exceptions.filtered == {"first": {"absolute_margin": FilterCounts(candidates=2, of=22, queries=1)}}
    assert filter_lines(exceptions, 2) == [
        "negatives.filter.absolute_margin dropped 2 of 22 candidates from first, in 1 of 2 training queries"
    ]


def test_pools_that_were_put_away_are_made_again_and_nothing_is_counted_twice(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
):
    kept = sampler_of(collection, 4, [only_first_query([3, 5])])
    monkeypatch.setattr(sampler, "POOLS_KEPT", 1)
    made_again = sampler_of(collection, 4, [only_first_query([3, 5])])
    for _ in range(2):
        for query in kept.queries.tolist():
            assert made_again.pool(query).tolist() == kept.pool(query).tolist()
            assert made_again.draw(query, 0).tolist() == kept.draw(query, 0).tolist()
    assert made_again.report == kept.report


def test_queries_that_cannot_be_compared_keep_their_candidates_and_are_counted(collection: Collection):
    run = literal_run({0: [1, 2, 3], 1: [0, 1, 2]})  # the first query's positive is not there
    relevant = {0: np.array([0]), 1: np.array([1])}
    rule = NegativeRule(count=1, depth=12)
    sampler = NegativeSampler(rule, [run], relevant, collection, 1, [Margin(0.0, False, None)])
    assert sampler.pool(0).tolist() == [1, 2, 3]
    assert sampler.pool(1).tolist() == [2]
    assert sampler.report.not_compared == 1
    assert sampler.report.examples == {"not_compared": "q0"}


def test_too_few_left_is_an_error_that_names_the_filter(collection: Collection):
    with pytest.raises(ExperimentError, match=r"1 of 2 .*after negatives\.filter \(query 'q0' has 2\).*loosen"):
        sampler_of(collection, 3, [only_first_query(range(3, 12))])


def test_too_few_left_are_drawn_with_replacement_or_dropped_as_the_rule_says(collection: Collection):
    replaced = sampler_of(collection, 3, [only_first_query(range(3, 12))], short="replacement")
    assert set(replaced.draw(0, 0).tolist()) == {1, 2}
    assert replaced.report.replaced_short == 1
    dropped = sampler_of(collection, 3, [only_first_query(range(3, 12))], short="drop")
    assert dropped.queries.tolist() == [1]


def test_a_pool_is_chosen_from_what_the_filter_left(collection: Collection):
    dropped = [1, 2, 3, 4, 5]
    sampler = sampler_of(collection, 3, [only_first_query(dropped)], pool=5)
    assert len(sampler.pool(0)) == 5
    assert not set(dropped) & set(sampler.pool(0).tolist())


@settings(max_examples=40, deadline=None)
@given(dropped=st.sets(st.integers(1, 11), max_size=7), seed=st.integers(0, 2**31), epoch=st.integers(0, 1000))
def test_a_smaller_draw_is_the_beginning_of_a_larger_one_whatever_is_filtered(
    collection: Collection, dropped: set[int], seed: int, epoch: int
):
    filters = [only_first_query(sorted(dropped))]
    runs, relevant = [literal_run({0: list(range(12))})], {0: np.array([0])}
    draws = [
        NegativeSampler(NegativeRule(count=n, depth=12), runs, relevant, collection, seed, filters)
        .draw(0, epoch)
        .tolist()
        for n in range(1, 12 - len(dropped))
    ]
    assert all(large[: len(small)] == small for small, large in pairwise(draws))
    assert all(not dropped & set(draw) for draw in draws)


# --- the settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"near_duplicate": 0.0}, "negatives.filter.near_duplicate is 0.0: it must be null, or above 0 and at most 1"),
        ({"near_duplicate": 1.5}, "negatives.filter.near_duplicate is 1.5"),
        ({"near_duplicate": float("nan")}, "negatives.filter.near_duplicate is nan"),
        ({"twin_query": 0.0}, "negatives.filter.twin_query is 0.0: it must be null, or above 0 and at most 1"),
        ({"twin_query": 1.01}, "negatives.filter.twin_query is 1.01"),
        ({"absolute_margin": float("inf"), "scorer": "x"}, "negatives.filter.absolute_margin is inf"),
        ({"relative_margin": -0.1, "scorer": "x"}, "negatives.filter.relative_margin is -0.1: .* at least 0"),
        ({"absolute_margin": 0.0}, r"negatives.filter.absolute_margin needs negatives.filter.scorer: .* source for"),
        ({"relative_margin": 0.05}, "negatives.filter.relative_margin needs negatives.filter.scorer"),
    ],
)
def test_a_filter_out_of_range_names_the_key(given: dict[str, float], message: str):
    with pytest.raises(ExperimentError, match=message):
        NegativeFilter(**given)


def test_a_model_is_needed_only_where_a_margin_compares_its_scores():
    assert NegativeFilter(absolute_margin=-1.0, scorer="a/folder").model == "a/folder"
    assert NegativeFilter(absolute_margin=0.0, scorer="source").model is None
    assert NegativeFilter(scorer="a/folder").model is None


def test_scores_of_pairs_are_found_again_by_query_and_passage():
    scores = PairScores.of(np.array([7, 2, 7]), np.array([5, 5, 1]), np.array([0.5, 2.0, -1.0], np.float32))
    assert scores.get(7, np.array([1, 5])).tolist() == [-1.0, 0.5]
    assert scores.get(2, np.array([5])).tolist() == [2.0]
    assert np.isnan(scores.get(2, np.array([1]))).all()
    assert np.isnan(scores.get(3, np.array([5]))).all()
    empty = PairScores(np.array([0]), Ragged.of([[]], np.int64), Ragged.of([[]], np.float32))
    assert np.isnan(empty.get(0, np.array([5]))).all()
