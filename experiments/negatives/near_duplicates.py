"""Compute the Jaccard similarity of passages' word shingles (Broder 1997), hashed to 64 bits: exact, not MinHash.

Shapes: C candidates, V shingles of all of them, T words of some texts one after another.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, offsets_of
from experiments.data.ragged_files import Part, read_ragged, write_ragged

WORD = re.compile(r"\w+")
# Words a shingle. Documents are compared by longer ones (Broder: 10), but passages may have twenty words: three still
# tell orders of words apart, and one changed word in the middle of twenty leaves a similarity of 15 / 21 = 0.71.
SHINGLE = 3


@lru_cache(maxsize=2**18)
def _hash_of(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def shingles_of(texts: Iterable[str], words: int = SHINGLE) -> Ragged:
    """Hash the shingles of each text; words are runs of letters, digits and underscores, in lower case."""
    return hashed_shingles((WORD.findall(text.lower()) for text in texts), words)


def hashed_shingles(texts: Iterable[Sequence[str]], words: int) -> Ragged:
    """Hash the shingles of texts given as words: ragged uint64, ascending and distinct within a row.

    Every ``words`` neighbours are a shingle. A shorter text is one shingle; an empty one has none.
    """
    hashes = [[_hash_of(word) for word in text] for text in texts]
    lengths = np.array([len(row) for row in hashes], np.int64)
    words_T = np.array([value for row in hashes for value in row], np.uint64)
    ends = np.cumsum(lengths)
    left_T = np.repeat(ends, lengths) - np.arange(len(words_T))  # words from here to the end of the text, this included
    starts = np.flatnonzero((left_T >= words) | (left_T == np.repeat(lengths, lengths)))
    values = np.zeros(len(starts), np.uint64)
    for place in range(words):
        within = left_T[starts] > place
        following = np.where(within, words_T[np.minimum(starts + place, len(words_T) - 1)], np.uint64(0))
        with np.errstate(over="ignore"):
            values = (values ^ following) * np.uint64(0x9E3779B97F4A7C15)
            values ^= values >> np.uint64(29)
    rows = np.repeat(np.arange(len(lengths)), lengths)[starts]
    order = np.lexsort((values, rows))
    rows, values = rows[order], values[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
    return Ragged(values[first], offsets_of(np.bincount(rows[first], minlength=len(lengths))))


def passage_shingles(collection: Collection, cache: Cache) -> Ragged:
    """Return the hashed shingles of every passage row, memory-mapped from the cache: about eight bytes a word."""
    key = {"format": 1, "collection": collection.fingerprint, "words": SHINGLE}
    folder = cache.get("shingles", key, lambda target: _write_shingles(collection, target), resumable=True)
    return read_ragged(folder, "shingles")


def _write_shingles(collection: Collection, folder: Path) -> None:
    passages = collection.passages

    def parts_from(first: int) -> Iterator[Part]:
        with tracked(f"shingling {len(passages):,} passages", len(passages), first) as advance:
            for texts in passages.text_batches(first):
                shingles = shingles_of(texts)
                yield shingles.lengths, {"shingles": shingles.values}
                advance(len(texts))

    write_ragged(folder, {"shingles": np.uint64}, parts_from)


def similarity(shingles: Ragged, positives: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each candidate's largest Jaccard similarity (C,) to a positive; both are rows of ``shingles``."""
    starts, lengths_C = shingles.offsets[candidates], shingles.offsets[candidates + 1] - shingles.offsets[candidates]
    ends = np.cumsum(lengths_C)
    total = int(ends[-1]) if len(ends) else 0
    values_V = shingles.values[np.arange(total) + np.repeat(starts - (ends - lengths_C), lengths_C)]
    owner_V = np.repeat(np.arange(len(candidates)), lengths_C)
    best_C = np.zeros(len(candidates))
    for positive in positives:
        own = np.asarray(shingles[int(positive)])
        if not len(own):
            continue
        found_V = own[np.minimum(np.searchsorted(own, values_V), len(own) - 1)] == values_V
        shared_C = np.bincount(owner_V[found_V], minlength=len(candidates))
        best_C = np.maximum(best_C, shared_C / (lengths_C + len(own) - shared_C))
    return best_C
