"""The embeddings of a collection's texts by every layer and pooling, encoded once into the store, a file each.

One forward pass a batch serves all files. What stands in memory is one batch, never a layer's texts. An interrupted
encoding goes on where it stopped.

Layout of an entry: ``rows.npy``, the row of the text at each place, longest input first; ``layer<l>.<pooling>.bin``,
one vector a place; ``shards.json``, how many places are whole in all files, the dimensions and the type. A shard is
written to every file before it is recorded; what lies beyond the record is cut off.

An entry's key holds the collection, the weights, the pairing and the rows asked for. Batch sizes and devices are not in
it: they change vectors by rounding only.

Shapes: P texts, B texts of a batch, D dimensions.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Store, fingerprint, write_json
from experiments.common.code_versions import probe_versions
from experiments.common.errors import ExperimentError
from experiments.common.progress import tracked
from experiments.data.batches.pairs import micro_batches
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.tokens import tokens_of
from experiments.probing.encoder import Key, LayerEncoder
from experiments.retrieval.vector_store import Embeddings

log = logging.getLogger(__name__)

DTYPE = np.dtype("<f2")  # half the space of float32; a ranking hardly moves
SHARD_TOKENS = 1 << 16  # of inputs: seconds on a GPU, under a minute on a CPU


@dataclass(frozen=True)
class LayerEmbeddings:
    """Vectors of P texts by layer and pooling. ``rows_P``: the row of the text at each place, the same in all."""

    folder: Path
    rows_P: NDArray[np.int64]
    dimensions: int
    dtype: np.dtype[Any]

    def of(self, layer: int, pooling: str) -> Embeddings:
        """The vectors of one layer and pooling, one a text, memory-mapped."""
        path = self.folder / file_name((layer, pooling))
        values = np.memmap(path, self.dtype, mode="r").reshape(-1, self.dimensions)
        return Embeddings(self.rows_P, Ragged(values, np.arange(len(self.rows_P) + 1)), path)


def file_name(key: Key) -> str:
    """Of the vectors of a layer and pooling: ``layer02.mean.bin``."""
    layer, pooling = key
    return f"layer{layer:02d}.{pooling}.bin"


def layer_embeddings(
    encoder: LayerEncoder, collection: Collection, kind: str, store: Store, rows: NDArray[np.int64] | None = None
) -> LayerEmbeddings:
    """The vectors of all texts of a kind, ``passages`` or ``queries``, or of some rows of it (ascending); encoded at
    the first time.

    Raises:
        ExperimentError: a vector does not fit into the type of the files.
    """
    key = embeddings_key(encoder, collection, kind, rows)
    folder = store.get(
        "layer_embeddings", key, lambda target: _encode(encoder, collection, kind, target, rows, store), resumable=True
    )
    shards = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
    rows_P = np.load(folder / "rows.npy", mmap_mode="r")
    return LayerEmbeddings(folder, rows_P, shards["dimensions"], np.dtype(shards["dtype"]))


def embeddings_key(
    encoder: LayerEncoder, collection: Collection, kind: str, rows: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """What an entry is made from."""
    return {
        "format": 1,
        "code": probe_versions(),
        "collection": collection.fingerprint,
        "kind": kind,
        "encoder": dict(encoder.fingerprint()),
        "rows": None if rows is None else fingerprint(rows.tolist()),
        "dtype": DTYPE.str,
    }


def _encode(
    encoder: LayerEncoder,
    collection: Collection,
    kind: str,
    folder: Path,
    rows: NDArray[np.int64] | None,
    store: Store,
) -> None:
    """Encode into a folder what is missing there."""
    model = encoder.model
    tokens = tokens_of(collection, kind, model.tokenizer, encoder.pairing.max_text_tokens, store, model.tokens)
    rows_P = np.arange(len(tokens)) if rows is None else rows
    lengths_P = encoder.pairing.lengths(tokens, rows_P)
    batches = micro_batches(lengths_P, encoder.tokens_per_batch)
    np.save(folder / "rows.npy", rows_P[np.concatenate(batches)])
    files = {key: folder / file_name(key) for key in encoder.keys}
    done, total = _whole(folder, list(files.values())), int(lengths_P.sum())
    already = int(np.sort(lengths_P)[::-1][:done].sum())
    if done:
        log.info("%s: %s of %s %s are encoded already", model.name, f"{done:,}", f"{len(rows_P):,}", kind)
    title = f"probing: {len(rows_P):,} {kind}, tokens"
    with tracked(title, total, already) as advance, ExitStack() as stack, encoder.evaluating():
        opened = {key: stack.enter_context(path.open("ab")) for key, path in files.items()}
        for shard in _shards(batches, lengths_P, done):
            for batch in shard:
                for key, vectors_BD in encoder.encode(tokens, rows_P[batch]).items():
                    opened[key].write(_stored(vectors_BD, key, model.name).tobytes())
                done += len(batch)
                advance(int(lengths_P[batch].sum()))
            for file in opened.values():
                file.flush()
                os.fsync(file.fileno())
            write_json(folder / "shards.json", {"dimensions": vectors_BD.shape[1], "dtype": DTYPE.str, "texts": done})


def _stored(vectors_BD: NDArray[np.float32], key: Key, name: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # told below, with the way out
        stored_BD = np.ascontiguousarray(vectors_BD, DTYPE)
    if not np.isfinite(stored_BD).all():
        wrong = "is not a number" if np.isnan(vectors_BD).any() else f"is beyond {np.finfo(DTYPE).max:.0f}"
        raise ExperimentError(
            f"{name!r}: a value of an embedding of layer {key[0]} {wrong}: its weights are damaged, or it does "
            f"not fit into the files; leave that layer out of probe.layers"
        )
    return stored_BD


def _whole(folder: Path, files: list[Path]) -> int:
    """How many places are whole in all files, which are cut to them."""
    done = width = 0
    record = folder / "shards.json"
    if record.exists():
        recorded = json.loads(record.read_text(encoding="utf-8"))
        width = recorded["dimensions"] * np.dtype(recorded["dtype"]).itemsize
        held = min(path.stat().st_size // width if path.exists() else 0 for path in files)
        done = min(recorded["texts"], held)
    for path in files:
        path.touch()
        os.truncate(path, done * width)
    return done


def _shards(
    batches: list[NDArray[np.int64]], lengths_P: NDArray[np.int64], done: int
) -> Iterator[list[NDArray[np.int64]]]:
    """The batches of each shard, without the first ``done`` texts.

    They are cut as in an encoding from the beginning, so that a resumed one has the batches of an uninterrupted one.
    """
    shard: list[NDArray[np.int64]] = []
    tokens = place = 0
    for index, batch in enumerate(batches):
        left = batch[max(0, done - place) :]
        if len(left):
            shard.append(left)
        place += len(batch)
        tokens += int(lengths_P[batch].sum())
        if tokens >= SHARD_TOKENS or index == len(batches) - 1:
            if shard:
                yield shard
            shard, tokens = [], 0
