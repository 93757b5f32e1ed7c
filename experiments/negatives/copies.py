"""Passages with the same text: a hash of each passage's text, by which a copy of a positive is known.

Texts are compared after runs of white space became one blank. Shapes: P passages.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.progress import tracked
from experiments.data.collection import Collection

SIZE = 8  # bytes of a hash: two of ten million different texts share one with a chance of 3 in a million


def text_hash(text: str) -> int:
    """The hash of a text; 0 for a text without any letter, which is no copy of anything."""
    words = text.split()
    if not words:
        return 0
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=SIZE).digest(), "little")


def passage_hashes(collection: Collection, cache: Cache) -> NDArray[np.uint64]:
    """(P,) the hash of every passage's text, memory-mapped; made at the first time, read from the cache ever after."""
    key = {"format": 1, "collection": collection.fingerprint}
    folder = cache.get("copies", key, lambda target: _write(collection, target))
    hashes: NDArray[np.uint64] = np.load(folder / "hashes.npy", mmap_mode="r")
    return hashes


def _write(collection: Collection, folder: Path) -> None:
    hashes_P = np.empty(len(collection.passages), np.uint64)
    first = 0
    with tracked(f"hashing {len(hashes_P):,} passages", len(hashes_P)) as advance:
        for texts in collection.passages.text_batches():
            hashes_P[first : first + len(texts)] = [text_hash(text) for text in texts]
            first += len(texts)
            advance(len(texts))
    np.save(folder / "hashes.npy", hashes_P)
