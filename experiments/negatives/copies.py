"""Hash passage texts to recognise copies of a positive. White space is collapsed first. Shapes: P passages."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.progress import tracked
from experiments.data.collection import Collection

SIZE = 8  # bytes of a hash: among ten million different texts, two share one with a probability of 3 in a million


def text_hash(text: str) -> int:
    """Hash a text; return 0 for a blank text, which is a copy of nothing."""
    content = " ".join(text.split())
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=SIZE).digest(), "little") if content else 0


def passage_hashes(collection: Collection, cache: Cache) -> NDArray[np.uint64]:
    """Return the text hash (P,) of every passage, memory-mapped from the cache."""
    key = {"format": 1, "collection": collection.fingerprint}
    folder = cache.get("copies", key, lambda target: _write(collection, target))
    return np.load(folder / "hashes.npy", mmap_mode="r")  # type: ignore[no-any-return]


def _write(collection: Collection, folder: Path) -> None:
    hashes_P = np.empty(len(collection.passages), np.uint64)
    first = 0
    with tracked(f"hashing {len(hashes_P):,} passages", len(hashes_P)) as advance:
        for texts in collection.passages.text_batches():
            hashes_P[first : first + len(texts)] = [text_hash(text) for text in texts]
            first += len(texts)
            advance(len(texts))
    np.save(folder / "hashes.npy", hashes_P)
