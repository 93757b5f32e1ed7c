"""Which passages of a step are no negatives of a query, although another query's group brought them."""

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.data.batches.groups import Groups
from experiments.data.batches.text_batches import TextBatcher


class Rows:
    """Texts of one token each, whose only feature is their row."""

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.ones(len(rows), np.int64)

    def batch(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        return {"row": torch.from_numpy(np.asarray(rows))}


RELEVANT = {0: np.array([0, 3]), 1: np.array([1])}
GROUPS = Groups(np.zeros(2, np.int64), np.array([0, 1]), np.array([[0, 4, 5], [1, 3, 6]]))


def masked(hashes: list[int] | None) -> dict[int, list[int]]:
    """Query -> the passages of the step that are not its negatives."""
    made = None if hashes is None else np.array(hashes, np.uint64)
    batch = TextBatcher(Rows(), Rows(), RELEVANT, 100, made).batch(0, GROUPS)
    rows = torch.cat([part["row"] for part in batch.passages])
    return {query: sorted(rows[batch.relevant_QP[query]].tolist()) for query in range(2)}


def test_what_is_judged_relevant_is_no_negative():
    assert masked(None) == {0: [0, 3], 1: [1]}


def test_nor_is_a_copy_of_it():
    # passage 6 is a copy of 3, which answers query 0; passage 5 of 1, which answers query 1; 4 and 0 have no text
    assert masked([0, 71, 7, 72, 0, 71, 72]) == {0: [0, 3, 6], 1: [1, 5]}
