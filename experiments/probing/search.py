"""Rank passages by one layer's embeddings. Shapes: Q queries, N passages of a run, B pairs of a part, D dimensions."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.common.checks import one_of
from experiments.common.errors import ExperimentError
from experiments.config.probe import SIMILARITIES
from experiments.data.run import Run
from experiments.probing.whitening import WhitenedEmbeddings
from experiments.retrieval.vector_search import exact_search, unit

if TYPE_CHECKING:
    import torch

PAIRS_AT_ONCE = 1 << 14


def search(
    name: str,
    queries: NDArray[np.int64],
    vectors_QD: NDArray[np.float32],
    passages: WhitenedEmbeddings,
    *,
    depth: int,
    similarity: str,
    device: "torch.device",
) -> Run:
    """Return the best ``depth`` passages of the whole collection for each query row (ascending)."""
    one_of("probe.similarity", similarity, SIMILARITIES)
    depth, cosine = min(depth, len(passages)), similarity == "cosine"
    return exact_search(name, queries, vectors_QD, passages, depth, cosine, device)


def pair_scores(
    first_stage: Run,
    queries: NDArray[np.int64],
    vectors_QD: NDArray[np.float32],
    passages: WhitenedEmbeddings,
    similarity: str,
) -> NDArray[np.float32]:
    """Return one score (N,) for each entry of ``first_stage.passages.values``.

    ``queries``: rows of ``vectors_QD``, ascending.

    Raises:
        ExperimentError: the run has a query without a vector.
    """
    one_of("probe.similarity", similarity, SIMILARITIES)
    missing = ~np.isin(first_stage.queries, queries)
    if missing.any():
        raise ExperimentError(
            f"the run {first_stage.name!r} ranks {missing.sum():,} queries that are not probed: give the runs of the "
            f"test queries"
        )
    vectors_QD = unit(vectors_QD) if similarity == "cosine" else vectors_QD
    query_N = np.repeat(np.searchsorted(queries, first_stage.queries), first_stage.passages.lengths)
    place_N = passages.places(np.asarray(first_stage.passages.values))
    scores_N = np.empty(len(query_N), np.float32)
    for start in range(0, len(query_N), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        passages_BD = passages.at(place_N[part])
        passages_BD = unit(passages_BD) if similarity == "cosine" else passages_BD
        # One product a pair instead of a matrix product, so that equal vectors have equal scores.
        scores_N[part] = np.einsum("bd,bd->b", vectors_QD[query_N[part]], passages_BD)
    return scores_N
