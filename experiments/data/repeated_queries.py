"""Find training queries with the text of a dev or test query, in folded case and with single spaces."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.data.collection import Collection


@dataclass(frozen=True)
class RepeatedQueries:
    """Queries of one split that repeat a query of another. ``rows``: their rows; ``example``: one of their texts."""

    rows: frozenset[int]
    example: str


def folded(text: str) -> str:
    """Return a text in folded case with single spaces."""
    return " ".join(text.casefold().split())


def repeated_in(collection: Collection, rows: Sequence[int], others: Iterable[int]) -> RepeatedQueries:
    """Find the query rows among ``rows`` with the text of a query among ``others``; empty texts repeat nothing."""
    texts = collection.queries.texts(list(others))
    known = {_digest(text) for text in texts if text.strip()}
    own = dict(zip(rows, collection.queries.texts(rows), strict=True))
    repeated = {row: text for row, text in own.items() if _digest(text) in known}
    return RepeatedQueries(frozenset(repeated), next(iter(repeated.values()), ""))


def _digest(text: str) -> bytes:
    """Hash a folded text to 16 bytes: a training split may have half a million."""
    return hashlib.blake2b(folded(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
