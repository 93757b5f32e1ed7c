"""Compute random numbers that depend on their key alone, by a counter-based hash instead of a generator.

The number for (seed, epoch, query, passage) is the same in any order, worker or rank, before or after a resume. The
mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014), a bijection of 64-bit words.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def key_of(*parts: str | int) -> int:
    """Return a 64-bit key of words and numbers; ``key_of("a", 1)`` and ``key_of("a1")`` differ."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def priorities(key: int, members: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a pseudo-random 64-bit number for each member (a non-negative integer), given by the key and it alone.

    ``members``: any shape. Sorting by the numbers gives a random permutation, the same for the members of a subset.
    """
    with np.errstate(over="ignore"):
        word = _mix(members.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        return _mix(word ^ np.uint64(key))


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def shuffled(key: int, members: NDArray[Any]) -> NDArray[Any]:
    """Return the members in the random order of the key; a subset keeps the same relative order."""
    return members[np.argsort(priorities(key, members), kind="stable")]
