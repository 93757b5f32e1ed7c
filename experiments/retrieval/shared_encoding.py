"""Share the encoding of a collection between processes, so that its vectors are those that one process makes.

Each process encodes its batches into an entry of its own in the cache. The whole is put together from them, batch by
batch, and they are removed.

Shapes: P passages, B of a batch, T vectors of a batch, D dimensions.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.cache import Cache
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.retrieval.vector_store import (
    Embeddings,
    PassageEncoder,
    Vectors,
    VectorStore,
    batches_of,
    embeddings_key,
    encoding_of,
)


def encode_share(encoder: PassageEncoder, collection: Collection, cache: Cache, rank: int, ranks: int) -> Path | None:
    """Encode every ``ranks``-th batch of a collection, from the one numbered ``rank`` on; return the entry's folder.

    None if there are fewer batches.
    """
    key, rows_P = embeddings_key(encoder, collection), np.arange(len(collection.passages))
    lengths_P, batches = batches_of(encoder, collection, rows_P, key, cache)
    own = batches[rank::ranks]
    if not own:
        return None

    def build(folder: Path) -> None:
        VectorStore(folder, ["vectors"]).write(rows_P, lengths_P, own, encoding_of(encoder, collection), encoder.name)

    return cache.get("embeddings", {**key, "share": [rank, ranks]}, build, resumable=True)


def join_shares(encoder: PassageEncoder, collection: Collection, cache: Cache, ranks: int) -> None:
    """Put the vectors of a collection together from the shares of all processes, and remove the shares."""
    key, rows_P = embeddings_key(encoder, collection), np.arange(len(collection.passages))
    folders = [encode_share(encoder, collection, cache, rank, ranks) for rank in range(ranks)]
    shares = [VectorStore(folder, ["vectors"]).vectors_of("vectors") for folder in folders if folder is not None]
    share_of_P, place_of_P = np.empty(len(rows_P), np.int16), np.empty(len(rows_P), np.int64)
    for number, share in enumerate(shares):
        share_of_P[share.rows_P], place_of_P[share.rows_P] = number, np.arange(len(share))

    def read(rows_B: Rows) -> tuple[Mapping[str, Vectors], Rows]:
        vectors = [_vectors(shares[share_of_P[row]], int(place_of_P[row])) for row in rows_B.tolist()]
        return {"vectors": np.concatenate(vectors)}, np.array([len(own) for own in vectors], np.int64)

    def build(folder: Path) -> None:
        lengths_P, batches = batches_of(encoder, collection, rows_P, key, cache)
        VectorStore(folder, ["vectors"]).write(rows_P, lengths_P, batches, read, f"{encoder.name}, joined")

    cache.get("embeddings", key, build, resumable=True)
    for folder in folders:
        if folder is not None:
            shutil.rmtree(folder)


def _vectors(share: Embeddings, place: int) -> Any:
    """Return the vectors (T, D) of the text at a place."""
    return share.vectors[place]
