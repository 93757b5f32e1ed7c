"""Make random token vectors, the same for all contestants of MaxSim."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSIONS, QUERY_TOKENS, LONGEST = 128, 32, 180


def random_vectors(settings: Mapping[str, Any]) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float16]]]:
    """Return the unit vectors of queries of one length, and of passages whose lengths are log-normal, as texts' are.

    ``settings``: ``maxsim_queries``, ``maxsim_passages``, and ``maxsim_tokens`` of all passages, about.
    """
    random, passages = np.random.default_rng(0), settings["maxsim_passages"]
    lengths = random.lognormal(np.log(settings["maxsim_tokens"] / passages) - 0.18, 0.6, passages)
    lengths = lengths.clip(1, LONGEST).astype(int)
    queries = [unit(random, QUERY_TOKENS) for _ in range(settings["maxsim_queries"])]
    return (
        [query.astype(np.float32) for query in queries],
        [unit(random, length).astype(np.float16) for length in lengths],
    )


def unit(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return vectors of length 1 around a common direction.

    All inner products are positive, as nearly all maxima of real token vectors are: PyLate lets padding score 0.
    """
    values = 1.0 + random.standard_normal((count, DIMENSIONS))
    return values / np.linalg.norm(values, axis=1, keepdims=True)
