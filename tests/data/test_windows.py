"""Windows of long passages: where each begins and ends, how many there are, and whose score counts."""

import numpy as np
import pytest

from experiments.data.windows import Windows


def spans(windows: Windows, length: int, room: int = 100) -> list[tuple[int, int]]:
    cut = windows.cut(np.array([length]), np.array([room]))
    return list(zip(cut.first_W.tolist(), cut.last_W.tolist(), strict=True))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, [(0, 0)]),
        (1, [(0, 1)]),
        (5, [(0, 5)]),
        (6, [(0, 6)]),  # as long as a window
        (7, [(0, 6), (4, 7)]),  # one token more
        (10, [(0, 6), (4, 10)]),  # the second one ends with the passage
        (11, [(0, 6), (4, 10), (8, 11)]),
        (14, [(0, 6), (4, 10), (8, 14)]),
    ],
)
def test_windows_of_six_tokens_every_four(length: int, expected: list[tuple[int, int]]):
    assert spans(Windows(tokens=6, stride=4), length) == expected


def test_a_stride_of_a_whole_window_leaves_no_overlap():
    assert spans(Windows(tokens=3, stride=3), 7) == [(0, 3), (3, 6), (6, 7)]


def test_the_stride_is_half_a_window_by_default():
    assert spans(Windows(tokens=5), 9) == [(0, 5), (2, 7), (4, 9)]
    assert spans(Windows(tokens=1), 3) == [(0, 1), (1, 2), (2, 3)]


def test_text_behind_the_last_window_that_is_allowed_is_not_read():
    assert spans(Windows(tokens=6, stride=4, most=2), 30) == [(0, 6), (4, 10)]
    assert spans(Windows(tokens=6, stride=4, most=1), 30) == [(0, 6)]


def test_a_window_is_as_wide_as_each_query_leaves_room_by_default():
    cut = Windows().cut(np.array([9, 9]), np.array([8, 4]))
    assert cut.counts_P.tolist() == [2, 4]
    assert cut.pair_W.tolist() == [0, 0, 1, 1, 1, 1]
    assert cut.first_W.tolist() == [0, 4, 0, 2, 4, 6]
    assert cut.last_W.tolist() == [8, 9, 4, 6, 8, 9]


def test_the_tokens_that_are_read_at_most():
    assert Windows(tokens=6, stride=4, most=3).reach(100) == 14
    assert Windows(most=1).reach(10) == 10
    assert Windows(most=3).reach(10) == 20


def test_the_best_window_counts():
    cut = Windows(tokens=2, stride=2).cut(np.array([5, 1, 3]), np.array([9, 9, 9]))
    assert cut.counts_P.tolist() == [3, 1, 2]
    scores_W = np.array([0.1, 0.7, 0.3, -2.0, -1.0, -3.0], np.float32)
    assert cut.best(scores_W).tolist() == np.array([0.7, -2.0, -1.0], np.float32).tolist()


def test_a_score_that_is_no_number_is_not_passed_over():
    cut = Windows(tokens=2, stride=2).cut(np.array([4]), np.array([9]))
    assert np.isnan(cut.best(np.array([np.nan, 1.0], np.float32))).all()


def test_no_pairs_have_no_windows():
    none = np.empty(0, np.int64)
    cut = Windows().cut(none, none)
    assert len(cut.pair_W) == 0
    assert cut.best(np.empty(0, np.float32)).tolist() == []
