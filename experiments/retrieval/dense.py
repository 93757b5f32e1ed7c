"""Retrieve with any single-vector model of sentence-transformers."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.pretrained.checkpoint import Checkpoint, device_of, token_counts, versions
from experiments.retrieval.vector_search import SingleVectorRetriever

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

SIMILARITIES = ("cosine", "dot")
QUERIES_PER_BATCH = 64


class Dense(SingleVectorRetriever):
    """A bi-encoder: one vector a text, compared by inner product or cosine.

    ``checkpoint``: a folder or hub id (with a ``revision``). ``query_prompt``, ``passage_prompt``: prefix of texts.
    ``max_length``: tokens of a text. ``similarity``: ``cosine`` or ``dot``. None takes the model's own. ``normalise``:
    scale vectors to length 1. ``index``: ``exact``, or ``faiss`` for the index that ``faiss_factory`` describes (the
    package faiss-cpu). ``tokens_per_batch``: None suits the device.

    Raises:
        ExperimentError: a missing folder or no model in it; a setting out of range; faiss is not installed.
    """

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
        at_least(f"retrievers.{name}.max_length", max_length, 1)
        one_of(f"retrievers.{name}.similarity", similarity, (None, *SIMILARITIES))
        place = Checkpoint(checkpoint, revision, f"retrievers.{name}")
        super().__init__(place, index, faiss_factory, tokens_per_batch, device, name)
        self.query_prompt, self.passage_prompt = query_prompt, passage_prompt
        self.max_length, self.similarity, self.normalise = max_length, similarity, normalise

    def fingerprint(self) -> Mapping[str, Any]:
        return {
            "retriever": "dense 1",
            **self.passage_fingerprint(),
            "query_prompt": self.query_prompt,
            "similarity": self.similarity,
            **self.index_fingerprint(),
        }

    def passage_fingerprint(self) -> Mapping[str, Any]:
        return {
            "encoder": "dense 2",
            "checkpoint": self.checkpoint.content(),
            "passage_prompt": self.passage_prompt,
            "max_length": self.max_length,
            "normalise": self.normalise,
            **versions(),
        }

    @cached_property
    def model(self) -> "SentenceTransformer":
        """Loaded checkpoint.

        Raises:
            ExperimentError: it cannot be loaded.
        """
        place = self.checkpoint.place
        from experiments.pretrained.encoder import load_sentence_transformer
        from experiments.pretrained.limits import check_length
        from experiments.pretrained.packed_encoding import pack

        log.info("%s: loading %s", self.name, place)
        source, device = self.checkpoint.as_source(), str(device_of(self.device))
        model: SentenceTransformer = load_sentence_transformer(source, "SentenceTransformer", device)
        if self.max_length is not None:
            transformer: Any = model[0]
            if hasattr(transformer, "model"):
                check_length(transformer.model, f"retrievers.{self.name}.max_length", self.max_length, repr(place))
            model.max_seq_length = self.max_length
        if device == "cpu":
            pack(model)
        return model.eval()

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return token_counts(self.model.tokenizer, texts, self.model.max_seq_length)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encoded(self.model.encode_document, texts, self.passage_prompt, len(texts))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encoded(self.model.encode_query, texts, self.query_prompt, QUERIES_PER_BATCH)

    def _encoded(self, encode: Any, texts: Sequence[str], prompt: str | None, batch_size: int) -> NDArray[np.float32]:
        vectors = encode(
            list(texts),
            prompt=prompt,
            batch_size=batch_size,
            normalize_embeddings=self.normalise,
            show_progress_bar=False,
        )
        return np.asarray(vectors, np.float32)

    def compares_by_cosine(self) -> bool:
        similarity = self.similarity or str(self.model.similarity_fn_name)
        if similarity not in SIMILARITIES:
            raise ExperimentError(
                f"retrievers.{self.name}.similarity: the model's own is {similarity!r}; set {' or '.join(SIMILARITIES)}"
            )
        return similarity == "cosine"
