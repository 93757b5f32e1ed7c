"""Samplers of literal runs, and runs with literal scores."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged
from experiments.data.run import Run
from experiments.negatives.filters import CandidateFilter, PairScores
from experiments.negatives.sampler import NegativeSampler


def scored_run(scores: Mapping[int, Mapping[int, float]], name: str = "first") -> Run:
    """A run from query row -> passage row -> score, written best first."""
    queries = np.array(sorted(scores), np.int64)
    ranked = [scores[query] for query in queries.tolist()]
    passages = Ragged.of([list(own) for own in ranked], np.int64)
    return Run(name, queries, passages, Ragged.of([list(own.values()) for own in ranked], np.float32))


def sampler_of(
    collection: Collection,
    rule: NegativeRule,
    runs: Sequence[Run],
    relevant: Mapping[int, Sequence[int]] | None = None,
    seed: int = 1,
    filters: Sequence[CandidateFilter] = (),
    scores: PairScores | None = None,
) -> NegativeSampler:
    positives = {query: np.array(rows) for query, rows in (relevant or {0: [0]}).items()}
    return NegativeSampler(rule, runs, positives, collection, seed, filters, scores=scores)
