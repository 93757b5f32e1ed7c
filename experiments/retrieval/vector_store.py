"""The embeddings of a collection's passages in the store: encoded once, in order of length, shard by shard, so that an
interrupted encoding goes on where it stopped.

Layout of an entry: ``rows.npy``, the passage row at each place, longest text first; ``vectors.bin``, all vectors one
after another; ``counts.bin``, how many each place has; ``shards.json``, the passages and vectors at the end of each
whole shard, the dimensions and the type. A shard is written before it is recorded; what lies beyond the last record is
cut off.

An entry's key holds the collection, the encoder's fingerprint and the passages asked for: no other index can be taken
for it. Batch sizes and devices are not in it: they change vectors by rounding only.

Shapes: P passages, T vectors of all of them, B passages of a batch, D dimensions.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Store, fingerprint, write_json
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, offsets_of

log = logging.getLogger(__name__)

SHARD_TOKENS = 1 << 16  # of text: seconds on a GPU, under a minute on a CPU
TEXTS_AT_ONCE = 20_000  # whose lengths are counted together


class PassageEncoder(Protocol):
    """What turns texts into vectors, one or several each."""

    name: str
    dtype: type[np.floating[Any]]

    @property
    def tokens_per_batch(self) -> int:
        """Tokens of a batch, padding included."""
        ...

    def passage_fingerprint(self) -> Mapping[str, Any]:
        """All that decides a passage's vectors, as JSON."""
        ...

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(B,) how many tokens the model reads of each text."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
        """(T, D) vectors of texts, one text after another, and (B,) how many each has: at least one."""
        ...


