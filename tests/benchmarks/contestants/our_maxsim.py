"""Score every query with every passage by this project's exact MaxSim, from fp16 vectors as they are stored."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from benchmarks.contestants.vectors import random_vectors
from benchmarks.harness.child import Calls, serve
from numpy.typing import NDArray

from experiments.data.ragged import Ragged, offsets_of
from experiments.retrieval.maxsim import Queries, maxsim


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: all scores."""
    queries, passages = (ragged(vectors) for vectors in random_vectors(settings))
    return Calls(lambda: maxsim(Queries(queries), passages).numpy(), units=len(queries) * len(passages))


def ragged(vectors: list[NDArray[Any]]) -> Ragged:
    """Return rows of different lengths as this project stores them."""
    return Ragged(np.concatenate(vectors), offsets_of(np.array(list(map(len, vectors)))))


if __name__ == "__main__":
    serve(make)
