"""Add the relevant passages that a first stage missed to its candidates: an oracle, so never the default."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Ragged
from experiments.data.run import Run


def with_gold(run: Run, relevant: Mapping[int, NDArray[np.int64]]) -> Run:
    """Append missing relevant passages to each ranking, each scored 1 below the one above; add missing queries."""
    queries = np.union1d(run.queries, np.fromiter(relevant, np.int64, len(relevant)))
    passages: list[NDArray[np.int64]] = []
    scores: list[NDArray[np.float32]] = []
    for query in queries.tolist():
        at = run.position(query)
        ranked = run.ranking(query)
        own_scores = run.scores[at] if at >= 0 else np.empty(0, np.float32)
        gold = relevant.get(query, np.empty(0, np.int64))
        missing = gold[~np.isin(gold, ranked)]
        floor = own_scores[-1] if len(own_scores) else np.float32(0)
        passages.append(np.concatenate([ranked, missing]))
        scores.append(np.concatenate([own_scores, floor - 1 - np.arange(len(missing), dtype=np.float32)]))
    return Run(run.name, queries, Ragged.of(passages, np.int64), Ragged.of(scores, np.float32))