@dataclass(frozen=True)
class Embeddings:
    """The vectors of P passages. ``rows_P``: the passage row at each place. ``vectors``: ragged, (T, D), by place,
    memory-mapped: for single places. ``read`` is for going through all.
    """

    rows_P: NDArray[np.int64]
    vectors: Ragged
    path: Path

    def __len__(self) -> int:
        return len(self.rows_P)

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self.vectors.values.shape[1])

    def read(self, tokens: int) -> Iterator[tuple[NDArray[np.int64], Ragged]]:
        """All passages in the order of the file, about ``tokens`` vectors at a time: their rows and vectors.

        Read, not mapped, so that memory holds one part and not all that was touched.
        """
        offsets = self.vectors.offsets
        start = 0
        with self.path.open("rb") as file:
            while start < len(self):
                end = max(start + 1, int(np.searchsorted(offsets, offsets[start] + tokens, side="right")) - 1)
                values = np.fromfile(
                    file, self.vectors.values.dtype, int(offsets[end] - offsets[start]) * self.dimensions
                )
                part = Ragged(values.reshape(-1, self.dimensions), offsets[start : end + 1] - offsets[start])
                yield self.rows_P[start:end], part
                start = end

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where some passage rows stand, all of which must be there."""
        order = np.argsort(self.rows_P, kind="stable")
        return np.asarray(order[np.searchsorted(self.rows_P, rows, sorter=order)])


def passage_embeddings(
    encoder: PassageEncoder, collection: Collection, store: Store, rows: NDArray[np.int64] | None = None
) -> Embeddings:
    """The vectors of all passages of a collection, or of some rows of it (ascending); encoded at the first time."""
    key = embeddings_key(encoder, collection, rows)
    folder = store.get(
        "embeddings", key, lambda target: _Encoding(encoder, collection, target, rows).run(), resumable=True
    )
    path, shards = folder / "vectors.bin", json.loads((folder / "shards.json").read_text(encoding="utf-8"))
    values = np.memmap(path, dtype=shards["dtype"], mode="r").reshape(-1, shards["dimensions"])
    offsets = offsets_of(np.fromfile(folder / "counts.bin", "<i4"))
    return Embeddings(np.load(folder / "rows.npy", mmap_mode="r"), Ragged(values, offsets), path)


def embeddings_key(
    encoder: PassageEncoder, collection: Collection, rows: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """What an entry is made from."""
    return {
        "format": 1,
        "collection": collection.fingerprint,
        "encoder": dict(encoder.passage_fingerprint()),
        "rows": None if rows is None else fingerprint(rows.tolist()),
    }


class _Encoding:
    """One encoding of passages into a folder, begun or gone on with."""

    def __init__(
        self, encoder: PassageEncoder, collection: Collection, folder: Path, rows: NDArray[np.int64] | None
    ) -> None:
        self.encoder, self.collection, self.folder = encoder, collection, folder
        self.rows = np.arange(len(collection.passages)) if rows is None else rows
        self.vectors, self.counts, self.shards = (
            folder / name for name in ("vectors.bin", "counts.bin", "shards.json")
        )

    def run(self) -> None:
        """Encode what is missing."""
        lengths_P = self._lengths()
        order = np.argsort(-lengths_P, kind="stable")
        np.save(self.folder / "rows.npy", self.rows[order])
        ends = self._whole_shards()
        done = ends[-1][0] if ends else 0
        if done:
            log.info("%s: %s of %s passages are encoded already", self.encoder.name, f"{done:,}", f"{len(order):,}")
        title = f"{self.encoder.name}: encoding {len(order):,} passages, tokens"
        with (
            tracked(title, int(lengths_P.sum()), int(lengths_P[order[:done]].sum())) as advance,
            self.vectors.open("ab") as vectors,
            self.counts.open("ab") as counts,
        ):
            for shard in _shards(lengths_P[order], done, self.encoder.tokens_per_batch):
                first, last = shard[0][0], shard[-1][1]
                texts = self.collection.passages.texts(self.rows[order[first:last]])
                made = ends[-1][1] if ends else 0
                for start, end in shard:
                    vectors_TD, counts_B = self._encode(texts[start - first : end - first])
                    vectors.write(vectors_TD.tobytes())
                    counts.write(counts_B.astype("<i4").tobytes())
                    made += len(vectors_TD)
                    advance(int(lengths_P[order[start:end]].sum()))
                for file in (vectors, counts):
                    file.flush()
                    os.fsync(file.fileno())
                ends.append((last, made))
                self._record(ends, vectors_TD.shape[1])

    def _lengths(self) -> NDArray[np.int64]:
        """(P,) tokens of each passage; an empty one counts as one."""
        parts = [
            self.encoder.token_counts(self.collection.passages.texts(self.rows[start : start + TEXTS_AT_ONCE]))
            for start in range(0, len(self.rows), TEXTS_AT_ONCE)
        ]
        return np.maximum(np.concatenate(parts), 1)

    def _encode(self, texts: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        vectors_TD, counts_B = self.encoder.encode_passages(texts)
        assert len(counts_B) == len(texts)
        assert counts_B.min() >= 1
        return np.ascontiguousarray(vectors_TD, self.encoder.dtype), counts_B

    def _record(self, ends: list[tuple[int, int]], dimensions: int) -> None:
        write_json(self.shards, {"dimensions": dimensions, "dtype": np.dtype(self.encoder.dtype).str, "ends": ends})

    def _whole_shards(self) -> list[tuple[int, int]]:
        """(passages, vectors) at the end of each shard that is whole on disk; what follows them is cut off."""
        ends: list[tuple[int, int]] = []
        width = 0
        if self.shards.exists():
            recorded = json.loads(self.shards.read_text(encoding="utf-8"))
            width = recorded["dimensions"] * np.dtype(recorded["dtype"]).itemsize
            counts, vectors = (path.stat().st_size if path.exists() else 0 for path in (self.counts, self.vectors))
            ends = [(p, t) for p, t in recorded["ends"] if 4 * p <= counts and t * width <= vectors]
        passages, made = ends[-1] if ends else (0, 0)
        for path, size in ((self.counts, 4 * passages), (self.vectors, made * width)):
            path.touch()
            os.truncate(path, size)
        return ends


def _shards(lengths_P: NDArray[np.int64], done: int, tokens_per_batch: int) -> Iterator[list[tuple[int, int]]]:
    """(start, end) places of the batches of each shard that is not done, for passages sorted by length.

    Batches have at most ``tokens_per_batch`` tokens with their padding, but one passage at least. They are cut from the
    beginning, done or not, so that a resumed encoding has the batches of an uninterrupted one.
    """
    shard: list[tuple[int, int]] = []
    tokens = start = 0
    while start < len(lengths_P):
        end = min(len(lengths_P), start + max(1, tokens_per_batch // int(lengths_P[start])))
        if end > done:
            shard.append((max(start, done), end))
        tokens += int(lengths_P[start:end].sum())
        start = end
        if tokens >= SHARD_TOKENS or start == len(lengths_P):
            if shard:
                yield shard
            shard, tokens = [], 0
