"""Random numbers that depend on what they are for and on nothing else.

A counter-based hash instead of a generator: the number for (seed, epoch, query, passage) is the same whoever asks, in
whatever order, in any worker or rank, before or after a resume. The mixing function is the finaliser of SplitMix64
(Steele, Lea and Flood 2014), which passes through all 64-bit words bijectively.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def key_of(*parts: str | int) -> int:
    """A 64-bit key of some words and numbers; ``key_of("a", 1)`` and ``key_of("a1")`` differ."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def priorities(key: int, members: NDArray[Any]) -> NDArray[np.uint64]:
    """One pseudo-random 64-bit number for each member (a non-negative integer), determined by the key and that member
    alone.

    ``members``: any shape. Sorting by them gives a random permutation; a member that joins or leaves does not move the
    others.
    """
    with np.errstate(over="ignore"):
        word = _mix(members.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        return _mix(word ^ np.uint64(key))


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def shuffled(key: int, members: NDArray[Any]) -> NDArray[Any]:
    """The members in the random order that the key gives; a subset of them would come in the same relative order."""
    return members[np.argsort(priorities(key, members), kind="stable")]
