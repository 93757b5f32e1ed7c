"""Retrieve with TCT-ColBERT (Lin, Yang and Lin 2020, 2021): single vectors distilled from ColBERT, as in Pyserini.

Shapes: B texts, L tokens of the longest, D dimensions.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.pretrained.checkpoint import Checkpoint, device_of, token_counts, versions
from experiments.retrieval.vector_search import SingleVectorRetriever

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

QUERY_TOKENS = 36  # padded with [MASK], which are attended to
MARKER_TOKENS = 4  # "[CLS] [Q] " or "[CLS] [D] ": [CLS], [, q or d, ]; left out of the mean


class TctColBERT(SingleVectorRetriever):
    """TCT-ColBERT: the mean of the last hidden states after the marker, compared by inner product.

    ``max_length``: tokens of a passage, marker included. See ``Dense`` for the other settings and the errors.
    """

    def __init__(
        self,
        checkpoint: str | None = "castorini/tct_colbert-v2-hnp-msmarco",
        revision: str | None = None,
        max_length: int = 512,
        index: str = "exact",
        faiss_factory: str = "HNSW32",
        tokens_per_batch: int | None = None,
        device: str = "auto",
        name: str = "tct_colbert",
    ) -> None:
        if max_length <= MARKER_TOKENS:
            raise ExperimentError(f"retrievers.{name}.max_length is {max_length}: it must be above {MARKER_TOKENS}")
        place = Checkpoint(checkpoint, revision, f"retrievers.{name}")
        super().__init__(place, index, faiss_factory, tokens_per_batch, device, name)
        self.max_length = max_length

    def fingerprint(self) -> Mapping[str, Any]:
        return {"retriever": "tct_colbert 1", **self.passage_fingerprint(), **self.index_fingerprint()}

    def passage_fingerprint(self) -> Mapping[str, Any]:
        return {
            "encoder": "tct_colbert",
            "checkpoint": self.checkpoint.content(),
            "max_length": self.max_length,
            **versions(),
        }

    @cached_property
    def _loaded(self) -> tuple["PreTrainedTokenizerBase", "PreTrainedModel"]:
        source = self.checkpoint.as_source()
        from experiments.pretrained.encoder import load_encoder
        from experiments.pretrained.limits import check_length, check_vocabulary

        log.info("%s: loading %s", self.name, source.place)
        network, tokenizer = load_encoder(source)
        check_length(network, f"retrievers.{self.name}.max_length", self.max_length, repr(source.place))
        check_vocabulary(network, tokenizer, source.label)
        return tokenizer, network.to(device_of(self.device))  # type: ignore[arg-type]

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return token_counts(self._loaded[0], [f"[CLS] [D] {text}" for text in texts], self.max_length)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encode([f"[CLS] [D] {text}" for text in texts], self.max_length)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        filled = [f"[CLS] [Q] {text}" + "[MASK]" * QUERY_TOKENS for text in texts]
        per_batch = max(1, self.tokens_per_batch // QUERY_TOKENS)
        batches = [filled[start : start + per_batch] for start in range(0, len(filled), per_batch)]
        return np.concatenate([self._encode(batch, QUERY_TOKENS) for batch in batches])

    def _encode(self, texts: list[str], max_length: int) -> NDArray[np.float32]:
        import torch

        tokenizer, network = self._loaded
        inputs = tokenizer(
            texts, add_special_tokens=False, truncation=True, max_length=max_length, padding=True, return_tensors="pt"
        ).to(network.device)
        with torch.inference_mode():
            vectors_BD = mean_after_marker(network(**inputs).last_hidden_state, inputs["attention_mask"])
        return np.asarray(vectors_BD.cpu().numpy(), np.float32)


def mean_after_marker(states_BLD: "Tensor", mask_BL: "Tensor") -> "Tensor":
    """Average the states of each text's own tokens: (B, D); zeros for an empty text."""
    own_BL1 = mask_BL[:, MARKER_TOKENS:, None].to(states_BLD.dtype)
    return (states_BLD[:, MARKER_TOKENS:] * own_BL1).sum(1) / own_BL1.sum(1).clamp(min=1)
