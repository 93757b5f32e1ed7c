"""Dense retrieval with any single-vector model of sentence-transformers."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Store
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.pretrained.checkpoint import Checkpoint, device_of, token_budget, token_counts, versions
from experiments.retrieval import vector_search
from experiments.retrieval.vector_store import passage_embeddings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

SIMILARITIES = ("cosine", "dot")


class Dense:
    """A bi-encoder: one vector a text, compared by inner product or cosine.

    ``checkpoint``: a folder or hub id (with a ``revision``). ``query_prompt``, ``passage_prompt``: what texts begin
    with; None takes the model's own. ``max_length``: tokens of a text, None for the model's. ``similarity``:
    ``cosine``, ``dot``, or None for the model's own. ``normalise``: make vectors of length 1. ``index``: ``exact``, or
    ``faiss`` for the index that ``faiss_factory`` describes (the package faiss-cpu). ``tokens_per_batch``: None suits
    the device.

    Raises:
        ExperimentError: a folder that is not there or holds no model; a setting out of range; faiss is missing.
    """

    dtype = np.float32

    def __init__(
        self,
        checkpoint: str | None = None,
        revision: str | None = None,
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        max_length: int | None = None,
        similarity: str | None = None,
        normalise: bool = False,
        index: str = "exact",
        faiss_factory: str = "HNSW32",
        tokens_per_batch: int | None = None,
        device: str = "auto",
        name: str = "dense",
    ) -> None:
        for key, value in (("max_length", max_length), ("tokens_per_batch", tokens_per_batch)):
            if value is not None and value < 1:
                raise ExperimentError(f"retrievers.{name}.{key} is {value}: it must be at least 1")
        if similarity is not None and similarity not in SIMILARITIES:
            raise ExperimentError(
                f"retrievers.{name}.similarity is {similarity!r}: it must be null or one of {', '.join(SIMILARITIES)}"
            )
        if index not in vector_search.INDICES:
            allowed = ", ".join(vector_search.INDICES)
            raise ExperimentError(f"retrievers.{name}.index is {index!r}: it must be one of {allowed}")
        if index == "faiss":
            vector_search.require_faiss(f"retrievers.{name}.index")
        self.checkpoint = Checkpoint(checkpoint, revision, f"retrievers.{name}")
        self.name, self.index, self.faiss_factory, self.device = name, index, faiss_factory, device
        self.query_prompt, self.passage_prompt = query_prompt, passage_prompt
        self.max_length, self.similarity, self.normalise = max_length, similarity, normalise
        self._tokens_per_batch = tokens_per_batch

    def content(self) -> str:
        """What identifies the weights: a digest of the folder, or id and revision."""
        return self.checkpoint.content()

    def fingerprint(self) -> Mapping[str, Any]:
        """The weights, the settings and the versions of the libraries."""
        return {
            "retriever": "dense 1",
            **self.passage_fingerprint(),
            "query_prompt": self.query_prompt,
            "similarity": self.similarity,
            **vector_search.index_fingerprint(self.index, self.faiss_factory),
        }

    def passage_fingerprint(self) -> Mapping[str, Any]:
        """All that decides a passage's vector."""
        return {
            "encoder": "dense 2",
            "checkpoint": self.checkpoint.content(),
            "passage_prompt": self.passage_prompt,
            "max_length": self.max_length,
            "normalise": self.normalise,
            **versions(),
        }

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, store: Store) -> Run:
        """The best passages of each query.

        Raises:
            ExperimentError: there is no checkpoint, or it cannot be used.
        """
        vectors_QD = self._encode(collection.queries.texts(queries), "query")
        return vector_search.retrieve(
            self,
            collection,
            queries,
            vectors_QD,
            depth=depth,
            cosine=self._similarity() == "cosine",
            factory=self.faiss_factory if self.index == "faiss" else None,
            device=self.device,
            store=store,
        )

    def pair_scores(
        self, collection: Collection, run: Run, store: Store, *, whole: bool = False
    ) -> NDArray[np.float32]:
        """(N,) the score of each query of a run with each of its passages, in the order of ``run.passages.values``. As
        ``ColBERT.pair_scores``: of a small run only its own passages are encoded, unless the ``whole`` collection is.
        """
        scores_N = np.empty(len(run.passages.values), np.float32)
        rows = np.unique(run.passages.values)
        if not len(rows):
            return scores_N
        of_all = whole or 2 * len(rows) > len(collection.passages)
        embeddings = passage_embeddings(self, collection, store, None if of_all else rows)
        vectors_QD = self._encode(collection.queries.texts(run.queries), "query")
        cosine = self._similarity() == "cosine"
        vectors_QD = vector_search.unit(vectors_QD) if cosine else vectors_QD
        for i, vector_D in enumerate(vectors_QD):
            span = slice(*run.passages.offsets[i : i + 2])
            passages_PD = embeddings.vectors.values[embeddings.places(np.asarray(run.passages.values[span]))]
            scores_N[span] = (vector_search.unit(passages_PD) if cosine else passages_PD) @ vector_D
        return scores_N

    @cached_property
    def tokens_per_batch(self) -> int:
        """Of passages, padding included."""
        return token_budget(self._tokens_per_batch, device_of(self.device))

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The loaded checkpoint.

        Raises:
            ExperimentError: it cannot be loaded.
        """
        place = self.checkpoint.place
        from experiments.pretrained.encoder import load_sentence_transformer

        log.info("%s: loading %s", self.name, place)
        source, device = self.checkpoint.as_source(), str(device_of(self.device))
        model: SentenceTransformer = load_sentence_transformer(source, "SentenceTransformer", device)
        if self.max_length is not None:
            self._check_length(model[0], self.max_length)
            model.max_seq_length = self.max_length
        return model.eval()

    def _check_length(self, transformer: Any, max_length: int) -> None:
        from experiments.pretrained.limits import check_length

        if hasattr(transformer, "model"):
            key = f"retrievers.{self.name}.max_length"
            check_length(transformer.model, key, max_length, repr(self.checkpoint.place))

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(B,) tokens of passages, cut to what the model reads."""
        return token_counts(self.model.tokenizer, texts, self.model.max_seq_length)

    def encode_passages(self, texts: Sequence[str]) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
        """(B, D) float32 vectors, and (B,) ones: how many each passage has."""
        return self._encode(texts, "document"), np.ones(len(texts), np.int64)

    def _encode(self, texts: Sequence[str], task: str) -> NDArray[np.float32]:
        encode = self.model.encode_query if task == "query" else self.model.encode_document
        vectors: Any = encode(
            list(texts),
            prompt=self.query_prompt if task == "query" else self.passage_prompt,
            batch_size=64 if task == "query" else len(texts),  # passages come in batches
            normalize_embeddings=self.normalise,
            show_progress_bar=False,
        )
        return np.asarray(vectors, np.float32)

    def _similarity(self) -> str:
        if self.similarity is not None:
            return self.similarity
        own = str(self.model.similarity_fn_name)
        if own not in SIMILARITIES:
            raise ExperimentError(
                f"retrievers.{self.name}.similarity: the model's own is {own!r}; set {' or '.join(SIMILARITIES)}"
            )
        return own
