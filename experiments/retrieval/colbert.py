"""Retrieve with ColBERT: over all passages, over another retriever's candidates, or through a PLAID index."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.run import Run, run_of
from experiments.pretrained.checkpoint import Checkpoint, check_projection, device_of
from experiments.retrieval import plaid
from experiments.retrieval.late_interaction import LateInteractionEncoder, Settings
from experiments.retrieval.maxsim import Queries, maxsim, maxsim_pairs, rows_at
from experiments.retrieval.own_passages import cut
from experiments.retrieval.pair_vectors import Pairs, open_pairs
from experiments.retrieval.retriever import Retriever, run_for
from experiments.retrieval.topk import QUERIES_AT_ONCE
from experiments.retrieval.vector_search import search_in_parts
from experiments.retrieval.vector_store import Embeddings, embeddings_key, passage_embeddings

if TYPE_CHECKING:
    import torch

INDICES = ("exact", "plaid")
TRAINED = ", such as the folder of one that python -m experiments.train model=colbert has trained"
PART_TOKENS = {"cpu": 1 << 16, "cuda": 1 << 20}  # tokens read from disk at a time


class ColBERT:
    """Late interaction (Khattab and Zaharia 2020; Santhanam et al. 2022) with a checkpoint that sentence-transformers
    can load: Stanford's format (``colbert-ir/colbertv2.0``), PyLate's, or its own.

    ``checkpoint``: a folder or hub id (with a ``revision``), or None for one to be trained. ``candidates_from``: a
    retriever whose top ``candidates`` are re-ranked; None searches all passages. ``index``: ``exact`` computes every
    score; ``plaid`` searches an approximate index (the package fast-plaid). ``tokens_per_batch``: None suits the
    device. See ``Settings`` for the lengths, the expansion and the markers.

    Raises:
        ExperimentError: a missing folder, no model in it or one without a projection; a setting out of range.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        revision: str | None = None,
        query_length: int | None = None,
        document_length: int | None = None,
        query_expansion: bool | None = None,
        query_marker: str | None = None,
        document_marker: str | None = None,
        candidates_from: Retriever | None = None,
        candidates: int = 1000,
        index: str = "exact",
        tokens_per_batch: int | None = None,
        device: str = "auto",
        name: str = "colbert",
    ) -> None:
        at_least(f"retrievers.{name}.query_length", query_length, 1)
        at_least(f"retrievers.{name}.document_length", document_length, 1)
        at_least(f"retrievers.{name}.candidates", candidates, 1)
        at_least(f"retrievers.{name}.tokens_per_batch", tokens_per_batch, 1)
        one_of(f"retrievers.{name}.index", index, INDICES)
        if index == "plaid" and candidates_from is not None:
            raise ExperimentError(f"retrievers.{name}: index=plaid searches all passages; candidates_from must be null")
        if index == "plaid":
            plaid.require(f"retrievers.{name}.index")
        self.checkpoint = Checkpoint(checkpoint, revision, f"retrievers.{name}", TRAINED)
        if self.checkpoint.is_folder:
            check_projection(self.checkpoint)
        self.name, self.index, self.device = name, index, device
        self.candidates_from, self.candidates = candidates_from, candidates
        settings = Settings(query_length, document_length, query_expansion, query_marker, document_marker)
        self.encoder = LateInteractionEncoder(self.checkpoint, settings, tokens_per_batch, device, name)

    def content(self) -> str:
        return self.checkpoint.content()

    def fingerprint(self) -> Mapping[str, Any]:
        key: dict[str, Any] = {"retriever": "colbert 1", **self.encoder.fingerprint(), "index": self.index}
        if self.candidates_from is not None:
            key |= {"candidates_from": dict(self.candidates_from.fingerprint()), "candidates": self.candidates}
        if self.index == "plaid":
            key["plaid"] = plaid.fingerprint()
        return key

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the best passages of each query; with ``candidates_from``, of its candidates.

        Raises:
            ExperimentError: the checkpoint is missing or unusable.
        """
        depth = min(depth, len(collection.passages))
        if self.candidates_from is not None:
            run = run_for(self.candidates_from, collection, queries, self.candidates, cache)
            scores_N = self.pair_scores(collection, run, cache)
            queries_N = np.repeat(run.queries, run.passages.lengths)
            return first_ranks(run_of(self.name, queries_N, np.asarray(run.passages.values), scores_N), depth)
        embeddings = passage_embeddings(self.encoder, collection, cache)
        vectors = self._encode_queries(collection, queries)
        if self.index == "plaid":
            key = embeddings_key(self.encoder, collection)
            return plaid.search(self.name, queries, vectors, embeddings, key, depth, device_of(self.device), cache)
        return exact_search(self.name, queries, vectors, embeddings, depth, device_of(self.device))

    def open_pairs(self, collection: Collection, run: Run, cache: Cache, *, whole: bool = False) -> Pairs:
        """Return the run's pairs with the vectors of their passages. ``whole``: encode the whole collection."""
        return open_pairs(self.encoder, run, collection, cache, whole=whole)

    def score_pairs(self, collection: Collection, pairs: Pairs) -> NDArray[np.float32]:
        """Encode the queries, and return the (N,) scores of their pairs."""
        import torch

        run, device = pairs.run, device_of(self.device)
        scores_N = np.empty(len(run.passages.values), np.float32)
        with tracked(f"{self.name}: scoring {len(run):,} queries' passages", len(run)) as advance:
            for start in range(0, len(run), QUERIES_AT_ONCE):
                vectors = self._encode_queries(collection, run.queries[start : start + QUERIES_AT_ONCE])
                for i in range(len(vectors)):
                    span = slice(*run.passages.offsets[start + i : start + i + 2])
                    query_SD = torch.from_numpy(vectors[i]).to(device)
                    if span.start < span.stop:
                        passages = rows_at(pairs.embeddings.vectors, pairs.places_N[span])
                        scores_N[span] = maxsim_pairs(query_SD, passages).cpu()
                    advance(1)
        return scores_N

    def pair_scores(
        self, collection: Collection, run: Run, cache: Cache, *, whole: bool = False
    ) -> NDArray[np.float32]:
        """Score each entry (N,) of ``run.passages.values`` for its query. ``whole``: see ``open_pairs``."""
        if not len(run.passages.values):
            return np.empty(0, np.float32)
        return self.score_pairs(collection, self.open_pairs(collection, run, cache, whole=whole))

    def _encode_queries(self, collection: Collection, queries: NDArray[np.int64]) -> Ragged:
        return self.encoder.encode_queries(collection.queries.texts(queries))


def exact_search(
    name: str, queries: NDArray[np.int64], vectors: Ragged, embeddings: Embeddings, depth: int, device: "torch.device"
) -> Run:
    """Return the best ``depth`` of all passages by MaxSim for each query row; ``vectors``: the queries' tokens."""
    part_tokens = PART_TOKENS.get(device.type, PART_TOKENS["cpu"])
    return search_in_parts(
        name, queries, embeddings, depth, part_tokens,
        lambda places: partial(maxsim, Queries(rows_at(vectors, places), device)),
    )  # fmt: skip


def first_ranks(run: Run, depth: int) -> Run:
    """Cut a run to its first ``depth`` ranks."""
    return cut(run, np.ones(len(run.passages.values), bool), depth)
