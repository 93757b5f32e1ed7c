"""Cut long passages into windows, each of which a cross-encoder scores: the best one counts (MaxP).

Dai and Callan 2019 (arXiv 1905.09217) score windows of 150 words that overlap by half; their code takes 30 windows of
a longer document. Here lengths are in tokens, and the windows that are taken are the first ones.

Shapes: P pairs of a query and a passage, W windows of all pairs, one pair after the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Rows, offsets_of


@dataclass(frozen=True)
class Windows:
    """How passages are cut. ``tokens``: of a window; None for the room that each query leaves. ``stride``: tokens from
    one window's start to the next one's; None for half a window. ``most``: windows of a passage; the text behind them
    is not read.
    """

    tokens: int | None = None
    stride: int | None = None
    most: int = 30

    def reach(self, room: int) -> int:
        """Return the tokens of a passage that are read at most. ``room``: the largest that a query leaves."""
        width, stride = self._sizes(np.array([room]))
        return int(width[0] + (self.most - 1) * stride[0])

    def cut(self, length_P: Rows, room_P: Rows) -> "WindowsOfPairs":
        """Return the windows of passages. ``room_P``: tokens of a passage that fit next to the pair's query.

        A passage has windows until one of them ends with it: the last may be shorter, and has at least one token that
        no other has. A passage without tokens has one empty window.
        """
        width_P, stride_P = self._sizes(room_P)
        behind_P = np.maximum(length_P - width_P, 0)  # the tokens behind the first window
        counts_P = np.minimum(1 - (-behind_P // stride_P), self.most)
        offsets = offsets_of(counts_P)
        pair_W = np.repeat(np.arange(len(counts_P)), counts_P)
        first_W = (np.arange(len(pair_W)) - offsets[pair_W]) * stride_P[pair_W]
        last_W = np.minimum(first_W + width_P[pair_W], length_P[pair_W])
        return WindowsOfPairs(offsets, pair_W, first_W, last_W)

    def _sizes(self, room_P: Rows) -> tuple[Rows, Rows]:
        """Return the tokens of a window and of a stride, for each pair."""
        width_P = room_P if self.tokens is None else np.full_like(room_P, self.tokens)
        stride_P = np.maximum(width_P // 2, 1) if self.stride is None else np.full_like(room_P, self.stride)
        return width_P, stride_P


@dataclass(frozen=True)
class WindowsOfPairs:
    """Windows of pairs. ``offsets``: (P + 1,) of each pair's windows. ``pair_W``: index of a window's pair;
    ``first_W``, ``last_W``: its tokens are ``passage[first:last]``.
    """

    offsets: Rows
    pair_W: Rows
    first_W: Rows
    last_W: Rows

    @property
    def counts_P(self) -> Rows:  # noqa: N802 - the suffix is the shape's
        """(P,) the number of windows of each pair."""
        return np.diff(self.offsets)

    def best(self, scores_W: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the (P,) best score of each pair's windows; NaN if one of them is."""
        if not len(scores_W):
            return scores_W
        best_P: NDArray[np.float32] = np.maximum.reduceat(scores_W, self.offsets[:-1])
        return best_P
