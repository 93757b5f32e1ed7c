"""Random passages of the whole collection as negatives, alone or mixed with hard ones."""

import numpy as np
import pytest
from helpers.draws import sampler_of
from helpers.tiny import literal_collection, literal_run

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of, priorities
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.data.whole_collection import WholeCollection
from experiments.negatives.filters import Copies


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("whole"), passages=40, queries=8)


def test_random_passages_are_of_the_whole_collection_and_never_a_positive(collection: Collection):
    whole = WholeCollection.of("collection", 40)
    sampler = sampler_of(collection, NegativeRule(count=7), [whole], {0: [3, 4], 1: [5]})
    drawn = [sampler.draw(query, epoch).tolist() for query in (0, 1) for epoch in range(200)]
    assert all(len(set(passages)) == 7 for passages in drawn)
    assert {passage for passages in drawn[:200] for passage in passages} == set(range(40)) - {3, 4}
    assert {passage for passages in drawn[200:] for passage in passages} == set(range(40)) - {5}


def test_random_passages_are_those_that_the_hash_of_their_slot_gives(collection: Collection):
    sampler = sampler_of(collection, NegativeRule(count=3), [WholeCollection.of("collection", 40)], seed=5)
    key = key_of("draw", 5, 2, "q0")
    slots = [int(word) % 40 for word in priorities(key, np.arange(10))]
    assert sampler.draw(0, 2).tolist() == [row for row in dict.fromkeys(slots) if row != 0][:3]


def test_a_filter_holds_for_random_passages(collection: Collection):
    # passages 10 and above are copies of the positive
    hashes = np.array([*range(1, 11), *([1] * 30)], np.uint64)
    whole = WholeCollection.of("collection", 40)
    sampler = sampler_of(collection, NegativeRule(count=9), [whole], filters=[Copies(hashes)])
    assert sorted(sampler.draw(0, 0).tolist()) == list(range(1, 10))
    with pytest.raises(ExperimentError, match=r"filter leaves 9 of the 10 negatives that query 'q0' draws"):
        sampler_of(collection, NegativeRule(count=10), [whole], filters=[Copies(hashes)]).draw(0, 0)


def test_hard_and_random_negatives_take_turns(collection: Collection):
    runs = [literal_run({0: [1, 2, 3]}, "bm25"), WholeCollection.of("collection", 40)]
    rule = NegativeRule(count=6, depth=3, draw="top", source="bm25+collection")
    passages, sources = sampler_of(collection, rule, runs).drawn(0, 0)
    assert sources.tolist() in ([0, 1] * 3, [1, 0] * 3)
    assert passages[sources == 0].tolist() == [1, 2, 3] or {1, 2, 3} & set(passages[sources == 1].tolist())
    assert len(set(passages.tolist())) == 6


def test_a_collection_that_is_too_small_is_short_like_any_other_source(collection: Collection):
    small = WholeCollection.of("collection", 4)
    with pytest.raises(ExperimentError, match=r"fewer than negatives\.count=7 usable negatives .*'q0' has 3"):
        sampler_of(collection, NegativeRule(count=7), [small])
    drawn = sampler_of(collection, NegativeRule(count=7, short="replacement"), [small]).draw(0, 0).tolist()
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [1, 2, 3]


def test_random_passages_with_replacement_are_drawn_slot_by_slot(collection: Collection):
    rule = NegativeRule(count=31, replacement=True)
    drawn = sampler_of(collection, rule, [WholeCollection.of("collection", 6)]).draw(0, 0).tolist()
    assert len(drawn) == 31
    assert set(drawn) == {1, 2, 3, 4, 5}
