"""Keep the k best passages of each query from a stream of score blocks, exactly and in any order of the blocks.

A score and its passage are packed into one unsigned integer that sorts as rankings do: the score's float32 bits above
the passage row, both transformed so that the lower row wins a tie. The k largest integers of a query are kept.

Shapes: Q queries, P passages of a block, K kept passages, W width of the buffer (K plus room for new ones), N survivors
of a block.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.ragged import Ragged, offsets_of
from experiments.data.run import Run

if TYPE_CHECKING:
    from torch import Tensor

LAST_ROW = 0xFFFFFFFE  # passage rows fill 32 bits; the integer 0 marks an empty place
QUERIES_AT_ONCE = 4096  # searched together, which bounds the memory
MIN_ROOM = 512  # places for new passages next to the k kept ones
SIGN = np.uint32(0x80000000)


class TopK:
    """Keep the ``k`` best passages of distinct query rows. Memory: 8 bytes x queries x (k + max(k, 512))."""

    def __init__(self, queries: NDArray[np.int64], k: int) -> None:
        self.queries, self.k = np.asarray(queries, np.int64), k
        self._room = max(k, MIN_ROOM)
        self._keys_QW = np.zeros((len(queries), k + self._room), np.uint64)
        self._filled_Q = np.zeros(len(queries), np.int64)
        self._least_Q = np.full(len(queries), -np.inf, np.float32)  # lower scores cannot be among the k best

    def add(self, scores_QP: "NDArray[np.float32] | Tensor", passages_P: NDArray[np.int64]) -> None:
        """Add the scores of passages for every query; each passage row may be added once.

        Raises:
            ExperimentError: a score is not a number.
        """
        for start in range(0, len(passages_P), self._room):
            part = slice(start, start + self._room)
            rows_N, columns_N, scores_N = _survivors(scores_QP[:, part], self._least_Q)
            if np.isnan(scores_N).any():
                raise ExperimentError("a retriever gave scores that are not numbers: its weights are damaged")
            counts_Q = np.bincount(rows_N, minlength=len(self.queries))
            if (self._filled_Q + counts_Q).max(initial=0) > self._keys_QW.shape[1]:
                self._compact()
            offsets_Q = np.cumsum(counts_Q) - counts_Q
            places_N = np.arange(len(rows_N)) - offsets_Q[rows_N] + self._filled_Q[rows_N]
            self._keys_QW[rows_N, places_N] = keys(scores_N, np.asarray(passages_P)[part][columns_N])
            self._filled_Q += counts_Q

    def _compact(self) -> None:
        self._keys_QW.partition(self._room, axis=1)  # the k largest are last
        best_QK = np.sort(self._keys_QW[:, self._room :], axis=1)[:, ::-1]
        self._keys_QW[:, : self.k] = best_QK
        self._keys_QW[:, self.k :] = 0
        np.minimum(self._filled_Q, self.k, out=self._filled_Q)
        full_Q = self._filled_Q == self.k
        self._least_Q[full_Q] = scores_of(best_QK[full_Q, -1])

    def run(self, name: str) -> Run:
        """Return the run so far, by descending score, then ascending passage row, without queries that have none."""
        self._compact()
        order = np.argsort(self.queries, kind="stable")
        order = order[self._filled_Q[order] > 0]
        kept = np.arange(self.k) < self._filled_Q[order, None]
        flat = self._keys_QW[order, : self.k][kept]
        offsets = offsets_of(self._filled_Q[order])
        return Run(name, self.queries[order], Ragged(rows_of(flat), offsets), Ragged(scores_of(flat), offsets))


def best_matches(scores_P: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the passages (K,) of the ``k`` highest scores above 0, best first; ties go to the lower row.

    All passages with at least the k-th score are sorted before the cut, so that the partition decides no tie.
    """
    rows_N = np.flatnonzero(scores_P > 0)
    scores_N = scores_P[rows_N]
    if len(rows_N) > k:
        least = np.partition(scores_N, len(rows_N) - k)[len(rows_N) - k]
        rows_N = rows_N[scores_N >= least]
        scores_N = scores_P[rows_N]
    return rows_N[np.argsort(-scores_N, kind="stable")[:k]]


def joined(name: str, runs: Sequence[Run]) -> Run:
    """Concatenate runs over successive, ascending queries."""
    offsets = offsets_of(np.concatenate([run.passages.lengths for run in runs]))
    queries, passages, scores = (
        np.concatenate(parts)
        for parts in zip(*((run.queries, run.passages.values, run.scores.values) for run in runs), strict=True)
    )
    return Run(name, queries, Ragged(passages, offsets), Ragged(scores, offsets))


def _survivors(
    scores_QP: "NDArray[np.float32] | Tensor", least_Q: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return row, column and score of everything not below its query's least, NaN included, row by row."""
    if not isinstance(scores_QP, np.ndarray) and scores_QP.device.type == "cpu":
        scores_QP = scores_QP.detach().float().numpy()
    if isinstance(scores_QP, np.ndarray):
        rows_N, columns_N = np.nonzero(~(scores_QP < least_Q[:, None]))
        return rows_N, columns_N, scores_QP[rows_N, columns_N].astype(np.float32, copy=False)
    import torch

    least_Q1 = torch.from_numpy(least_Q).to(scores_QP.device)[:, None]
    places = torch.nonzero(~(scores_QP < least_Q1), as_tuple=True)
    survivors_N = scores_QP[places].float()
    return places[0].cpu().numpy(), places[1].cpu().numpy(), survivors_N.cpu().numpy()


def keys(scores_N: NDArray[np.float32], passages_N: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Pack scores and passages into integers, never 0, ordered by score, then by descending passage row.

    The bits of positive floats sort as they are, above negative ones, whose bits sort in reverse.
    """
    bits_N = (scores_N + np.float32(0)).view(np.uint32)  # adding 0 makes -0.0 equal to 0.0
    sortable_N = np.where(bits_N & SIGN, ~bits_N, bits_N | SIGN)
    lows_N = (LAST_ROW + 1 - passages_N).astype(np.uint64)
    return (sortable_N.astype(np.uint64) << np.uint64(32)) | lows_N


def scores_of(keys_N: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Unpack the scores of keys."""
    sortable_N = (keys_N >> np.uint64(32)).astype(np.uint32)
    return np.where(sortable_N & SIGN, sortable_N & ~SIGN, ~sortable_N).view(np.float32)


def rows_of(keys_N: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Unpack the passage rows of keys."""
    return LAST_ROW + 1 - (keys_N & np.uint64(0xFFFFFFFF)).astype(np.int64)
