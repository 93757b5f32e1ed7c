"""Copies of a positive among the candidates, and positives without a text."""

import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource, literal_run

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeFilter, NegativeRule
from experiments.data.collection import Collection, open_collection
from experiments.jobs.filters import make_filters
from experiments.negatives.copies import passage_hashes, text_hash
from experiments.negatives.sampler import NegativeSampler
from experiments.negatives.sampling_report import FilterCounts

TEXTS = ["red wire", "red  wire\n", "Red wire", "red wire.", "", " ", "red wire", "blue wire", "green", "grey"]
RUN = literal_run({0: [1, 2, 3, 6, 7], 1: [0, 1, 7, 8, 9]}, "bm25")
RELEVANT = {0: np.array([0, 4]), 1: np.array([5, 7])}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(TEXTS)]
    queries = [("q0", "red?"), ("q1", "blue?")]
    return open_collection(LiteralSource(passages, queries, {"train": [("q0", "p0", 1)]}), Cache(tmp_path))


def sampler(collection: Collection, tmp_path: Path, *, copies: bool = True, count: int = 2, **rule) -> NegativeSampler:
    wanted = NegativeRule(count=count, depth=5, filter=NegativeFilter(copies=copies), **rule)
    filters = make_filters(wanted, [RUN], RELEVANT, collection, Cache(tmp_path))
    return NegativeSampler(wanted, [RUN], RELEVANT, collection, 1, filters)


def test_hashes_tell_texts_apart_but_for_white_space():
    assert text_hash(TEXTS[0]) == text_hash(TEXTS[1]) == text_hash(TEXTS[6])
    assert len({text_hash(text) for text in TEXTS[:4]}) == 3
    assert [text_hash(text) for text in TEXTS[4:6]] == [0, 0]


def test_hashes_of_all_passages_are_made_once(collection: Collection, tmp_path: Path):
    store = Cache(tmp_path)
    for _ in range(2):
        assert passage_hashes(collection, store).tolist() == [text_hash(text) for text in TEXTS]
    assert store.builds["copies"] == 1


def test_copies_of_a_positive_are_dropped_by_default_counted_and_said(
    collection: Collection, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        made = sampler(collection, tmp_path)
    assert sorted(made.pool(0).tolist()) == [2, 3, 7]  # 1 and 6 are copies of 0; capitals and a full stop are not
    assert sorted(made.pool(1).tolist()) == [0, 1, 8, 9]  # the empty positive has no copies
    assert made.report.filtered == {"bm25": {"copies": FilterCounts(candidates=2, of=9, queries=1)}}
    assert "negatives.filter.copies dropped 2 of 9 candidates from bm25, in 1 of 2 training queries" in caplog.text


def test_copies_may_stay(collection: Collection, tmp_path: Path):
    assert sorted(sampler(collection, tmp_path, copies=False).pool(0).tolist()) == [1, 2, 3, 6, 7]


def test_where_there_is_no_copy_nothing_is_drawn_otherwise_and_nothing_said(
    collection: Collection, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    run = literal_run({1: [1, 2, 3, 8, 9]}, "bm25")
    draws = []
    for copies in (True, False):
        rule = NegativeRule(count=3, depth=5, filter=NegativeFilter(copies=copies))
        relevant = {1: RELEVANT[1]}
        filters = make_filters(rule, [run], relevant, collection, Cache(tmp_path))
        with caplog.at_level(logging.INFO):
            made = NegativeSampler(rule, [run], relevant, collection, 1, filters)
        draws.append([made.draw(1, epoch).tolist() for epoch in range(5)])
    assert draws[0] == draws[1]
    assert "negatives.filter" not in caplog.text


def test_too_few_without_copies_is_an_error_that_names_the_filter(collection: Collection, tmp_path: Path):
    with pytest.raises(
        ExperimentError, match=r"after negatives\.filter \(query 'q0' has 3\): .*loosen negatives\.filt"
    ):
        sampler(collection, tmp_path, count=4)


def test_positives_without_a_text_are_not_trained_on(collection: Collection, tmp_path: Path):
    made = sampler(collection, tmp_path)
    assert {made.positive(0, epoch) for epoch in range(4)} == {0}
    assert {made.positive(1, epoch) for epoch in range(4)} == {7}
    assert made.report.some_without_text == 2
    assert made.report.examples["some_without_text"] == "q0"


def test_a_query_without_a_positive_that_has_a_text_is_dropped_and_counted(collection: Collection, tmp_path: Path):
    rule = NegativeRule(count=2, depth=5)
    relevant = {0: np.array([0]), 1: np.array([4, 5])}
    made = NegativeSampler(rule, [RUN], relevant, collection, 1)
    assert made.queries.tolist() == [0]
    assert (made.report.without_text, made.report.examples["without_text"]) == (1, "q1")
    with pytest.raises(ExperimentError, match=r"no training query is left: .* 1 of which have no positive with a text"):
        NegativeSampler(rule, [RUN], {1: np.array([4])}, collection, 1)


def test_a_copy_of_what_is_never_drawn_is_not_drawn_either(collection: Collection, tmp_path: Path):
    rule, excluded = NegativeRule(count=1, depth=5, short="drop"), {0: np.array([0, 2])}
    (copies,) = make_filters(rule, [RUN], RELEVANT, collection, Cache(tmp_path), excluded=excluded)
    # 1 and 6 have the text of the positive 0; 2, which is judged but no positive, has a text of its own
    assert copies.keep(RUN, 0, RELEVANT[0], np.array([1, 2, 3, 6, 7])).tolist() == [False, False, True, False, True]
