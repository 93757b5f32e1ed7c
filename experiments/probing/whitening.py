"""Standardise embeddings, the diagonal of a whitening (Su et al. 2021): otherwise a few dimensions with large values
decide every cosine (Ethayarajh 2019; Timkey and van Schijndel 2021).

Shapes: P passages of a part, B texts, D dimensions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.common.checks import one_of
from experiments.config.probe import WHITENINGS
from experiments.data.ragged import Ragged
from experiments.retrieval.vector_store import Embeddings

PART = 8192  # passages read at a time


@dataclass(frozen=True)
class Affine:
    """``(vector - mean) / scale``, dimension by dimension."""

    mean_D: NDArray[np.float32]
    scale_D: NDArray[np.float32]

    def __call__(self, vectors_BD: NDArray[np.floating]) -> NDArray[np.float32]:
        """Standardise vectors: (B, D) fp32."""
        return np.asarray((vectors_BD.astype(np.float32) - self.mean_D) / self.scale_D, np.float32)


@dataclass(frozen=True)
class WhitenedEmbeddings(Embeddings):
    """Embeddings that are read as standardised fp32. ``vectors``: as in the file."""

    affine: Affine

    def read(self, tokens: int) -> Iterator[tuple[NDArray[np.int64], Ragged]]:
        for rows_P, part in super().read(tokens):
            yield rows_P, Ragged(self.affine(part.values), part.offsets)

    def at(self, places_B: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.affine(super().at(places_B))


def whitened(embeddings: Embeddings, whiten: str) -> WhitenedEmbeddings:
    """Leave embeddings as they are (``none``) or ``standardise`` them by their own statistics.

    Raises:
        ExperimentError: another value.
    """
    one_of("probe.whiten", whiten, WHITENINGS)
    size = embeddings.dimensions
    identity = Affine(np.zeros(size, np.float32), np.ones(size, np.float32))
    affine = _statistics(embeddings) if whiten == "standardise" else identity
    return WhitenedEmbeddings(embeddings.rows_P, embeddings.vectors, embeddings.path, affine)


def _statistics(embeddings: Embeddings) -> Affine:
    """Compute each dimension's mean and standard deviation (1 if constant) in one pass over the file.

    Parts are merged by the formula of Chan, Golub and LeVeque (1979), which does not subtract large sums.
    """
    count, mean_D, squares_D = 0, np.zeros(embeddings.dimensions), np.zeros(embeddings.dimensions)
    for _, part in embeddings.read(PART):
        values_PD = part.values.astype(np.float64)
        own_D, size = values_PD.mean(axis=0), len(values_PD)
        moved_D = own_D - mean_D
        squares_D += ((values_PD - own_D) ** 2).sum(axis=0) + moved_D**2 * (count * size / (count + size))
        mean_D += moved_D * (size / (count + size))
        count += size
    deviation_D = np.sqrt(squares_D / count)
    varies_D = deviation_D > np.finfo(np.float32).eps * np.abs(mean_D)
    return Affine(mean_D.astype(np.float32), np.where(varies_D, deviation_D, 1.0).astype(np.float32))
