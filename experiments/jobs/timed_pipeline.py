"""Measure the quality and the time per query of a dual encoder followed by a cross-encoder."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.data.collection import Collection
from experiments.evaluation.measures import evaluate, rerank
from experiments.models.pair_scorer import load_scorer
from experiments.retrieval.retriever import Retriever, run_for

TIMED = 50  # queries that are timed


def pipeline(
    first: Retriever,
    cross_encoder: str,
    collection: Collection,
    queries: NDArray[np.int64],
    relevance: Mapping[int, Mapping[int, int]],
    measures: Sequence[str],
    depth: int,
    cache: Cache,
) -> dict[str, Any]:
    """Return measures and milliseconds per query of a dual encoder, and of a cross-encoder that re-ranks its best
    ``depth`` passages.

    ``queries``: rows, ascending. ``relevance``: query row -> passage row -> grade. The time covers encoding the
    queries, the search and scoring, for at most ``TIMED`` queries; the passages are encoded before.
    """
    run = run_for(first, collection, queries, depth, cache)
    scorer = load_scorer(cross_encoder, "model.cross_encoder")
    owners = np.repeat(run.queries, run.passages.lengths)
    scores = scorer.score(collection, owners, np.asarray(run.passages.values), cache)
    reranked, ties = rerank(run, scores, f"{first.name}+cross_encoder")
    sample = queries[:TIMED]
    began = time.perf_counter()
    timed = first.retrieve(collection, sample, depth, cache)
    searched = time.perf_counter()
    owners = np.repeat(timed.queries, timed.passages.lengths)
    scorer.computed(collection, owners, np.asarray(timed.passages.values), cache)
    ended = time.perf_counter()
    alone = 1000 * (searched - began) / len(sample)
    both = 1000 * (ended - began) / len(sample)
    means = evaluate(reranked, relevance, measures).mean
    return {
        "depth": depth,
        first.name: {**evaluate(run, relevance, measures).mean, "ms_per_query": alone},
        f"{first.name}+cross_encoder": {**means, "ms_per_query": both, "ties": ties},
    }
