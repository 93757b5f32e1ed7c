"""How a rule chooses among the candidates: by chance, by rank, by the logarithm of the rank, by strata of scores."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from helpers.draws import sampler_of, scored_run
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of, priorities
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.data.whole_collection import WholeCollection
from experiments.negatives.draws import log_random, ranks_of, strata_of, stratified
from experiments.negatives.filters import Margin, PairScores
from experiments.negatives.sampler import NegativeSampler


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("draws"), passages=40, queries=8)


# --- top


def test_the_top_are_the_best_ranked_that_are_no_positives_at_every_epoch_and_seed(collection: Collection):
    run = literal_run({0: [9, 3, 0, 7, 1, 5]})
    rule = NegativeRule(count=3, depth=6, draw="top")
    for seed in (1, 2):
        sampler = sampler_of(collection, rule, [run], {0: [3, 0]}, seed)
        assert [sampler.draw(0, epoch).tolist() for epoch in (0, 5)] == [[9, 7, 1]] * 2


def test_two_sources_in_turn_each_give_their_best_that_is_left(collection: Collection):
    runs = [literal_run({0: [1, 2, 3, 4]}, "a"), literal_run({0: [2, 9, 1, 8]}, "b")]
    sampler = sampler_of(collection, NegativeRule(count=4, depth=4, draw="top", source="a+b"), runs)
    passages, sources = sampler.drawn(0, 0)
    by_turns = {(0, 1, 0, 1): [1, 2, 3, 9], (1, 0, 1, 0): [2, 1, 9, 3]}
    assert by_turns[tuple(sources.tolist())] == passages.tolist()


def test_a_short_list_of_the_top_begins_again(collection: Collection):
    rule = NegativeRule(count=5, depth=12, draw="top", short="replacement")
    sampler = sampler_of(collection, rule, [literal_run({0: [4, 2]})])
    assert sampler.draw(0, 0).tolist() == [4, 2, 4, 2, 4]


# --- the logarithm of the rank


def test_a_log_random_draw_takes_the_lowest_exponential_number_divided_by_the_weight():
    passages, ranks = np.array([5, 6, 7]), np.array([1, 2, 10])
    uniform = [(int(word) + 0.5) / 2**64 for word in priorities(3, passages)]
    wanted = [-math.log(u) * math.log(1 + rank) for u, rank in zip(uniform, (1, 2, 10), strict=True)]
    assert log_random(3, passages, ranks).tolist() == pytest.approx(wanted)


def test_a_log_random_draw_of_one_has_weights_of_one_over_the_logarithm(collection: Collection):
    # ranks 1, 3 and 12 have ln 2 = .693, ln 4 = 1.386 and ln 13 = 2.565; the weights 1.4427, .7213 and .3899
    # are shares of .565, .282 and .153. The standard deviation of 3,000 draws is at most 27: five of them.
    run = literal_run({0: [1, 0, 2, *range(20, 28), 3]})
    filters = [
        Margin(0.0, False, PairScores.of(*_scores(dict.fromkeys(range(20, 28), 9.0) | {0: 5.0, 1: 1, 2: 1, 3: 1})))
    ]
    sampler = sampler_of(collection, NegativeRule(count=1, depth=12, draw="log_random"), [run], filters=filters)
    drawn = [int(sampler.draw(0, epoch)[0]) for epoch in range(3000)]
    for passage, expected in ((1, 1695), (2, 847), (3, 458)):
        assert abs(drawn.count(passage) - expected) < 136


def _scores(scores: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(len(scores), np.int64), np.array(list(scores)), np.array(list(scores.values()), np.float32)


def test_a_log_random_draw_may_be_with_replacement(collection: Collection):
    rule = NegativeRule(count=31, depth=12, draw="log_random", replacement=True)
    drawn = sampler_of(collection, rule, [literal_run({0: list(range(12))})]).draw(0, 0).tolist()
    assert len(set(drawn)) < 31
    assert set(drawn) <= set(range(1, 12))


# --- strata


def test_strata_have_equal_width_from_the_lowest_to_the_highest_score():
    # from 0 to 8 in four strata: below 2, below 4, below 6, and the rest with the highest
    assert strata_of(np.array([8.0, 6.0, 5.9, 4.0, 1.9, 0.0], np.float32), 4).tolist() == [3, 3, 2, 2, 0, 0]
    assert strata_of(np.array([7.0, 7.0], np.float32), 4).tolist() == [0, 0]


def test_one_candidate_of_each_stratum_is_drawn_before_a_second_one(collection: Collection):
    # without the positive the scores are 9 to 0: three strata are {9, 8, 7, 6}, {5, 4, 3} and {2, 1, 0}
    run = scored_run({0: {0: 30.0, **{passage: 10.0 - passage for passage in range(1, 11)}}})
    sampler = sampler_of(collection, NegativeRule(count=3, depth=12, draw="stratified"), [run])
    for epoch in range(20):
        strata = sorted(int(np.searchsorted([4, 7], passage, side="right")) for passage in _drawn(sampler, epoch))
        assert strata == [0, 1, 2]


def _drawn(sampler: NegativeSampler, epoch: int) -> list[int]:
    # passage 1 has a score of 9 and passage 10 of 0; less one they are 0 to 9, the best first
    return [passage - 1 for passage in sampler.draw(0, epoch).tolist()]


def test_strata_without_candidates_have_no_turn(collection: Collection):
    # of five strata from 0 to 10, only the first (0 and 1) and the last (10) have any
    run = scored_run({0: {1: 10.0, 2: 1.0, 3: 0.5, 4: 0.0}})
    rule = NegativeRule(count=3, depth=4, draw="stratified", strata=5)
    for epoch in range(10):
        first, second, third = sampler_of(collection, rule, [run]).draw(0, epoch).tolist()
        assert (first == 1) != (second == 1), "the first two are of different strata"
        assert third in (2, 3, 4)


def test_a_stratified_order_is_worked_out_by_hand():
    # strata of [0, 10] in two: passages 1 and 2 are low, 3 and 4 high
    passages, scores = np.array([1, 2, 3, 4]), np.array([0.0, 1.0, 9.0, 10.0], np.float32)
    by_priority = passages[np.argsort(priorities(7, passages))].tolist()
    low, high = ([passage for passage in by_priority if passage in own] for own in ((1, 2), (3, 4)))
    turns = np.argsort(priorities(key_of("strata", 7), np.arange(2))).tolist()
    begins, follows = (low, high) if turns[0] == 0 else (high, low)
    ordered = passages[np.argsort(stratified(7, passages, scores, 2))].tolist()
    assert ordered == [begins[0], follows[0], begins[1], follows[1]]


def test_strata_may_be_made_of_a_teachers_scores(collection: Collection):
    # the run cannot tell them apart; the teacher has two low ones and two high ones
    run = scored_run({0: dict.fromkeys((1, 2, 3, 4), 1.0)})
    teacher = PairScores.of(*_scores({1: 0.0, 2: 0.1, 3: 0.9, 4: 1.0}))
    rule = NegativeRule(count=2, depth=4, draw="stratified")
    sampler = sampler_of(collection, rule, [run], scores=teacher)
    for epoch in range(10):
        assert sorted(passage > 2 for passage in sampler.draw(0, epoch).tolist()) == [False, True]
    with pytest.raises(ValueError, match="the scores lack a candidate of query row 0"):
        sampler_of(collection, rule, [run], scores=PairScores.of(*_scores({1: 0.0}))).draw(0, 0)


# --- for every draw

RULES = {
    "top": {"draw": "top"},
    "log_random": {"draw": "log_random"},
    "stratified": {"draw": "stratified", "strata": 4},
    "whole": {},
    "mixed": {"draw": "stratified", "strata": 3, "source": "first+second"},
    "hard and random": {"draw": "log_random", "source": "first+collection"},
}


def any_sampler(
    collection: Collection, name: str, count: int, seed: int, relevant: Mapping[int, Sequence[int]]
) -> NegativeSampler:
    first, second = (
        scored_run(
            {query: {(7 * i + shift + query) % 40: 50.0 / (i + 1) for i in range(36)} for query in range(3)}, kind
        )
        for shift, kind in ((0, "first"), (11, "second"))
    )
    whole = WholeCollection.of("collection", 40)
    runs = {"whole": [whole], "mixed": [first, second], "hard and random": [first, whole]}.get(name, [first])
    return sampler_of(collection, NegativeRule(count=count, **RULES[name]), runs, relevant, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(1, 31),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 1000),
    positives=st.lists(st.integers(0, 39), min_size=1, max_size=3, unique=True),
)
def test_n_distinct_negatives_and_never_a_positive_the_same_again_and_whatever_the_other_queries(
    collection: Collection, name: str, count: int, seed: int, epoch: int, positives: list[int]
):
    sampler = any_sampler(collection, name, count, seed, {0: positives, 1: [1], 2: [2, 9]})
    drawn = sampler.draw(0, epoch).tolist()
    assert len(set(drawn)) == count
    assert not set(drawn) & set(positives)
    sampler.draw(1, epoch)
    assert sampler.draw(0, epoch).tolist() == drawn
    assert any_sampler(collection, name, count, seed, {0: positives}).draw(0, epoch).tolist() == drawn


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 1000))
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(collection: Collection, name: str, seed: int, epoch: int):
    draws = [any_sampler(collection, name, n, seed, {0: [0]}).draw(0, epoch).tolist() for n in (1, 3, 7, 15, 31)]
    assert all(large[: len(small)] == small for small, large in pairwise(draws))


def test_as_many_strata_as_negatives_are_other_strata_for_another_number(collection: Collection):
    # so that n = 3 need not begin n = 7; a set number of strata is nested (above)
    run = scored_run({0: {passage: float(-(passage**2)) for passage in range(1, 30)}})
    few, many = (
        [
            sampler_of(collection, NegativeRule(count=n, draw="stratified"), [run]).draw(0, epoch).tolist()
            for epoch in range(10)
        ]
        for n in (3, 7)
    )
    assert any(small != large[:3] for small, large in zip(few, many, strict=True))


@pytest.mark.parametrize("name", ["log_random", "stratified", "whole"])
def test_draws_differ_between_epochs_seeds_and_queries(collection: Collection, name: str):
    samplers = [any_sampler(collection, name, 5, seed, {0: [0], 1: [0]}) for seed in (1, 2)]
    drawn = {tuple(s.draw(query, epoch).tolist()) for s in samplers for query in (0, 1) for epoch in (0, 1)}
    assert len(drawn) == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draw": "worst"}, "negatives.draw is 'worst': it must be one of uniform, top, log_random, stratified"),
        ({"draw": "top", "replacement": True}, "set negatives.replacement=false, or negatives.draw to one of uniform"),
        ({"draw": "top", "strata": 4}, "negatives.strata=4 has no effect with negatives.draw=top"),
        ({"draw": "stratified", "strata": 0}, "negatives.strata is 0: it must be at least 1"),
    ],
)
def test_a_draw_that_cannot_be_names_the_key(settings: dict[str, object], message: str):
    with pytest.raises(ExperimentError, match=message):
        NegativeRule(**settings)  # type: ignore[arg-type]


def test_ranks_are_places_in_the_run():
    assert ranks_of(literal_run({0: [4, 2, 9]}), 0, np.array([9, 4])).tolist() == [3, 1]
