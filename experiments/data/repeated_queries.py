"""Training queries whose text is that of a dev or test query: what is learnt there is measured there.

Texts are compared in folded case with single spaces, as ``What is  BM25?`` and ``what is bm25?`` are one question.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.data.collection import Collection


@dataclass(frozen=True)
class RepeatedQueries:
    """The queries of one split that repeat a query of another. ``rows``: theirs; ``example``: such a text."""

    rows: frozenset[int]
    example: str


def folded(text: str) -> str:
    """A text as it is compared: in folded case, with single spaces."""
    return " ".join(text.casefold().split())


def repeated_in(collection: Collection, rows: Sequence[int], others: Iterable[int]) -> RepeatedQueries:
    """The query rows among ``rows`` whose text is also that of a query among ``others``. Empty texts repeat nothing."""
    texts = collection.queries.texts(list(others))
    known = {_digest(text) for text in texts if text.strip()}
    found = [
        (row, text) for row, text in zip(rows, collection.queries.texts(rows), strict=True) if _digest(text) in known
    ]
    return RepeatedQueries(frozenset(row for row, _ in found), found[0][1] if found else "")


def _digest(text: str) -> bytes:
    """As texts are compared, in 16 bytes: a training split may have half a million of them."""
    return hashlib.blake2b(folded(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
