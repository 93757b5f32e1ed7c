"""Choose among the positives of a query: those that have a text, one at a time."""

from collections.abc import Mapping

import numpy as np

from experiments.common.random_keys import key_of, shuffled
from experiments.data.collection import Collection
from experiments.data.ragged import Rows

TEXTS_AT_ONCE = 20_000


def without_text(relevant: Mapping[int, Rows], collection: Collection) -> Rows:
    """Return the rows of the positives without text, which cannot be trained on."""
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *relevant.values()]))
    empty: list[int] = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        part = rows[start : start + TEXTS_AT_ONCE]
        texts = collection.passages.texts(part)
        empty += [row for row, text in zip(part.tolist(), texts, strict=True) if not text.strip()]
    return np.array(empty, np.int64)


def positive_of(positives: Rows, seed: int, query_id: str, epoch: int) -> int:
    """Return a query's positive at an epoch; several positives take turns in a random order."""
    order = shuffled(key_of("positive", seed, query_id), positives)
    return int(order[epoch % len(order)])
