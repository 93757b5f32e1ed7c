"""Search a BM25 index: a small one by numpy, a large one by compiled code on every core.

Compiling takes seconds, once a machine, and importing numba one more; numpy needs longer for each query. Both give the
same passages in the same order with the same scores.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from experiments.retrieval.bm25_index import Bm25Index
from experiments.retrieval.topk import best_matches

COMPILED_FROM = 100_000  # passages
Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def search(index: Bm25Index, terms: Sequence[NDArray[np.int64]], depth: int) -> Iterator[Found]:
    """Yield the passages of each query that have a term of it, best first, and their scores; ties by passage row.

    ``terms``: of each query, in the order of its words.
    """
    if index.passages < COMPILED_FROM:
        yield from (by_numpy(index, own, depth) for own in terms)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the compiled code holds no lock
        yield from pool.map(lambda own: compiled(index, own, depth), terms)


def by_numpy(index: Bm25Index, terms: NDArray[np.int64], depth: int) -> Found:
    """Search with numpy: all passages are scored at once."""
    scores_P = np.zeros(index.passages, np.float32)
    for term in terms.tolist():
        entries = slice(index.offsets[term], index.offsets[term + 1])
        np.add.at(scores_P, index.rows_N[entries], index.scores_N[entries])
    rows = best_matches(scores_P, depth)
    return rows, scores_P[rows]


def compiled(index: Bm25Index, terms: NDArray[np.int64], depth: int) -> Found:
    """Search with numba: passages are scored block by block."""
    from experiments.retrieval.bm25_scan import best

    starts_T, ends_T = index.offsets[terms], index.offsets[terms + 1]
    rows, scores = best(index.scores_N, index.rows_N, starts_T, ends_T, index.passages, depth)
    return rows, scores
