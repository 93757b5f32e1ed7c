"""Re-rank fewer passages of a first stage than were scored. Shapes: N lines of the first stage."""

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Ragged
from experiments.data.run import Run


def within(first_stage: Run, depth: int) -> NDArray[np.bool_]:
    """Return whether each line (N,) is among the first ``depth`` of its query."""
    offsets = np.asarray(first_stage.passages.offsets)
    place_N = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    return place_N < depth


def rerank_some(first_stage: Run, scores: NDArray[np.float32], reranked_N: NDArray[np.bool_]) -> Run:
    """Re-rank some passages of each query by a model's scores, and keep the others below, in the first stage's order.

    ``scores``: one for each line, finite (see ``measures.rerank``). Equal scores keep the first stage's order. The
    run's own scores are minus the rank. With all passages re-ranked it ranks as ``measures.rerank`` does.
    """
    offsets = np.asarray(first_stage.passages.offsets)
    lengths = np.diff(offsets)
    query_N = np.repeat(np.arange(len(first_stage)), lengths)
    merit_N = np.where(reranked_N, scores, 0)
    order = np.lexsort((np.arange(len(scores)), -merit_N, ~reranked_N, query_N))
    rank_N = (np.arange(len(scores)) - np.repeat(offsets[:-1], lengths)).astype(np.float32)
    passages = Ragged(np.asarray(first_stage.passages.values)[order], offsets)
    return Run(first_stage.name, first_stage.queries, passages, Ragged(-rank_N, offsets))
