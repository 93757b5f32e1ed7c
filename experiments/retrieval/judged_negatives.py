"""Use passages that were judged not relevant as a source of negatives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.random_keys import key_of, priorities
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.run import Run


class JudgedNegatives:
    """Rank the passages judged below a grade: higher grades first, ties by a hash.

    ``below``: ``negatives.exclude_grade``. The qrels of all splits are read, since ``data.split`` and ``data.folds``
    choose training queries later. A ranking from judgements is no first stage (``from_judgements``).
    """

    from_judgements = True

    def __init__(self, below: int = 1, name: str = "judged") -> None:
        self.name, self.below = name, below

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the grade; the collection's fingerprint covers the judgements."""
        return {"retriever": "judged 1", "below": self.below}

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the best ``depth`` judged passages of each query row, by grade; others are left out."""
        grades = self._grades(collection, queries)
        judged = [query for query in queries.tolist() if grades[query]]
        passages: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float32]] = []
        for query, query_id in zip(judged, collection.queries.ids(judged), strict=True):
            rows = np.array(list(grades[query]), np.int64)
            own = np.array(list(grades[query].values()), np.float32)
            order = np.lexsort((priorities(key_of("judged", query_id), rows), -own))[:depth]
            passages.append(rows[order])
            scores.append(own[order])
        return Run(self.name, np.array(judged, np.int64), Ragged.of(passages, np.int64), Ragged.of(scores, np.float32))

    def _grades(self, collection: Collection, queries: NDArray[np.int64]) -> dict[int, dict[int, int]]:
        """Map query row -> passage row -> highest grade of all splits, if below the limit."""
        best: dict[int, dict[int, int]] = {query: {} for query in queries.tolist()}
        for split in collection.splits:
            qrels = collection.qrels(split)
            for place in np.flatnonzero(np.isin(qrels.queries, queries)).tolist():
                own = best[int(qrels.queries[place])]
                for row, grade in zip(qrels.passages[place].tolist(), qrels.grades[place].tolist(), strict=True):
                    own[row] = max(grade, own.get(row, grade))
        return {query: {row: grade for row, grade in own.items() if grade < self.below} for query, own in best.items()}
