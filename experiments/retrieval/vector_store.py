"""Store vectors of texts on disk, shard by shard, so that an interrupted encoding resumes.

Files: ``rows.npy``, the row of the text at each position, longest text first; ``<name>.bin``, the vectors of one kind;
``counts.bin``, the vectors of each text, unless it is one; ``shards.json``, the texts and vectors at the end of each
complete shard, the dimensions and the type. A shard is recorded once it is in every file; the rest is cut off.

Shapes: P texts, T vectors of all of them, B texts of a batch, D dimensions.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.common.allocator import keep_freed_memory
from experiments.common.cache import Cache, fingerprint, write_json
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, Rows, batches_by_length, offsets_of

log = logging.getLogger(__name__)

SHARD_TOKENS = 1 << 16  # of text: seconds on a GPU, under a minute on a CPU
TEXTS_AT_ONCE = 20_000  # whose tokens are counted together
SHARDS, COUNTS, LENGTHS = "shards.json", "counts.bin", "lengths.bin"
Vectors = NDArray[np.floating[Any]]
Encode = Callable[[Rows], tuple[Mapping[str, Vectors], Rows]]  # of (B,) rows: name -> (T, D), and (B,) vectors of each


class PassageEncoder(Protocol):
    """Encodes texts as one or several vectors each."""

    name: str
    dtype: type[np.floating[Any]]

    @property
    def tokens_per_batch(self) -> int:
        """Tokens of a batch, padding included."""
        ...

    def passage_fingerprint(self) -> Mapping[str, Any]:
        """Return everything that decides a passage's vectors, as JSON."""
        ...

    def token_counts(self, texts: Sequence[str]) -> Rows:
        """Count the tokens (B,) that the model reads of each text."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> tuple[Vectors, Rows]:
        """Return the vectors (T, D) of texts, one text after another, and their number (B,) for each: at least one."""
        ...


@dataclass(frozen=True)
class Embeddings:
    """Vectors of P passages. ``rows_P``: passage row at each position. ``vectors``: ragged (T, D), memory-mapped."""

    rows_P: Rows
    vectors: Ragged
    path: Path

    def __len__(self) -> int:
        return len(self.rows_P)

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self.vectors.values.shape[1])

    def read(self, tokens: int) -> Iterator[tuple[Rows, Ragged]]:
        """Yield rows and vectors in the order of the file, about ``tokens`` vectors at a time, one part in memory."""
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

    def at(self, places_B: Rows) -> NDArray[Any]:
        """Return the vectors (B, D) at positions, for texts with one vector each."""
        return self.vectors.values[places_B]

    def places(self, rows: Rows) -> Rows:
        """Return the positions of passage rows, all of which must be present."""
        order = np.argsort(self.rows_P, kind="stable")
        return np.asarray(order[np.searchsorted(self.rows_P, rows, sorter=order)])


@dataclass(frozen=True)
class VectorStore:
    """Vectors of texts in a folder, one file ``<name>.bin`` a kind. ``one_each``: every text has one of each kind."""

    folder: Path
    names: Sequence[str]
    one_each: bool = False

    @property
    def rows(self) -> Rows:
        """Row (P,) of the text at each position, the same in all files."""
        return np.load(self.folder / "rows.npy", mmap_mode="r")  # type: ignore[no-any-return]

    def vectors_of(self, name: str) -> Embeddings:
        """Return the vectors of one file, memory-mapped."""
        path, written = self.folder / f"{name}.bin", json.loads((self.folder / SHARDS).read_text(encoding="utf-8"))
        rows_P = self.rows
        values = np.memmap(path, dtype=written["dtype"], mode="r").reshape(-1, written["dimensions"])
        offsets = np.arange(len(rows_P) + 1) if self.one_each else offsets_of(np.fromfile(self.folder / COUNTS, "<i4"))
        return Embeddings(rows_P, Ragged(values, offsets), path)

    def write(self, rows_P: Rows, lengths_P: Rows, batches: Sequence[Rows], encode: Encode, title: str) -> None:
        """Encode the texts that are not in the files yet.

        ``lengths_P``: tokens of each text. ``batches``: positions in ``rows_P``, none twice, in the order of the files.
        ``title``: of the progress bar.
        """
        order = np.concatenate(batches)
        np.save(self.folder / "rows.npy", rows_P[order])
        ends = self._whole_shards()
        done, made = ends[-1] if ends else (0, 0)  # texts, vectors
        if done:
            log.info("%s: %s of %s are encoded already", title, f"{done:,}", f"{len(order):,}")
        total, already = int(lengths_P[order].sum()), int(lengths_P[order[:done]].sum())
        with (
            tracked(f"{title}: encoding {len(order):,} texts, tokens", total, already) as advance,
            ExitStack() as stack,
        ):
            files = {path: stack.enter_context(path.open("ab")) for path in self._files()}
            for shard in _shards_left(batches, lengths_P, done):
                for batch in shard:
                    vectors, counts_B = encode(rows_P[batch])
                    for name, vectors_TD in vectors.items():
                        files[self.folder / f"{name}.bin"].write(np.ascontiguousarray(vectors_TD).tobytes())
                    if not self.one_each:
                        files[self.folder / COUNTS].write(counts_B.astype("<i4").tobytes())
                    done, made = done + len(batch), made + len(vectors_TD)
                    advance(int(lengths_P[batch].sum()))
                for file in files.values():
                    file.flush()
                    os.fsync(file.fileno())
                ends.append((done, made))
                dimensions, dtype = vectors_TD.shape[1], vectors_TD.dtype.str
                write_json(self.folder / SHARDS, {"dimensions": dimensions, "dtype": dtype, "ends": ends})

    def _files(self) -> list[Path]:
        return [self.folder / f"{name}.bin" for name in self.names] + ([] if self.one_each else [self.folder / COUNTS])

    def _whole_shards(self) -> list[tuple[int, int]]:
        """Return (texts, vectors) at the end of each shard that is complete in all files; cut the files to the last."""
        ends: list[tuple[int, int]] = []
        width = 0
        if (self.folder / SHARDS).exists():
            written = json.loads((self.folder / SHARDS).read_text(encoding="utf-8"))
            width = written["dimensions"] * np.dtype(written["dtype"]).itemsize
            ends = [(texts, vectors) for texts, vectors in written["ends"]]

        def size(path: Path, end: tuple[int, int]) -> int:
            return 4 * end[0] if path == self.folder / COUNTS else width * end[1]

        for path in self._files():
            path.touch()
            ends = [end for end in ends if size(path, end) <= path.stat().st_size]
        for path in self._files():
            os.truncate(path, size(path, ends[-1] if ends else (0, 0)))
        return ends


def _shards_left(batches: Sequence[Rows], lengths_P: Rows, done: int) -> Iterator[list[Rows]]:
    """Yield the batches of each shard without the first ``done`` texts; shards end as in an uninterrupted encoding."""
    shard: list[Rows] = []
    tokens = place = 0
    for number, batch in enumerate(batches, 1):
        left = batch[max(0, done - place) :]
        if len(left):
            shard.append(left)
        place += len(batch)
        tokens += int(lengths_P[batch].sum())
        if tokens >= SHARD_TOKENS or number == len(batches):
            if shard:
                yield shard
            shard, tokens = [], 0


def passage_embeddings(
    encoder: PassageEncoder, collection: Collection, cache: Cache, rows: Rows | None = None
) -> Embeddings:
    """Return the cached vectors of all passages of a collection, or of rows of it (ascending)."""
    key = embeddings_key(encoder, collection, rows)

    def build(folder: Path) -> None:
        rows_P = np.arange(len(collection.passages)) if rows is None else rows
        lengths_P, batches = batches_of(encoder, collection, rows_P, key, cache)
        VectorStore(folder, ["vectors"]).write(
            rows_P, lengths_P, batches, encoding_of(encoder, collection), encoder.name
        )

    folder = cache.get("embeddings", key, build, resumable=True)
    return VectorStore(folder, ["vectors"]).vectors_of("vectors")


def embeddings_key(encoder: PassageEncoder, collection: Collection, rows: Rows | None = None) -> dict[str, Any]:
    """Return the cache key. It leaves out batch sizes and devices, which change vectors by rounding only."""
    return {
        "format": 1,
        "collection": collection.fingerprint,
        "encoder": dict(encoder.passage_fingerprint()),
        "rows": None if rows is None else fingerprint(rows.tolist()),
    }


def encoding_of(encoder: PassageEncoder, collection: Collection) -> Encode:
    """Return a function that encodes the passages of some rows."""
    keep_freed_memory()

    def encode(rows_B: Rows) -> tuple[Mapping[str, Vectors], Rows]:
        vectors_TD, counts_B = encoder.encode_passages(collection.passages.texts(rows_B))
        assert len(counts_B) == len(rows_B)
        assert counts_B.min() >= 1
        return {"vectors": vectors_TD.astype(encoder.dtype, copy=False)}, counts_B

    return encode


def batches_of(
    encoder: PassageEncoder, collection: Collection, rows_P: Rows, key: Mapping[str, Any], cache: Cache
) -> tuple[Rows, list[Rows]]:
    """Return the tokens (P,) of passages, and the batches in which they are encoded: positions in ``rows_P``.

    ``key``: of the embeddings, under which the tokens are cached too.
    """
    folder = cache.get(
        "token_counts", key, lambda target: _count_tokens(encoder, collection, rows_P, target), resumable=True
    )
    lengths_P = np.maximum(np.fromfile(folder / LENGTHS, "<i4").astype(np.int64), 1)  # an empty text counts as one
    return lengths_P, list(batches_by_length(lengths_P, encoder.tokens_per_batch))


def _count_tokens(encoder: PassageEncoder, collection: Collection, rows_P: Rows, folder: Path) -> None:
    """Write the tokens of each passage to a file; an interrupted count goes on."""
    path = folder / LENGTHS
    path.touch()
    done = min(path.stat().st_size // 4, len(rows_P))
    os.truncate(path, 4 * done)
    title = f"{encoder.name}: counting the tokens of {len(rows_P):,} texts"
    with tracked(title, len(rows_P), done) as advance, path.open("ab") as file:
        for start in range(done, len(rows_P), TEXTS_AT_ONCE):
            part = rows_P[start : start + TEXTS_AT_ONCE]
            file.write(encoder.token_counts(collection.passages.texts(part)).astype("<i4").tobytes())
            file.flush()
            os.fsync(file.fileno())
            advance(len(part))
