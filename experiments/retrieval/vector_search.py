"""Search with one vector a text: by every inner product, or with an index of the optional package faiss.

Shapes: Q queries, P passages of a part, K retrieved passages, N passages of a run, D dimensions.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.common.packages import version
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, Rows
from experiments.data.run import Run, run_of
from experiments.pretrained.checkpoint import Checkpoint, device_of, token_budget
from experiments.retrieval.pair_vectors import Pairs, open_pairs
from experiments.retrieval.topk import QUERIES_AT_ONCE, TopK, joined
from experiments.retrieval.vector_store import Embeddings, Vectors, embeddings_key, passage_embeddings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

INDICES = ("exact", "faiss")
PART = 8192  # passages compared at a time
Scorer = Callable[[Ragged], "Tensor"]  # a part of P passages -> (Q, P) scores


class SingleVectorRetriever(ABC):
    """Base of retrievers with one vector a text: the checkpoint, the index and the search.

    Raises:
        ExperimentError: a missing folder or no model in it; a setting out of range; faiss is not installed.
    """

    dtype = np.float32

    def __init__(
        self, checkpoint: Checkpoint, index: str, faiss_factory: str, tokens_per_batch: int | None, device: str,
        name: str,
    ) -> None:  # fmt: skip
        key = f"retrievers.{name}"
        at_least(f"{key}.tokens_per_batch", tokens_per_batch, 1)
        one_of(f"{key}.index", index, INDICES)
        if index == "faiss" and find_spec("faiss") is None:
            raise ExperimentError(
                f"{key}.index=faiss needs the package faiss-cpu: pip install faiss-cpu, or set {key}.index=exact"
            )
        self.checkpoint, self.name, self.device = checkpoint, name, device
        self.index, self.faiss_factory, self._tokens_per_batch = index, faiss_factory, tokens_per_batch

    def content(self) -> str:
        return self.checkpoint.content()

    @abstractmethod
    def passage_fingerprint(self) -> Mapping[str, Any]:
        """Return everything that decides a passage's vector."""

    def index_fingerprint(self) -> Mapping[str, Any]:
        """Return everything but the vectors that decides a search."""
        exact = self.index == "exact"
        return {"index": "exact"} if exact else {"index": self.faiss_factory, "faiss": version("faiss-cpu")}

    @cached_property
    def tokens_per_batch(self) -> int:
        """Tokens of a batch of passages, padding included."""
        return token_budget(self._tokens_per_batch, device_of(self.device))

    @abstractmethod
    def token_counts(self, texts: Sequence[str]) -> Rows:
        """Count the tokens (B,) that the model reads of each passage."""

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 vectors (B, D) of queries."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 vectors (B, D) of passages."""

    def encode_passages(self, texts: Sequence[str]) -> tuple[Vectors, Rows]:
        """Return float32 vectors (B, D), and ones (B,): one vector a passage."""
        return self.encode_texts(texts), np.ones(len(texts), np.int64)

    def compares_by_cosine(self) -> bool:
        """Whether vectors are compared by cosine instead of the inner product."""
        return False

    @property
    def encoder(self) -> "SingleVectorRetriever":
        """What encodes passages: the retriever itself."""
        return self

    def retrieve(self, collection: Collection, queries: Rows, depth: int, cache: Cache) -> Run:
        """Return the best passages of each query.

        Raises:
            ExperimentError: the checkpoint is missing or unusable.
        """
        vectors_QD = self.encode_queries(collection.queries.texts(queries))
        cosine, device = self.compares_by_cosine(), device_of(self.device)
        embeddings = passage_embeddings(self, collection, cache)
        depth = min(depth, len(collection.passages))
        if self.index == "exact":
            return exact_search(self.name, queries, vectors_QD, embeddings, depth, cosine, device)
        key = {"embeddings": embeddings_key(self, collection), "cosine": cosine, **self.index_fingerprint()}
        folder = cache.get("faiss", key, lambda target: _index(embeddings, cosine, self.faiss_factory, target))
        index = importlib.import_module("faiss").read_index(str(folder / "index.faiss"))
        scores_QK, places_QK = index.search(unit(vectors_QD) if cosine else vectors_QD, depth)
        retrieved = places_QK >= 0  # an approximate index may return fewer
        rows = np.broadcast_to(queries[:, None], places_QK.shape)[retrieved]
        return run_of(self.name, rows, np.asarray(embeddings.rows_P[places_QK[retrieved]]), scores_QK[retrieved])

    def open_pairs(self, collection: Collection, run: Run, cache: Cache, *, whole: bool = False) -> Pairs:
        """Return the run's pairs with the vectors of their passages. ``whole``: encode the whole collection."""
        return open_pairs(self, run, collection, cache, whole=whole)

    def score_pairs(self, collection: Collection, pairs: Pairs) -> NDArray[np.float32]:
        """Encode the queries, and return the (N,) scores of their pairs."""
        run, embeddings, cosine = pairs.run, pairs.embeddings, self.compares_by_cosine()
        scores_N = np.empty(len(run.passages.values), np.float32)
        vectors_QD = self.encode_queries(collection.queries.texts(run.queries))
        for i, vector_D in enumerate(unit(vectors_QD) if cosine else vectors_QD):
            span = slice(*run.passages.offsets[i : i + 2])
            passages_ND = embeddings.at(pairs.places_N[span])
            scores_N[span] = (unit(passages_ND) if cosine else passages_ND) @ vector_D
        return scores_N

    def pair_scores(
        self, collection: Collection, run: Run, cache: Cache, *, whole: bool = False
    ) -> NDArray[np.float32]:
        """Score each entry (N,) of ``run.passages.values`` for its query. ``whole``: see ``open_pairs``."""
        if not len(run.passages.values):
            return np.empty(0, np.float32)
        return self.score_pairs(collection, self.open_pairs(collection, run, cache, whole=whole))


def search_in_parts(
    name: str, queries: Rows, embeddings: Embeddings, depth: int, tokens: int, scorer_of: Callable[[Rows], Scorer]
) -> Run:
    """Return the best ``depth`` of all passages for each query row, with bounded memory.

    ``tokens``: vectors read from disk at a time. ``scorer_of``: returns the scorer for the positions of some queries.
    """
    starts = range(0, len(queries), QUERIES_AT_ONCE)
    runs = []
    with tracked(f"{name}: {len(queries):,} queries x passages", len(embeddings) * len(starts)) as advance:
        for start in starts:
            places = np.arange(start, min(start + QUERIES_AT_ONCE, len(queries)))
            scorer, best = scorer_of(places), TopK(queries[places], depth)
            for rows_P, part in embeddings.read(tokens):
                best.add(scorer(part), rows_P)
                advance(len(rows_P))
            runs.append(best.run(name))
    return joined(name, runs)


def exact_search(
    name: str,
    queries: Rows,
    vectors_QD: NDArray[np.float32],
    embeddings: Embeddings,
    depth: int,
    cosine: bool,
    device: "torch.device",
) -> Run:
    """Return the best ``depth`` passages of each query row by inner product, or by ``cosine``; ties by passage row."""
    import torch

    from experiments.pretrained.products import linear

    vectors_QD = unit(vectors_QD) if cosine else vectors_QD

    def scorer_of(places: Rows) -> Scorer:
        batch_QD = torch.from_numpy(vectors_QD[places]).to(device)
        return lambda part: linear(batch_QD, torch.from_numpy(unit(part.values) if cosine else part.values).to(device))

    return search_in_parts(name, queries, embeddings, depth, PART, scorer_of)


def unit(vectors_PD: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors to length 1, except zeros."""
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
