"""Embed tokens with a late-interaction checkpoint through sentence-transformers' ``MultiVectorEncoder``.

Shapes: B texts, L tokens of the longest, T vectors of all texts, D dimensions.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Ragged
from experiments.pretrained.checkpoint import (
    Checkpoint,
    check_projection,
    device_of,
    token_budget,
    token_counts,
    versions,
)

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

log = logging.getLogger(__name__)

USUAL_QUERY_LENGTH = 32  # of ColBERT, for an expansion without a length


@dataclass(frozen=True)
class Settings:
    """Replacements of a checkpoint's settings; None keeps the checkpoint's.

    ``query_length``, ``document_length``: tokens with special ones and markers. ``query_expansion``: whether queries
    are padded with [MASK] to their length. ``query_marker``, ``document_marker``: prefix of texts.
    """

    query_length: int | None = None
    document_length: int | None = None
    query_expansion: bool | None = None
    query_marker: str | None = None
    document_marker: str | None = None


class LateInteractionEncoder:
    """Encode texts into one vector a token, with a model in the format of ``MultiVectorEncoder``, PyLate or ColBERT."""

    dtype = np.float16

    def __init__(
        self, checkpoint: Checkpoint, settings: Settings, tokens_per_batch: int | None, device: str, name: str
    ) -> None:
        self.checkpoint, self.settings, self.name, self._device = checkpoint, settings, name, device
        self._tokens_per_batch = tokens_per_batch

    @cached_property
    def tokens_per_batch(self) -> int:
        return token_budget(self._tokens_per_batch, device_of(self._device))

    def fingerprint(self) -> Mapping[str, Any]:
        """Return everything that decides the vectors of queries and passages."""
        return {"precision": "float32", "checkpoint": self.checkpoint.content(), **asdict(self.settings), **versions()}

    def passage_fingerprint(self) -> Mapping[str, Any]:
        of_queries = ("query_length", "query_expansion", "query_marker")
        return {key: value for key, value in self.fingerprint().items() if key not in of_queries}

    @cached_property
    def model(self) -> "MultiVectorEncoder":
        """Loaded checkpoint with the settings applied.

        Raises:
            ExperimentError: it cannot be loaded, has no projection, or has too few positions.
        """
        check_projection(self.checkpoint)
        from experiments.pretrained.encoder import load_sentence_transformer
        from experiments.pretrained.limits import check_length
        from experiments.pretrained.packed_encoding import pack

        log.info("%s: loading %s", self.name, self.checkpoint.place)
        source, device = self.checkpoint.as_source(), str(device_of(self._device))
        model: MultiVectorEncoder = load_sentence_transformer(source, "MultiVectorEncoder", device)
        with source.reading():
            _set_lengths(model[0], self.settings)
        network, prefix = getattr(model[0], "model", None), self.checkpoint.key.removesuffix("checkpoint")
        for key in ("query_length", "document_length"):
            length = getattr(self.settings, key)
            if length and network is not None:
                check_length(network, prefix + key, length, repr(self.checkpoint.place))
        _set_markers(model, self.settings)
        if device == "cpu":
            pack(model)
        return model.eval()

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        most = getattr(self.model[0], "document_length", None) or self.model.max_seq_length
        return token_counts(self.model.tokenizer, texts, most)

    def encode_passages(self, texts: Sequence[str]) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
        """Return float16 vectors (T, D) of the passages' scored tokens, and their number (B,) for each passage.

        Same as ``MultiVectorEncoder.encode_document``, but copied from the device in one piece. A passage without
        scored tokens has one vector of zeros.
        """
        import torch
        from sentence_transformers.util import batch_to_device

        model = self.model
        prompt = next((model.prompts[key] for key in ("document", "passage", "corpus") if key in model.prompts), None)
        with torch.inference_mode():
            features = batch_to_device(model.preprocess(list(texts), prompt=prompt, task="document"), model.device)
            features = model(features, task="document")
            vectors_BLD, scored_BL = features["token_embeddings"], features["attention_mask"].bool()
            empty_B = ~scored_BL.any(1)
            if empty_B.any():
                vectors_BLD[empty_B] = 0
                scored_BL[empty_B, 0] = True
            vectors_TD = vectors_BLD[scored_BL].half().cpu().numpy()
        return vectors_TD, scored_BL.sum(1).cpu().numpy()

    def encode_queries(self, texts: Sequence[str]) -> Ragged:
        """Return ragged rows of (tokens, D) float32, one a query; for ``meanmaxsim`` divided by the query's tokens."""
        rows: Any = self.model.encode_query(
            list(texts),
            batch_size=max(1, self.tokens_per_batch // USUAL_QUERY_LENGTH),
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        if self.model.similarity_fn_name == "meanmaxsim":
            rows = [row / max(1, len(row)) for row in rows]
        return Ragged.of(list(rows), np.float32)


def _set_lengths(transformer: Any, settings: Settings) -> None:
    own = transformer.query_expansion
    if settings.document_length is not None:
        transformer.document_length = settings.document_length
    transformer.query_expansion = None  # first, because it may not be longer than query_length
    length = settings.query_length or (own["length"] if own is not None else transformer.query_length)
    if settings.query_expansion is False or (own is None and settings.query_expansion is None):
        transformer.query_length = length
        return
    expansion = {**(own or {"strategy": "fixed", "attend": False}), "length": length or USUAL_QUERY_LENGTH}
    if transformer.query_length is not None:
        transformer.query_length = max(transformer.query_length, expansion["length"])
    transformer.query_expansion = expansion


def _set_markers(model: "MultiVectorEncoder", settings: Settings) -> None:
    """Set markers as prompts; keep a marker in the vocabulary as one token."""
    from transformers import AddedToken

    markers = {"query": settings.query_marker, "document": settings.document_marker}
    vocabulary = model.tokenizer.get_vocab()
    for task, marker in markers.items():
        if marker is None:
            continue
        model.prompts[task] = f"{marker} " if marker else ""
        if marker in vocabulary and model.tokenizer.tokenize(marker) != [marker]:
            model.tokenizer.add_tokens([AddedToken(marker, normalized=False, special=True)], special_tokens=True)
