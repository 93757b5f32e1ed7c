"""A teacher's file on the rows of a collection: what is mapped, what is of no use, what several values of a pair do."""

from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import literal_collection
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.pair_values import PairValues, pair_keys, rows_of
from experiments.data.teacher_values import Foreign, values_of_file

KEY = "loss.teacher_file"


def values_of(
    tmp_path: Path, text: str, *, value: str = "score", repeated: str = "error", name: str = "a.tsv"
) -> tuple[PairValues, Foreign]:
    """The values of a file in a collection of passages p0 ... p11 and queries q0 ... q3."""
    (tmp_path / name).write_text(text)
    collection, cache = literal_collection(tmp_path), Cache(tmp_path / "cache")
    options = {"format": "auto", "value": value, "repeated": repeated, "key": KEY}
    return values_of_file(tmp_path / name, collection=collection, cache=cache, **options)


def test_values_are_found_by_rows(tmp_path: Path):
    values, _ = values_of(tmp_path, "q2\tp7\t0.5\nq0\tp3\t-1.5\nq0\tp0\t4\n")
    values_QN, known_QN = values.of(np.array([0, 2]), np.array([[0, 3], [7, 8]]))
    assert values_QN.tolist() == [[4.0, -1.5], [0.5, 0.0]]
    assert known_QN.tolist() == [[True, True], [True, False]]


def test_minus_the_ranks_of_a_run(tmp_path: Path):
    values, _ = values_of(tmp_path, "q1 Q0 p4 1 9 x\nq1 Q0 p5 2 8 x\n", value="rank", name="a.run")
    assert values.of(np.array([1]), np.array([[5, 4]]))[0].tolist() == [[-2.0, -1.0]]


def test_pairs_of_ids_that_the_collection_lacks_are_counted_and_left_out(tmp_path: Path):
    values, foreign = values_of(tmp_path, "q0\tp0\t1.5\nq9\tp0\t1.5\nq0\tp99\t2.5\n")
    assert values.keys_P.tolist() == [0]
    assert foreign == Foreign(many=2, of=3, query="q9", passage="p0")
    assert foreign.said() == (
        " (2 of its 3 pairs name an id that the collection does not have, such as query 'q9' with passage 'p0')"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7\tp0\t1.5\n8\tp1\t2.5\n", r"none of its 2 query ids is of the collection 'literal', such as '7'"),
        ("q0\td0\t1.5\nq1\td0\t2.5\n", r"none of its 1 passage ids is of the collection 'literal', such as 'd0'"),
    ],
)
def test_ids_of_another_collection_are_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(ExperimentError, match=message):
        values_of(tmp_path, text)


REPEATED = "3.0\t1.0\tq0\tp0\tp1\n3.5\t2.0\tq0\tp0\tp2\n"


def test_a_pair_that_is_repeated_with_its_value_is_one(tmp_path: Path):
    values, _ = values_of(tmp_path, REPEATED.replace("3.5", "3.0"))
    assert (values.keys_P.tolist(), values.values_P.tolist()) == ([0, 1, 2], [3.0, 1.0, 2.0])


def test_a_pair_with_several_values_is_refused_or_has_their_mean(tmp_path: Path):
    message = r"1 pairs have several values, such as query 'q0' with passage 'p0': 3 to 3\.5; .*\.repeated=mean takes"
    with pytest.raises(ExperimentError, match=message):
        values_of(tmp_path, REPEATED)
    values, _ = values_of(tmp_path, REPEATED, repeated="mean")
    assert (values.keys_P.tolist(), values.values_P.tolist()) == ([0, 1, 2], [3.25, 1.0, 2.0])


def test_a_file_is_read_once_and_again_when_it_is_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from experiments.data import teacher_formats

    read, files = teacher_formats.read, []
    monkeypatch.setattr(teacher_formats, "read", lambda path, *more: files.append(path) or read(path, *more))
    for _ in range(2):
        assert values_of(tmp_path, "q0\tp0\t1.5\n")[0].values_P.tolist() == [1.5]
    assert len(files) == 1
    assert values_of(tmp_path, "q0\tp0\t2.5\n")[0].values_P.tolist() == [2.5]
    assert len(files) == 2


@settings(deadline=None)
@given(st.dictionaries(st.tuples(st.integers(0, 10**6), st.integers(0, 10**7 - 1)), st.floats(-9, 9, width=32)))
def test_a_search_finds_what_a_dictionary_finds(known: dict[tuple[int, int], float]):
    rows = np.array([*known, (0, 0), (3, 9)], np.int64).reshape(-1, 2)
    keys, first = np.unique(pair_keys(*rows[: len(known)].T, 10**7), return_index=True)
    values = PairValues(keys, np.array(list(known.values()), np.float32)[first], 10**7)
    found, has = values.of(rows[:, 0], rows[:, 1:])
    pairs = [tuple(pair) for pair in rows.tolist()]
    assert has[:, 0].tolist() == [pair in known for pair in pairs]
    assert found[:, 0].tolist() == [known.get(pair, 0.0) for pair in pairs]


def test_keys_give_the_rows_back():
    queries, passages = np.array([0, 3, 2]), np.array([11, 0, 7])
    back = rows_of(pair_keys(queries, passages, 12), 12)
    assert [part.tolist() for part in back] == [[0, 3, 2], [11, 0, 7]]
