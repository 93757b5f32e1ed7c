"""From a rule to its filters: which are made, from what, and that scores are of the pairs that the sampler compares."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run

from experiments.common.cache import Cache
from experiments.config.negatives import NegativeFilter, NegativeRule
from experiments.jobs.filters import make_filters, pairs_to_compare
from experiments.models import pair_scorer
from experiments.negatives.filters import AnswersOfTwins, Copies, Margin, NearDuplicates
from experiments.negatives.sampler import NegativeSampler
from experiments.negatives.twin_queries import TwinQueries

RUNS = [literal_run({0: [0, 3, 4, 5], 1: [6, 7]}, "a"), literal_run({0: [5, 6], 1: [1, 7]}, "b")]
RELEVANT = {0: np.array([0, 9]), 1: np.array([1])}


def test_pairs_are_every_candidate_and_positive_of_a_query_once():
    queries, passages = pairs_to_compare(NegativeRule(count=1, depth=3, skip=1), RUNS, RELEVANT)
    # the windows of ranks 2 and 3 are 3, 4 and 6 for the first query, 7 twice for the second
    assert list(zip(queries.tolist(), passages.tolist(), strict=True)) == [
        (0, 0), (0, 3), (0, 4), (0, 6), (0, 9), (1, 1), (1, 7),
    ]  # fmt: skip


def test_copies_alone_are_dropped_by_default(tmp_path: Path):
    (copies,) = make_filters(NegativeRule(), RUNS, RELEVANT, literal_collection(tmp_path), Cache(tmp_path))
    assert copies.name == "copies"


def test_no_filter_is_made_where_none_is_asked_for(tmp_path: Path):
    store = Cache(tmp_path)
    rule = NegativeRule(filter=NegativeFilter(copies=False))
    assert make_filters(rule, RUNS, RELEVANT, literal_collection(tmp_path), store) == ()
    assert store.builds == {}


def test_filters_come_in_the_order_of_the_keys(tmp_path: Path):
    wanted = NegativeFilter(
        near_duplicate=0.9, twin_query=1.0, absolute_margin=0.0, relative_margin=0.1, scorer="source"
    )
    collection = literal_collection(tmp_path)
    copies, duplicates, twins, absolute, relative = make_filters(
        NegativeRule(filter=wanted), RUNS, RELEVANT, collection, Cache(tmp_path)
    )
    assert isinstance(copies, Copies)
    assert isinstance(duplicates, NearDuplicates)
    assert isinstance(twins, AnswersOfTwins)
    assert isinstance(absolute, Margin)
    assert isinstance(relative, Margin)
    assert [one.name for one in (duplicates, twins, absolute, relative)] == [
        "near_duplicate", "twin_query", "absolute_margin", "relative_margin",
    ]  # fmt: skip
    assert absolute.scores is None, "the run's own"
    assert (absolute.relative, relative.relative) == (False, True)


def test_twins_are_of_the_training_queries_given_and_of_more_where_a_sample_is_looked_at(tmp_path: Path):
    rule = NegativeRule(filter=NegativeFilter(copies=False, twin_query=0.5))
    collection, store = literal_collection(tmp_path), Cache(tmp_path)
    (alone,) = make_filters(rule, RUNS, RELEVANT, collection, store)
    assert isinstance(alone, AnswersOfTwins)
    assert (alone.threshold, alone.twins.queries.tolist()) == (0.5, [0, 1])
    every = TwinQueries.of(collection, RELEVANT | {2: np.array([2])})
    (sampled,) = make_filters(rule, RUNS, RELEVANT, collection, store, every)
    assert isinstance(sampled, AnswersOfTwins)
    assert sampled.twins.queries.tolist() == [0, 1, 2]


def test_a_model_scores_all_that_the_sampler_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    loaded: list[str] = []

    def load_scorer(path: str):
        loaded.append(path)
        # passage p is scored p / 10 for every query; the best positive of query 0 is 9, that of query 1 is 1
        return SimpleNamespace(score=lambda collection, queries, passages, store: (passages / 10).astype(np.float32))

    monkeypatch.setattr(pair_scorer, "load_scorer", load_scorer)
    rule = NegativeRule(count=1, depth=4, filter=NegativeFilter(absolute_margin=-0.55, scorer="some/model"))
    collection = literal_collection(tmp_path)
    filters = make_filters(rule, RUNS, RELEVANT, collection, Cache(tmp_path))
    assert loaded == ["some/model"]
    sampler = NegativeSampler(rule, RUNS, RELEVANT, collection, 1, filters)
    assert sorted(sampler.pool(0).tolist()) == [3, 4, 5, 6]
    assert sampler.pool(1).tolist() == [6], "7 is scored 0.7, above 0.1 + 0.55"
