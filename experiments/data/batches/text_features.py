"""Cache the input features of a sentence-transformers encoder for every text, memory-mapped.

The library's own ``preprocess`` makes them once: markers, special tokens, truncation, query expansion.

Shapes: B texts of a batch, L tokens of the longest of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.common.cache import Cache
from experiments.common.packages import version
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.ragged_files import Part, write_ragged
from experiments.data.tokens import tokenizer_fingerprint

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

    Encoder = MultiVectorEncoder | SentenceTransformer

TASKS = {"queries": "query", "passages": "document"}
EXPANSION = "query_expansion_positions"  # the library's name for tokens that were added to a query
CHUNK = 512  # texts tokenised together


@dataclass(frozen=True)
class TextFeatures:
    """Tokens of all texts of a kind, special tokens included.

    ``ids``: ragged token ids. ``expansion``: ragged, true at query expansion tokens; None without expansion.
    ``attended``: whether other tokens attend to these.
    """

    ids: Ragged
    expansion: Ragged | None
    pad_token_id: int
    attended: bool

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) the number of tokens of each text."""
        return self.ids.lengths_of(rows)

    def batch(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return the features of texts, (B, L) each, padded on the right as by the library's ``preprocess``."""
        lengths_B = self.lengths(rows)
        shape = (len(rows), int(lengths_B.max()))
        real_BL = np.arange(shape[1]) < lengths_B[:, None]
        ids_BL = np.full(shape, self.pad_token_id, np.int64)
        ids_BL[real_BL] = np.concatenate([self.ids[row] for row in rows])
        features = {"input_ids": torch.from_numpy(ids_BL), "attention_mask": torch.from_numpy(real_BL.astype(np.int64))}
        if self.expansion is not None:
            added_BL = np.zeros(shape, np.int64)
            added_BL[real_BL] = np.concatenate([self.expansion[row] for row in rows])
            features[EXPANSION] = torch.from_numpy(added_BL.astype(bool))
            if not self.attended:
                features["attention_mask"] = torch.from_numpy((real_BL & (added_BL == 0)).astype(np.int64))
        return features


def features_of(collection: Collection, kind: str, encoder: "Encoder", cache: Cache) -> TextFeatures:
    """Return an encoder's features of all ``queries`` or ``passages`` of a collection, built into the cache once."""
    transformer: Any = encoder[0]
    expansion = transformer.query_expansion if kind == "queries" else None
    key = {
        "format": 1,
        "library": version("sentence-transformers"),
        "collection": collection.fingerprint,
        "kind": kind,
        "tokenizer": tokenizer_fingerprint(encoder.tokenizer),
        "prompt": encoder.prompts.get(TASKS[kind]),
        "length": transformer.query_length if kind == "queries" else transformer.document_length,
        "longest": transformer.max_seq_length,
        "expansion": expansion,
    }
    folder = cache.get("features", key, lambda target: _preprocess(collection, kind, encoder, target), resumable=True)
    offsets, ids, added = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("offsets", "ids", "added"))
    return TextFeatures(
        Ragged(ids, offsets),
        Ragged(added, offsets) if expansion is not None else None,
        int(encoder.tokenizer.pad_token_id or 0),
        bool(expansion and expansion["attend"]),
    )


def _preprocess(collection: Collection, kind: str, encoder: "Encoder", folder: Path) -> None:
    table = collection.passages if kind == "passages" else collection.queries

    def parts_from(first: int) -> Iterator[Part]:
        with tracked(f"tokenising {len(table):,} {kind} for the encoder", len(table), first) as advance:
            for texts in table.text_batches(first):
                for start in range(0, len(texts), CHUNK):
                    chunk = texts[start : start + CHUNK]
                    features = encoder.preprocess(chunk, prompt=encoder.prompts.get(TASKS[kind]), task=TASKS[kind])
                    ids, added, lengths = _rows(features)
                    yield lengths, {"ids": ids, "added": added}
                    advance(len(chunk))

    write_ragged(folder, {"ids": np.int32, "added": np.uint8}, parts_from)


def _rows(features: Mapping[str, Tensor]) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Return a batch's ids and expansion flags without padding, flat, and the lengths."""
    ids_BL, attended_BL = features["input_ids"].numpy(), features["attention_mask"].numpy().astype(bool)
    added_BL = features[EXPANSION].numpy().astype(bool) if EXPANSION in features else np.zeros_like(attended_BL)
    kept_BL = attended_BL | added_BL
    return ids_BL[kept_BL].astype(np.int32), added_BL[kept_BL].astype(np.uint8), kept_BL.sum(axis=1)
