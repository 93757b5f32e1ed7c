"""Passages that were judged and found not relevant, as a source of negatives. Shapes: Q queries."""

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
    """The passages judged below a grade, for the queries that have such: higher grades first, equal ones by a hash.

    ``below``: ``negatives.exclude_grade``, so that nothing is retrieved which is then left out. The qrels of all splits
    are read, since ``data.split`` and ``data.folds`` decide later which queries train. A ranking made from judgements
    is no first stage (``from_judgements``).
    """

    from_judgements = True

    def __init__(self, below: int = 1, name: str = "judged") -> None:
        self.name, self.below = name, below

    def fingerprint(self) -> Mapping[str, Any]:
        """The grade; the judgements are part of the collection's own fingerprint."""
        return {"retriever": "judged 1", "below": self.below}

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """The best ``depth`` judged passages of each query row, scored by grade; a query without any has no ranking."""
        grades = self._grades(collection, queries)
        found = [query for query in queries.tolist() if grades[query]]
        ids = collection.queries.ids(found)
        passages: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float32]] = []
        for query, query_id in zip(found, ids, strict=True):
            rows = np.array(list(grades[query]), np.int64)
            own = np.array(list(grades[query].values()), np.float32)
            order = np.lexsort((priorities(key_of("judged", query_id), rows), -own))[:depth]
            passages.append(rows[order])
            scores.append(own[order])
        return Run(self.name, np.array(found, np.int64), Ragged.of(passages, np.int64), Ragged.of(scores, np.float32))

    def _grades(self, collection: Collection, queries: NDArray[np.int64]) -> dict[int, dict[int, int]]:
        """Query row -> passage row -> grade below the limit, over all splits; a passage keeps its highest grade."""
        best: dict[int, dict[int, int]] = {query: {} for query in queries.tolist()}
        for split in collection.splits:
            qrels = collection.qrels(split)
            for place in np.flatnonzero(np.isin(qrels.queries, queries)).tolist():
                own = best[int(qrels.queries[place])]
                for row, grade in zip(qrels.passages[place].tolist(), qrels.grades[place].tolist(), strict=True):
                    own[row] = max(grade, own.get(row, grade))
        return {query: {row: grade for row, grade in own.items() if grade < self.below} for query, own in best.items()}
