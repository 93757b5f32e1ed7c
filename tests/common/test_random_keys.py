"""Keys and priorities: stable, well spread, independent of order."""

import numpy as np

from experiments.common.random_keys import key_of, priorities, shuffled


def test_a_key_tells_words_from_numbers_and_parts_from_their_joint():
    assert len({key_of("a", 1), key_of("a1"), key_of("a", "1"), key_of(1, "a")}) == 4


def test_keys_and_priorities_are_the_same_on_every_machine_and_version():
    # Pinned: a change here would make every earlier study draw other negatives.
    assert key_of("draw", 1, 0, "q1") == 12818154536481019633
    assert priorities(7, np.array([0, 1])).tolist() == [236966933211079599, 12966676493058619558]


def test_shuffling_keeps_the_relative_order_of_a_subset():
    whole = shuffled(key_of("x"), np.arange(100))
    part = shuffled(key_of("x"), np.arange(0, 100, 3))
    assert part.tolist() == [one for one in whole if one % 3 == 0]


def test_priorities_look_uniform():
    share = priorities(key_of("u"), np.arange(100_000)) / 2.0**64
    assert abs(share.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(share[1:], share[:-1])[0, 1]) < 0.02
