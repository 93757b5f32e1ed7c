"""Score every query with every passage by a library: ``sentence-transformers`` or ``pylate``, from fp32 tensors.

sentence-transformers' ``maxsim`` is what its ``similarity`` calls. PyLate's ``colbert_scores`` takes padded tensors
with a mask; padding them is not timed, and passages are padded in chunks of similar length, which favours it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from benchmarks.contestants.vectors import random_vectors
from benchmarks.harness.child import Calls, serve
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

CHUNK = 500


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: all scores."""
    made = random_vectors(settings)
    queries, passages = ([torch.from_numpy(row).float() for row in vectors] for vectors in made)
    scores = {"sentence-transformers": similarity, "pylate": colbert}[settings["library"]](queries, passages)
    return Calls(scores, units=len(queries) * len(passages))


def similarity(queries: list[torch.Tensor], passages: list[torch.Tensor]) -> Callable[[], NDArray[np.float32]]:
    """Return sentence-transformers' function."""
    from sentence_transformers.util.similarity import maxsim

    return lambda: maxsim(queries, passages).numpy()


def colbert(queries: list[torch.Tensor], passages: list[torch.Tensor]) -> Callable[[], NDArray[np.float32]]:
    """Return PyLate's function over padded chunks."""
    from pylate.scores import colbert_scores

    order = np.argsort([len(passage) for passage in passages], kind="stable")
    stacked, chunks = torch.stack(queries), []
    for begin in range(0, len(order), CHUNK):
        rows = order[begin : begin + CHUNK]
        own = [passages[row] for row in rows]
        masks = [torch.ones(len(passage)) for passage in own]
        chunks.append((rows, pad_sequence(own, batch_first=True), pad_sequence(masks, batch_first=True)))

    def scores() -> NDArray[np.float32]:
        found = np.empty((len(queries), len(passages)), np.float32)
        for rows, documents, mask in chunks:
            found[:, rows] = colbert_scores(stacked, documents, documents_mask=mask).numpy()
        return found

    return scores


if __name__ == "__main__":
    serve(make)
