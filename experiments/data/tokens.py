"""Cache the tokens of every passage and query per tokenizer, memory-mapped, without special tokens.

Pairs are joined from them (``experiments.data.batches.pairs``), so that every epoch, job and first stage reuses them.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from experiments.common.cache import Cache
from experiments.common.memory import notice_memory
from experiments.common.progress import tracked
from experiments.common.stage_rates import TOKENISE
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.ragged_files import Part, read_ragged, write_ragged


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash a tokenizer's vocabulary, merges, normalisation and added tokens."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    state = backend.to_str() if backend is not None else repr((tokenizer.get_vocab(), tokenizer.init_kwargs))
    return hashlib.sha256(state.encode()).hexdigest()[:16]


def tokens_of(
    collection: Collection,
    kind: str,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    cache: Cache,
    fingerprint: str | None = None,
    prompt: str = "",
) -> Ragged:
    """Return the first ``max_tokens`` token ids of every text: ragged, one row per passage or query row, memory-mapped.

    ``kind``: ``passages`` or ``queries``. ``fingerprint``: the tokenizer's, if already known. ``prompt``: written
    before every text.
    """
    key = {
        "format": 1,
        "collection": collection.fingerprint,
        "kind": kind,
        "tokenizer": fingerprint or tokenizer_fingerprint(tokenizer),
        "max_tokens": max_tokens,
        **({"prompt": prompt} if prompt else {}),
    }
    folder = cache.get(
        "tokens",
        key,
        lambda target: _tokenise(collection, kind, tokenizer, max_tokens, prompt, target),
        resumable=True,
    )
    return read_ragged(folder, "tokens")


def _tokenise(
    collection: Collection, kind: str, tokenizer: PreTrainedTokenizerBase, max_tokens: int, prompt: str, folder: Path
) -> None:
    table = collection.passages if kind == "passages" else collection.queries
    notice_memory(f"tokens of {kind}:", TOKENISE, len(table), table.size)
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.int32)

    def parts_from(first: int) -> Iterator[Part]:
        with tracked(f"tokenising {len(table):,} {kind}", len(table), first) as advance:
            for texts in table.text_batches(first):
                prompted = [prompt + text for text in texts] if prompt else texts
                rows = Ragged.of(_encode(tokenizer, prompted, max_tokens), dtype)
                yield rows.lengths, {"tokens": rows.values}
                advance(len(texts))

    write_ragged(folder, {"tokens": dtype}, parts_from)


def _encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int) -> list[list[int]]:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [tokenizer.encode(text, add_special_tokens=False)[:max_tokens] for text in texts]
    backend.no_truncation()
    backend.no_padding()
    return [encoding.ids[:max_tokens] for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]
