"""Score the passages of a BM25 index for a query and keep the best, compiled by numba.

The index keeps for each term its passages, ascending, with the term's share of their scores. Passages are scored block
by block: a block's sums stay in the processor's cache, and only sums that can be among the best leave it. The terms'
shares are added in the order of the query's words, in float32, so every machine gives the same scores.

Shapes: T words of the query, N entries of the index, K kept passages, B passages of a block, C candidates.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 1 << 16  # passages; their sums take a quarter of a megabyte


@njit(nogil=True, cache=True)
def _kept(scores_C: Any, rows_C: Any, count: int, k: int) -> float:
    """Move the k best of ``count`` candidates, which are in the order of rows, to the front; return the least score."""
    least = np.partition(scores_C[:count], count - k)[count - k]
    above = (scores_C[:count] > least).sum()
    equal, place = k - above, 0
    for i in range(count):
        if scores_C[i] > least or (scores_C[i] == least and equal > 0):
            if scores_C[i] == least:
                equal -= 1
            scores_C[place], rows_C[place] = scores_C[i], rows_C[i]
            place += 1
    return float(least)


@njit(nogil=True, cache=True)
def best(
    scores_N: NDArray[np.float32],
    passages_N: NDArray[np.int32],
    starts_T: NDArray[np.int64],
    ends_T: NDArray[np.int64],
    passages: int,
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows (K,) and scores (K,) of the k best passages, best first; ties go to the lower row.

    ``starts_T``, ``ends_T``: entries of each word of the query. ``passages``: of the whole collection. A passage
    without any of the words, whose score is 0, is never among them.
    """
    room = 2 * k + 1024
    scores_C, rows_C = np.empty(room, np.float32), np.empty(room, np.int64)
    sums_B = np.zeros(BLOCK, np.float32)
    at_T = starts_T.copy()
    count, least = 0, np.float32(0.0)
    for first in range(0, passages, BLOCK):
        after = min(first + BLOCK, passages)
        touched = False
        for t in range(len(at_T)):
            at, end = at_T[t], ends_T[t]
            while at < end and passages_N[at] < after:
                sums_B[passages_N[at] - first] += scores_N[at]
                at += 1
            touched |= at > at_T[t]
            at_T[t] = at
        if not touched:
            continue
        for i in range(after - first):
            if sums_B[i] > least:
                if count == room:
                    least, count = np.float32(_kept(scores_C, rows_C, count, k)), k
                    if not sums_B[i] > least:
                        sums_B[i] = 0.0
                        continue
                scores_C[count], rows_C[count] = sums_B[i], first + i
                count += 1
            sums_B[i] = 0.0
    if count > k:
        _kept(scores_C, rows_C, count, k)
        count = k
    order = np.argsort(-scores_C[:count], kind="mergesort")
    return rows_C[:count][order], scores_C[:count][order]
