"""Measure runs per query through ir-measures, safe against ties.

ir-measures sends RR@10 to a provider that orders equal scores by ascending id, and RR and nDCG to one that orders them
descending: the same tied run scores 0.5 and 1.0, and a model with one score for all passages can seem perfect. Here
rankings are strict: equal scores keep the first stage's order, and their number is reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.ragged import Ragged
from experiments.data.run import Run
from experiments.evaluation.measure_names import parse

QUERIES_AT_ONCE = 500  # whose rankings are dictionaries, of some 100 bytes a passage


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run. ``per_query``: measure -> (Q,) values in the order of ``queries``; ``mean``: their means."""

    queries: NDArray[np.int64]
    per_query: Mapping[str, NDArray[np.float64]]

    @property
    def mean(self) -> dict[str, float]:
        return {name: float(values.mean()) for name, values in self.per_query.items()}


def evaluate(run: Run, relevance: Mapping[int, Mapping[int, int]], names: Sequence[str]) -> Evaluation:
    """Score a run query by query.

    ``relevance``: query row -> passage row -> grade, for every query that counts; one missing in the run scores 0.
    ``names``: the measures, resolved (``measure_names.resolve``).

    Raises:
        ExperimentError: there is no query; see ``parse``.
    """
    import ir_measures

    measures = parse(names)
    if not relevance:
        raise ExperimentError(f"there is no judged query to compute {', '.join(names)} on: check the qrels")
    queries = np.array(sorted(relevance), np.int64)
    values = {name: np.zeros(len(queries)) for name in names}
    by_measure = dict(zip(measures, names, strict=True))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = queries[start : start + QUERIES_AT_ONCE].tolist()
        position = {str(query): start + i for i, query in enumerate(part)}
        qrels = {str(query): {str(p): int(grade) for p, grade in relevance[query].items()} for query in part}
        ranked = {str(query): _by_rank(run.ranking(query)) for query in part if run.position(query) >= 0}
        for scored in ir_measures.iter_calc(measures, qrels, ranked):
            values[by_measure[scored.measure]][position[scored.query_id]] = scored.value
    return Evaluation(queries, values)


def _by_rank(passages: NDArray[np.int64]) -> dict[str, float]:
    """Map each passage to minus its rank, a score that any evaluator orders as the run."""
    return {str(passage): float(-rank) for rank, passage in enumerate(passages.tolist())}


def rerank(first_stage: Run, scores: NDArray[np.float32], name: str) -> tuple[Run, int]:
    """Re-rank a first stage by a model's scores; return the run and the number of ties.

    ``scores``: one float32 for each entry of ``first_stage.passages.values``. Equal scores keep the first stage's
    order; a tie is a passage whose score equals that of the passage ranked right above it.

    Raises:
        ExperimentError: a score is not a finite number.
    """
    if bad := np.count_nonzero(~np.isfinite(scores)):
        raise ExperimentError(
            f"the model gave {bad:,} of {len(scores):,} pairs no finite score: training diverged, lower optimizer.lr"
        )
    offsets = first_stage.passages.offsets
    query_of = np.repeat(np.arange(len(first_stage)), first_stage.passages.lengths)
    order = np.lexsort((np.arange(len(scores)), -scores, query_of))
    ranked, owner = scores[order], query_of[order]
    ties = int(((ranked[1:] == ranked[:-1]) & (owner[1:] == owner[:-1])).sum())
    passages = Ragged(np.asarray(first_stage.passages.values)[order], offsets)
    return Run(name, first_stage.queries, passages, Ragged(ranked, offsets)), ties
