"""Encode a collection's texts with every layer and pooling, one file each, from one forward pass a batch.

Shapes: P texts, B texts of a batch, D dimensions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache, fingerprint
from experiments.common.code_versions import probe_versions
from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import micro_batches
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.tokens import tokens_of
from experiments.probing.encoder import Key, LayerEncoder
from experiments.retrieval.vector_store import Embeddings, Vectors, VectorStore

DTYPE = np.dtype("<f2")  # half the space of float32; rankings hardly change


class LayerEmbeddings(VectorStore):
    """Vectors of P texts by layer and pooling, one each."""

    def of(self, layer: int, pooling: str) -> Embeddings:
        """Return the vectors of one layer and pooling, memory-mapped."""
        return self.vectors_of(_file_name((layer, pooling)))


def _file_name(key: Key) -> str:
    layer, pooling = key
    return f"layer{layer:02d}.{pooling}"


def layer_embeddings(
    encoder: LayerEncoder, collection: Collection, kind: str, cache: Cache, rows: Rows | None = None
) -> LayerEmbeddings:
    """Return the cached vectors of all ``passages`` or ``queries`` (the ``kind``), or of its ``rows`` (ascending).

    Raises:
        ExperimentError: a vector does not fit into the type of the files.
    """
    key = embeddings_key(encoder, collection, kind, rows)
    folder = cache.get(
        "layer_embeddings", key, lambda target: _encode(encoder, collection, kind, target, rows, cache), resumable=True
    )
    return _opened(folder, encoder)


def _opened(folder: Path, encoder: LayerEncoder) -> LayerEmbeddings:
    return LayerEmbeddings(folder, [_file_name(key) for key in encoder.keys], one_each=True)


def embeddings_key(
    encoder: LayerEncoder, collection: Collection, kind: str, rows: Rows | None = None
) -> dict[str, Any]:
    """Return the cache key. It leaves out batch sizes and devices, which change vectors by rounding only."""
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
    encoder: LayerEncoder, collection: Collection, kind: str, folder: Path, rows: Rows | None, cache: Cache
) -> None:
    model = encoder.model
    tokens = tokens_of(collection, kind, model.tokenizer, encoder.pairing.max_text_tokens, cache, model.tokens)
    rows_P = np.arange(len(tokens)) if rows is None else rows
    lengths_P = encoder.pairing.lengths(tokens, rows_P)

    def encode(rows_B: Rows) -> tuple[Mapping[str, Vectors], Rows]:
        vectors = {key: _stored(of_key, key, model.name) for key, of_key in encoder.encode(tokens, rows_B).items()}
        return {_file_name(key): vectors_BD for key, vectors_BD in vectors.items()}, np.ones(len(rows_B), np.int64)

    with encoder.evaluating():
        batches = micro_batches(lengths_P, encoder.tokens_per_batch)
        _opened(folder, encoder).write(rows_P, lengths_P, batches, encode, f"{model.name}, {kind}")


def _stored(vectors_BD: NDArray[np.float32], key: Key, name: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # reported below
        stored_BD = vectors_BD.astype(DTYPE)
    if not np.isfinite(stored_BD).all():
        wrong = "is not a number" if np.isnan(vectors_BD).any() else f"is beyond {np.finfo(DTYPE).max:.0f}"
        raise ExperimentError(
            f"{name!r}: a value of an embedding of layer {key[0]} {wrong}: its weights are damaged, or it does "
            f"not fit into the files; leave that layer out of probe.layers"
        )
    return stored_BD
