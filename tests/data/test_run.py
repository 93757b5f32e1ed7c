"""Runs: TREC files written and read back, cuts, strict scores."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.data import run as runs


def test_a_trec_file_has_ids_ranks_and_strictly_falling_scores(tmp_path: Path):
    collection = literal_collection(tmp_path)
    first = literal_run({0: [3, 1], 2: [5]}, name="demo")
    runs.write_trec(first, collection, tmp_path / "run.trec.gz")
    text = gzip.decompress((tmp_path / "run.trec.gz").read_bytes()).decode()
    assert text == "q0 Q0 p3 1 0 demo\nq0 Q0 p1 2 -1 demo\nq2 Q0 p5 1 0 demo\n"


def test_what_is_written_is_read_back(tmp_path: Path):
    collection = literal_collection(tmp_path)
    first = literal_run({0: [3, 1, 7], 2: [5]})
    runs.write_trec(first, collection, tmp_path / "run.trec")
    again = runs.read_trec(tmp_path / "run.trec", collection, "again")
    assert again.queries.tolist() == [0, 2]
    assert again.ranking(0).tolist() == [3, 1, 7]
    assert again.scores[0].tolist() == [0.0, -1.0, -2.0]


def test_equal_scores_keep_their_order_through_a_file(tmp_path: Path):
    collection = literal_collection(tmp_path)
    tied = runs.Run(
        "tied", np.array([0]), literal_run({0: [7, 2, 9]}).passages, runs.Ragged.of([[1.0, 1.0, 1.0]], np.float32)
    )
    runs.write_trec(tied, collection, tmp_path / "run.trec")
    assert runs.read_trec(tmp_path / "run.trec", collection, "x").ranking(0).tolist() == [7, 2, 9]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_scores_become_strictly_descending_and_move_by_next_to_nothing(scores: list[float]):
    ranked = np.sort(np.array(scores, np.float32))[::-1]
    strict = runs.strictly_descending(ranked)
    assert (np.diff(strict) < 0).all()
    assert (np.abs(strict - ranked) <= 50 * np.spacing(np.abs(ranked) + np.float32(1))).all()


def test_a_query_that_the_run_does_not_have_has_an_empty_ranking():
    run = literal_run({0: [3, 1, 7], 2: [5]})
    assert [run.ranking(query).tolist() for query in (0, 1, 2, 5)] == [[3, 1, 7], [], [5], []]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q0 Q0 p1 1 2.0\n", r"run\.trec, line 1: 'query Q0 passage rank score name' is expected"),
        ("q0 Q0 p1 1 2.0 x\nq0 Q0 p2 2 high x\n", r"line 2: the score 'high' is not a number"),
        ("q0 Q0 p1 1 2.0 x\nq0 Q0 p1 2 1.0 x\n", r"line 2: passage 'p1' is listed twice for the query 'q0'"),
        ("q0 Q0 p99 1 2.0 x\n", "names 1 passage id.*'p99'"),
        ("", "the run is empty"),
    ],
)
def test_a_bad_file_is_named_by_line(tmp_path: Path, content: str, message: str):
    (tmp_path / "run.trec").write_text(content)
    with pytest.raises(ExperimentError, match=message):
        runs.read_trec(tmp_path / "run.trec", literal_collection(tmp_path), "bad")


def test_a_digest_tells_rankings_apart_whatever_they_are_called():
    one = literal_run({0: [3, 1], 2: [5]}, "one")
    assert runs.digest_of(one) == runs.digest_of(literal_run({0: [3, 1], 2: [5]}, "other"))
    assert runs.digest_of(one) != runs.digest_of(literal_run({0: [1, 3], 2: [5]}, "one"))
    assert runs.digest_of(one) != runs.digest_of(literal_run({0: [3], 2: [1, 5]}, "one"))
