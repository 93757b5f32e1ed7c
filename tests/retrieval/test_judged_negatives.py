"""Judged passages that are not relevant, ranked by grade."""

from pathlib import Path

import numpy as np
from helpers.tiny import literal_collection

from experiments.common.cache import Cache
from experiments.common.random_keys import key_of, priorities
from experiments.retrieval.judged_negatives import JudgedNegatives

JUDGED = {
    "train": [("q0", "p0", 1), ("q0", "p1", 0), ("q0", "p2", -1), ("q0", "p3", 0), ("q1", "p1", 2)],
    "test": [("q3", "p5", 0), ("q3", "p6", 3)],
}


def test_higher_grades_come_first_and_equal_ones_by_a_hash(tmp_path: Path):
    collection = literal_collection(tmp_path, judgements=JUDGED)
    run = JudgedNegatives().retrieve(collection, np.array([0, 1, 2, 3]), 10, Cache(tmp_path / "store"))
    tied = sorted([1, 3], key=lambda row: int(priorities(key_of("judged", "q0"), np.array([row]))[0]))
    assert run.queries.tolist() == [0, 3], "q1 has no passage judged below 1, q2 none at all"
    assert run.ranking(0).tolist() == [*tied, 2]
    assert run.scores[0].tolist() == [0.0, 0.0, -1.0]
    assert run.ranking(3).tolist() == [5], "of whichever split holds the query"


def test_depth_cuts_and_the_limit_moves(tmp_path: Path):
    collection, store = literal_collection(tmp_path, judgements=JUDGED), Cache(tmp_path / "store")
    assert JudgedNegatives(below=2).retrieve(collection, np.array([0]), 1, store).ranking(0).tolist() == [0]
    assert JudgedNegatives(below=0).retrieve(collection, np.array([0]), 9, store).ranking(0).tolist() == [2]
    assert JudgedNegatives(below=2).fingerprint() != JudgedNegatives().fingerprint()


def test_no_judgements_below_the_limit_make_a_run_of_nothing(tmp_path: Path):
    run = JudgedNegatives().retrieve(literal_collection(tmp_path), np.array([0, 1]), 5, Cache(tmp_path / "store"))
    assert (len(run), len(run.passages.values)) == (0, 0)
