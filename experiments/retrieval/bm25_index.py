"""Build and open an index of BM25 scores without ever holding the collection in memory.

The index is that of BM25S (Lù 2024, arXiv 2407.03618): the share of a passage's score that each of its terms has, by
term. It is built in two passes. The first counts the terms of some passages at a time and leaves the counts on disk, so
that a killed build goes on there; the second knows the frequencies and puts each share in its place.

Shapes: V terms of the collection, L terms of a part, N entries (a term in a passage) of the collection, E of a part, P
passages of a part.
"""

import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.common.disk import reserve
from experiments.common.progress import tracked
from experiments.data.collection import TextTable
from experiments.retrieval.bm25_count import WORDS, counted
from experiments.retrieval.words import Words

PARTS = "parts"


@dataclass(frozen=True)
class Bm25Index:
    """An open index. ``words``: the terms, Arrow strings. ``passages``: in the collection.

    ``offsets``: (V + 1,) of each term's entries. ``rows_N``: their passages, ascending within a term. ``scores_N``:
    their shares.
    """

    words: Any
    offsets: NDArray[np.int64]
    rows_N: NDArray[np.int32]
    scores_N: NDArray[np.float32]
    passages: int

    def terms_of(self, words: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
        """Return the terms of each query's words, in their order and with repetitions, without unknown words."""
        flat = pa.array(list(chain.from_iterable(words)), pa.large_string())
        found = pc.fill_null(pc.index_in(flat, value_set=self.words), -1).to_numpy().astype(np.int64)
        parts = np.split(found, np.cumsum([len(own) for own in words])[:-1])
        return [part[part >= 0] for part in parts]


def open_index(folder: Path) -> Bm25Index:
    """Memory-map the index in a folder."""
    words = pa.ipc.open_file(pa.memory_map(str(folder / "words.arrow"))).read_all().column("word")
    offsets, rows_N, scores_N = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("offsets", "rows", "scores")
    )
    count = int(np.load(folder / "passages.npy"))
    return Bm25Index(words, np.asarray(offsets), rows_N, scores_N, count)


def build_index(texts: TextTable, words: Words, k1: float, b: float, name: str, folder: Path) -> bool:
    """Build the index of passages into a folder, which may hold the parts of an interrupted build.

    ``words``: splits texts. ``name``: of the retriever, for the progress. Returns whether any passage has
    a term.
    """
    parts = counted(texts, words, name, folder / PARTS)
    terms, terms_of = _vocabulary(parts)
    if not len(terms):
        shutil.rmtree(folder / PARTS)
        return False
    with pa.OSFile(str(folder / "words.arrow"), "wb") as sink, pa.ipc.new_file(sink, WORDS) as writer:
        writer.write_table(pa.table([terms], schema=WORDS))
    _place(parts, terms_of, len(terms), len(texts), k1, b, folder)
    np.save(folder / "passages.npy", len(texts))
    shutil.rmtree(folder / PARTS)
    return True


def _vocabulary(parts: Iterable[Path]) -> tuple[Any, list[NDArray[np.int64]]]:
    """Return the distinct terms of all parts, and for each part the number of each of its terms among them."""
    own = [pa.ipc.open_file(pa.memory_map(str(part / "words.arrow"))).read_all().column("word") for part in parts]
    every = pa.chunked_array([chunk for words in own for chunk in words.chunks], pa.large_string())
    encoded = every.dictionary_encode().combine_chunks()
    numbers = encoded.indices.to_numpy().astype(np.int64)
    return encoded.dictionary, np.split(numbers, np.cumsum([len(words) for words in own])[:-1])


def _place(
    parts: Sequence[Path],
    terms_of: Sequence[NDArray[np.int64]],
    terms: int,
    passages: int,
    k1: float,
    b: float,
    folder: Path,
) -> None:
    """Write the share of every entry to its place, part by part."""
    frequencies_V = np.zeros(terms, np.int64)
    length = 0
    for part, terms_L in zip(parts, terms_of, strict=True):
        frequencies_V[terms_L] += np.load(part / "frequencies.npy")
        length += int(np.load(part / "lengths.npy").sum())
    offsets = np.zeros(terms + 1, np.int64)
    np.cumsum(frequencies_V, out=offsets[1:])
    np.save(folder / "offsets.npy", offsets)
    idf_V = _idf(frequencies_V, passages)
    rows_N = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.int32, (int(offsets[-1]),))
    scores_N = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float32, (int(offsets[-1]),))
    reserve(folder / "rows.npy")
    reserve(folder / "scores.npy")
    next_V = offsets[:-1].copy()
    first = 0
    with tracked(f"BM25: {offsets[-1]:,} entries put in their places", passages) as advance:
        for part, terms_L in zip(parts, terms_of, strict=True):
            frequencies_L, lengths_P = np.load(part / "frequencies.npy"), np.load(part / "lengths.npy")
            rows_E, counts_E = np.load(part / "rows.npy"), np.load(part / "counts.npy")
            terms_E = np.repeat(terms_L, frequencies_L)
            before_L = np.cumsum(frequencies_L) - frequencies_L
            places_E = np.arange(len(rows_E)) + np.repeat(next_V[terms_L] - before_L, frequencies_L)
            rows_N[places_E] = rows_E
            scores_N[places_E] = _shares(counts_E, lengths_P[rows_E - first], length / passages, idf_V[terms_E], k1, b)
            next_V[terms_L] += frequencies_L
            first += len(lengths_P)
            advance(len(lengths_P))
    rows_N.flush()
    scores_N.flush()


def _idf(frequencies_V: NDArray[np.int64], passages: int) -> NDArray[np.float32]:
    """Return Lucene's idf of each term, ln(1 + (n - df + 0.5) / (df + 0.5)), each distinct df by the same logarithm."""
    distinct, inverse_V = np.unique(frequencies_V, return_inverse=True)
    idf = [math.log(1 + (passages - df + 0.5) / (df + 0.5)) for df in distinct.tolist()]
    return np.array(idf, np.float32)[inverse_V]


def _shares(
    counts_E: NDArray[np.int32],
    lengths_E: NDArray[np.int64],
    mean_length: float,
    idf_E: NDArray[np.float32],
    k1: float,
    b: float,
) -> NDArray[np.float32]:
    """Return idf * tf / (k1 * (1 - b + b * length / mean length) + tf) of each entry, computed in float64."""
    counts = counts_E.astype(np.float64)
    return (idf_E * (counts / (k1 * ((1 - b) + b * lengths_E / mean_length) + counts))).astype(np.float32)
