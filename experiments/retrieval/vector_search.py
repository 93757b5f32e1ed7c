"""Search with one vector a text: every inner product, or an index of the optional package faiss.

Shapes: Q queries, P passages of a part, K passages found, D dimensions.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Store
from experiments.common.errors import ExperimentError
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.run import Run, run_of
from experiments.pretrained.checkpoint import device_of
from experiments.retrieval.topk import QUERIES_AT_ONCE, TopK, joined
from experiments.retrieval.vector_store import Embeddings, PassageEncoder, embeddings_key, passage_embeddings

if TYPE_CHECKING:
    import torch

INDICES = ("exact", "faiss")
PART = 8192  # passages compared at a time


def require_faiss(key: str) -> None:
    """See to it that faiss can be used.

    Raises:
        ExperimentError: it is not installed.
    """
    if find_spec("faiss") is None:
        raise ExperimentError(f"{key}=faiss needs the package faiss-cpu: pip install faiss-cpu, or set {key}=exact")


def index_fingerprint(index: str, factory: str) -> Mapping[str, Any]:
    """What decides a search beside the vectors."""
    return {"index": "exact"} if index == "exact" else {"index": factory, "faiss": version("faiss-cpu")}


def retrieve(
    encoder: PassageEncoder,
    collection: Collection,
    queries: NDArray[np.int64],
    vectors_QD: NDArray[np.float32],
    *,
    depth: int,
    cosine: bool,
    factory: str | None,
    device: str,
    store: Store,
) -> Run:
    """The run of query rows with their vectors over all passages, by inner product, or by ``cosine``.

    ``factory``: faiss' description of an index, such as ``HNSW32``; None computes every product.
    """
    embeddings = passage_embeddings(encoder, collection, store)
    depth = min(depth, len(collection.passages))
    if cosine:
        vectors_QD = unit(vectors_QD)
    if factory is None:
        return exact_search(encoder.name, queries, vectors_QD, embeddings, depth, cosine, device_of(device))
    key = {"embeddings": embeddings_key(encoder, collection), "cosine": cosine, **index_fingerprint("faiss", factory)}
    folder = store.get("faiss", key, lambda target: _index(embeddings, cosine, factory, target))
    faiss = importlib.import_module("faiss")
    scores_QK, places_QK = faiss.read_index(str(folder / "index.faiss")).search(vectors_QD, depth)
    found = places_QK >= 0  # an approximate index may find fewer
    rows = np.broadcast_to(queries[:, None], places_QK.shape)[found]
    return run_of(encoder.name, rows, np.asarray(embeddings.rows_P[places_QK[found]]), scores_QK[found])


def exact_search(
    name: str,
    queries: NDArray[np.int64],
    vectors_QD: NDArray[np.float32],
    embeddings: Embeddings,
    depth: int,
    cosine: bool,
    device: "torch.device",
) -> Run:
    """The best ``depth`` passages of each query row; ``embeddings`` with one vector a passage."""
    import torch

    starts = range(0, len(queries), QUERIES_AT_ONCE)
    runs = []
    with tracked(f"{name}: {len(queries):,} queries x passages", len(embeddings) * len(starts)) as advance:
        for start in starts:
            some = slice(start, start + QUERIES_AT_ONCE)
            some_QD, best = torch.from_numpy(vectors_QD[some]).to(device), TopK(queries[some], depth)
            for rows_P, part in embeddings.read(PART):
                part_PD = torch.from_numpy(unit(part.values) if cosine else part.values).to(device)
                best.add(some_QD @ part_PD.T, rows_P)
                advance(len(rows_P))
            runs.append(best.run(name))
    return joined(name, runs)


def unit(vectors_PD: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length 1; those of zeros stay as they are."""
    lengths_P1 = np.linalg.norm(vectors_PD, axis=1, keepdims=True)
    return np.asarray(vectors_PD / np.maximum(lengths_P1, np.float32(1e-12)))


def _index(embeddings: Embeddings, cosine: bool, factory: str, folder: Path) -> None:
    faiss = importlib.import_module("faiss")
    try:
        index = faiss.index_factory(embeddings.dimensions, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ExperimentError(
            f"faiss has no index {factory!r}: give one such as Flat, HNSW32 or IVF1024,Flat"
        ) from error
    if not index.is_trained:
        values = np.asarray(embeddings.vectors.values)
        index.train(unit(values) if cosine else values)
    for _, part in embeddings.read(PART):
        index.add(unit(part.values) if cosine else part.values)
    faiss.write_index(index, str(folder / "index.faiss"))
