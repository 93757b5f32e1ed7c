"""Embeddings moved and scaled by what is usual in the collection.

Hidden states of a pretrained encoder lie in a narrow cone, and a few dimensions with large values decide every cosine
(Ethayarajh 2019; Timkey and van Schijndel 2021). Subtracting each dimension's mean over the passages and dividing by
its standard deviation takes that away; it is the diagonal of a whitening (Su et al. 2021).

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
        """(B, D) fp32 vectors, moved and scaled."""
        return np.asarray((vectors_BD.astype(np.float32) - self.mean_D) / self.scale_D, np.float32)


@dataclass(frozen=True)
class WhitenedEmbeddings(Embeddings):
    """Embeddings whose parts are read as fp32, moved and scaled. ``vectors`` is what the file holds."""

    affine: Affine

    def read(self, tokens: int) -> Iterator[tuple[NDArray[np.int64], Ragged]]:
        """See ``Embeddings.read``."""
        for rows_P, part in super().read(tokens):
            yield rows_P, Ragged(self.affine(part.values), part.offsets)

    def at(self, places_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """See ``Embeddings.at``."""
        return self.affine(self.vectors.values[places_B])


def whitened(embeddings: Embeddings, whiten: str) -> WhitenedEmbeddings:
    """Embeddings under ``none`` or ``standardise``, whose statistics are their own.

    Raises:
        ExperimentError: another word.
    """
    one_of("probe.whiten", whiten, WHITENINGS)
    affine = _statistics(embeddings) if whiten == "standardise" else _identity(embeddings.dimensions)
    return WhitenedEmbeddings(embeddings.rows_P, embeddings.vectors, embeddings.path, affine)


def _identity(dimensions: int) -> Affine:
    return Affine(np.zeros(dimensions, np.float32), np.ones(dimensions, np.float32))


def _statistics(embeddings: Embeddings) -> Affine:
    """Mean and standard deviation of each dimension, from one pass over the file; a dimension that never varies is
    divided by 1.

    Parts are joined by the formula of Chan, Golub and LeVeque (1979), which does not subtract large sums.
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
