"""Scores that were computed once: nothing is computed twice, whatever asks, and what was lost is computed again."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data import score_store
from experiments.data.score_store import KIND, ScoreStore

SCORER = {"model": "abc", "max_length": 32}


class Counted:
    """Scores a pair by half its key, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        self.asked.append(keys.tolist())
        return (keys / 2).astype(np.float32)


def scores_of(root: Path, keys: list[int], score: Counted, scorer: dict[str, object] = SCORER) -> list[float]:
    values = ScoreStore(Cache(root), scorer, passages=10).scores(np.array(keys, np.int64), score)
    assert values.keys_P.tolist() == keys
    return values.values_P.tolist()


def test_only_what_is_new_is_scored(tmp_path: Path):
    score = Counted()
    assert scores_of(tmp_path, [1, 4, 9], score) == [0.5, 2.0, 4.5]
    assert scores_of(tmp_path, [4, 9], score) == [2.0, 4.5]
    assert scores_of(tmp_path, [0, 1, 4, 12], score) == [0.0, 0.5, 2.0, 6.0]
    assert score.asked == [[1, 4, 9], [0, 12]]


def test_another_scorer_knows_nothing_of_it(tmp_path: Path):
    score = Counted()
    scores_of(tmp_path, [1, 4], score)
    scores_of(tmp_path, [1, 4], score, {**SCORER, "max_length": 64})
    assert score.asked == [[1, 4], [1, 4]]


def test_a_job_that_was_killed_loses_the_part_it_was_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(score_store, "PART", 2)
    score = Counted()

    def killed(keys: NDArray[np.int64]) -> NDArray[np.float32]:
        if 5 in keys:
            raise KeyboardInterrupt
        return score(keys)

    with pytest.raises(KeyboardInterrupt):
        ScoreStore(Cache(tmp_path), SCORER, 10).scores(np.array([1, 2, 4, 5, 7]), killed)
    assert scores_of(tmp_path, [1, 2, 4, 5, 7], score) == [0.5, 1.0, 2.0, 2.5, 3.5]
    assert score.asked == [[1, 2], [4, 5], [7]]


def test_a_damaged_part_is_scored_again(tmp_path: Path):
    score = Counted()
    scores_of(tmp_path, [1, 4], score)
    (part,) = (tmp_path / KIND).glob("*/values.npy")
    part.write_bytes(part.read_bytes()[:-1] + b"\x00")
    assert scores_of(tmp_path, [1, 4], score) == [0.5, 2.0]
    assert score.asked == [[1, 4], [1, 4]]


def test_scores_that_are_no_numbers_are_refused_and_not_kept(tmp_path: Path):
    def broken(keys: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.full(len(keys), np.nan, np.float32)

    with pytest.raises(ExperimentError, match=r"loss\.teacher gives scores that are not finite"):
        ScoreStore(Cache(tmp_path), SCORER, 10).scores(np.array([1]), broken)
    assert scores_of(tmp_path, [1], Counted()) == [0.5]


def test_the_cache_counts_what_it_had_and_what_it_built(tmp_path: Path):
    cache = Cache(tmp_path)
    for keys in ([1, 4], [1, 4], [1, 5]):
        ScoreStore(cache, SCORER, 10).scores(np.array(keys), Counted())
    assert (cache.builds[KIND], cache.hits[KIND]) == (2, 1)
