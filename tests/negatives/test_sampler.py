"""The sampler's contract: draws are a pure function of (seed, epoch, query id, pool, rule), nested, and never
positives.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.negatives.sampler import NegativeSampler

TWELVE = list(range(12))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("sampler"), passages=40)


def sampler_of(
    collection: Collection,
    rule: NegativeRule,
    rankings: Mapping[int, Sequence[int]] | None = None,
    relevant: Mapping[int, Sequence[int]] | None = None,
    seed: int = 1,
    name: str = "first",
) -> NegativeSampler:
    judged = relevant or {0: [0]}
    positives = {query: np.array(rows) for query, rows in judged.items()}
    return NegativeSampler(rule, [literal_run(rankings or {0: TWELVE}, name)], positives, collection, seed)


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(collection: Collection):
    draws = [sampler_of(collection, NegativeRule(count=n, depth=12)).draw(0, epoch=3).tolist() for n in (1, 3, 7, 11)]
    assert all(large[: len(small)] == small for small, large in pairwise(draws))


def test_a_smaller_draw_with_replacement_is_the_beginning_of_a_larger_one(collection: Collection):
    few, many = (
        sampler_of(collection, NegativeRule(count=n, depth=12, replacement=True)).draw(0, 0).tolist() for n in (3, 31)
    )
    assert many[:3] == few


def test_draws_differ_between_epochs_and_seeds_and_queries(collection: Collection):
    rule = NegativeRule(count=5, depth=12)
    rankings, relevant = {0: TWELVE, 1: TWELVE}, {0: [0], 1: [0]}
    one, other = (sampler_of(collection, rule, rankings, relevant, seed=seed) for seed in (1, 2))
    drawn = {tuple(s.draw(query, epoch).tolist()) for s in (one, other) for query in (0, 1) for epoch in (0, 1)}
    assert len(drawn) == 8


def test_redraw_never_repeats_the_first_epoch(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=5, depth=12, redraw="never"))
    assert sampler.draw(0, 0).tolist() == sampler.draw(0, 9).tolist()


def test_a_draw_does_not_depend_on_what_was_drawn_before(collection: Collection):
    rule = NegativeRule(count=5, depth=12)
    fresh, used = sampler_of(collection, rule), sampler_of(collection, rule)
    for epoch in range(20):
        used.draw(0, epoch)
    assert used.draw(0, 4).tolist() == fresh.draw(0, 4).tolist()


def test_pools_that_share_passages_draw_them_alike(collection: Collection):
    # the second source has lost passage 5 and found 20: every other priority stands
    rule = NegativeRule(count=11, depth=12, short="replacement")
    first = sampler_of(collection, rule).draw(0, 0).tolist()
    second = sampler_of(collection, rule, {0: [p for p in TWELVE if p != 5] + [20]}).draw(0, 0).tolist()
    assert [p for p in second if p != 20] == [p for p in first if p != 5]


def test_a_positive_is_never_a_negative_wherever_it_is_ranked(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=10, depth=12), relevant={0: [3, 7]})
    assert sorted(sampler.draw(0, 0).tolist()) == [p for p in TWELVE if p not in (3, 7)]


def test_skip_and_depth_are_a_window_of_ranks(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=4, skip=2, depth=6), {0: [0, 11, 10, 9, 8, 7, 6]})
    assert sorted(sampler.pool(0).tolist()) == [7, 8, 9, 10]


def test_gao_draws_from_a_fixed_subset_of_the_top(collection: Collection):
    sampler = sampler_of(
        collection, NegativeRule(count=7, depth=30, pool=10, short="replacement"), {0: list(range(30))}
    )
    seen = {int(passage) for epoch in range(200) for passage in sampler.draw(0, epoch)}
    assert len(seen) == 10
    assert seen <= set(range(1, 30))


def test_pradeep_draws_a_passage_twice_where_chance_wants_it(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=31, depth=5, replacement=True), {0: TWELVE})
    assert len(set(sampler.draw(0, 0).tolist())) < 31
    assert set(sampler.draw(0, 0).tolist()) <= {1, 2, 3, 4}


def test_only_retrieved_positives_if_the_rule_says_so(collection: Collection):
    rule = NegativeRule(count=2, depth=5, positives="retrieved")
    sampler = sampler_of(collection, rule, {0: TWELVE, 1: TWELVE}, {0: [1, 30], 1: [30]})
    assert [sampler.positive(0, epoch) for epoch in range(4)] == [1, 1, 1, 1]
    assert sampler.queries.tolist() == [0]
    assert sampler.report.not_retrieved == 1
    assert sampler.report.examples == {"not_retrieved": "q1"}


def test_several_positives_take_turns(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=2, depth=12), relevant={0: [1, 4, 6]})
    turns = [sampler.positive(0, epoch) for epoch in range(6)]
    assert sorted(turns[:3]) == [1, 4, 6]
    assert turns[:3] == turns[3:]


def test_too_few_candidates_is_an_error_that_names_the_query_and_the_ways_out(collection: Collection):
    with pytest.raises(
        ExperimentError, match=r"1 of 2 training queries .*negatives\.count=7.*'q1' has 3.*negatives\.short"
    ):
        sampler_of(collection, NegativeRule(count=7, depth=12), {0: TWELVE, 1: [1, 2, 3, 4]}, {0: [0], 1: [1]})


def test_too_few_candidates_can_be_drawn_with_replacement_and_are_counted(collection: Collection):
    rule = NegativeRule(count=7, depth=12, short="replacement")
    sampler = sampler_of(collection, rule, {0: TWELVE, 1: [1, 2, 3, 4]}, {0: [0], 1: [1]})
    drawn = sampler.draw(1, 0).tolist()
    assert len(drawn) == 7
    assert set(drawn) == {2, 3, 4}
    assert sorted(drawn[:3]) == [2, 3, 4], "none twice before all came once"
    assert sampler.report.replaced_short == 1


def test_too_few_candidates_can_be_dropped_and_are_counted(collection: Collection):
    rule = NegativeRule(count=7, depth=12, short="drop")
    sampler = sampler_of(collection, rule, {0: TWELVE, 1: [1, 2, 3, 4]}, {0: [0], 1: [1]})
    assert sampler.queries.tolist() == [0]
    assert sampler.report.dropped_short == 1


def test_a_query_that_the_source_does_not_have_is_an_error_too(collection: Collection):
    with pytest.raises(ExperimentError, match="'q1' has 0"):
        sampler_of(collection, NegativeRule(count=1, depth=12), {0: TWELVE}, {0: [0], 1: [1]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "negatives.count is 0: a group has 1 to 31 negatives"),
        ({"count": 32}, "negatives.count is 32: a group has 1 to 31 negatives"),
        ({"depth": 0}, "negatives.depth is 0"),
        ({"skip": 100}, "negatives.skip is 100"),
        ({"pool": 0}, "negatives.pool is 0"),
        ({"redraw": "daily"}, "negatives.redraw is 'daily': it must be one of epoch, never"),
        ({"count": 31, "depth": 20}, "leaves at most 20 candidates"),
    ],
)
def test_a_rule_out_of_range_names_the_key(settings: dict[str, int], message: str):
    with pytest.raises(ExperimentError, match=message):
        NegativeRule(**settings)


@settings(max_examples=60, deadline=None)
@given(small=st.integers(1, 31), large=st.integers(1, 31), candidates=st.integers(2, 12), epoch=st.integers(0, 99))
def test_a_larger_draw_begins_with_the_smaller_also_where_candidates_run_out(
    collection: Collection, small: int, large: int, candidates: int, epoch: int
):
    draws = [
        sampler_of(collection, NegativeRule(count=n, depth=31, short="replacement"), {0: list(range(candidates))})
        .draw(0, epoch)
        .tolist()
        for n in sorted((small, large))
    ]
    assert draws[1][: len(draws[0])] == draws[0]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 31), depth=st.integers(2, 40), seed=st.integers(0, 2**31), epoch=st.integers(0, 10**6))
def test_a_draw_has_n_passages_of_the_pool_all_different_if_there_are_enough(
    collection: Collection, count: int, depth: int, seed: int, epoch: int
):
    rule = NegativeRule(count=count, depth=depth, short="replacement")
    sampler = sampler_of(collection, rule, {0: list(range(40))}, seed=seed)
    drawn = sampler.draw(0, epoch).tolist()
    assert len(drawn) == count
    assert set(drawn) <= set(sampler.pool(0).tolist())
    assert len(set(drawn)) == min(count, len(sampler.pool(0)))


def test_every_candidate_is_drawn_equally_often(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=1, depth=11), {0: TWELVE})
    counts = np.bincount([int(sampler.draw(0, epoch)[0]) for epoch in range(5000)], minlength=11)[1:]
    # 10 candidates, 500 expected each, standard deviation 21: five of them
    assert counts.sum() == 5000
    assert np.abs(counts - 500).max() < 106
