"""Join what a cross-encoder reads to score pairs: each pair once (FirstP), or each window of it (MaxP).

Shapes: P pairs, W texts that are read (P, or the windows of all pairs), B texts of a batch.
"""

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import PairEncoder, TokenBatch
from experiments.data.ragged import Rows
from experiments.data.windows import Windows


class ScoredPairs:
    """The texts of the pairs of query and passage rows (P,). ``windows``: how passages are cut; None reads the first
    tokens of each, as many as fit.
    """

    def __init__(self, encoder: PairEncoder, queries: Rows, passages: Rows, windows: Windows | None = None) -> None:
        self.encoder, self.queries, self.passages = encoder, queries, passages
        self.windows_of_pairs = None
        if windows is None:
            self.lengths_W = encoder.lengths(queries, passages)
            return
        room_P = encoder.room(queries)
        cut = windows.cut(encoder.passages.lengths_of(passages), room_P)
        self.windows_of_pairs, self.spans_W2 = cut, np.stack([cut.first_W, cut.last_W], axis=1)
        self.lengths_W = (encoder.max_length - room_P)[cut.pair_W] + cut.last_W - cut.first_W

    def __len__(self) -> int:
        return len(self.lengths_W)

    @property
    def counts_P(self) -> Rows | None:  # noqa: N802 - the suffix is the shape's
        """(P,) the number of windows of each pair; None if each pair is read once."""
        return self.windows_of_pairs.counts_P if self.windows_of_pairs is not None else None

    def join(self, part_B: Rows) -> TokenBatch:
        """Concatenate the texts at the given places among all (W)."""
        if self.windows_of_pairs is None:
            return self.encoder.join(self.queries[part_B], self.passages[part_B])
        pair_B = self.windows_of_pairs.pair_W[part_B]
        return self.encoder.join(self.queries[pair_B], self.passages[pair_B], self.spans_W2[part_B])

    def best(self, scores_W: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the (P,) scores of the pairs: the best of each pair's windows."""
        return scores_W if self.windows_of_pairs is None else self.windows_of_pairs.best(scores_W)


def check_windows(windows: Windows, encoder: PairEncoder) -> None:
    """Raise ExperimentError if a window does not fit next to the longest query, or a stride leaves tokens out."""
    room = encoder.max_length - encoder.max_query_tokens - encoder.template.extra
    if windows.tokens is not None and windows.tokens > room:
        raise ExperimentError(
            f"model.window={windows.tokens} does not fit into model.max_length={encoder.max_length} next to "
            f"model.max_query_tokens={encoder.max_query_tokens} and {encoder.template.extra} special tokens: set it to "
            f"at most {room}"
        )
    width = room if windows.tokens is None else windows.tokens
    if windows.stride is not None and windows.stride > width:
        raise ExperimentError(
            f"model.stride={windows.stride} is more than the {width} tokens of a window next to the longest query, so "
            f"that tokens between windows would be left out: set it to at most {width}"
        )
