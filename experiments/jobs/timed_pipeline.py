"""A dual encoder as the first stage and a cross-encoder behind it: quality and time of the whole, a query at a time."""

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

TIMED = 50  # queries that the time is taken of


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
    """Measures and milliseconds a query of a dual encoder alone, and of a cross-encoder that re-ranks its best
    ``depth``.

    ``queries``: rows, ascending; ``relevance``: query row -> passage row -> grade. The passages' vectors are there
    before the clock starts; it counts encoding the query, searching all passages, and scoring the pairs, over a batch
    of at most ``TIMED`` queries.
    """
    run = run_for(first, collection, queries, depth, cache)
    scorer = load_scorer(cross_encoder, "model.cross_encoder")
    owners = np.repeat(run.queries, run.passages.lengths)
    scores = scorer.score(collection, owners, np.asarray(run.passages.values), cache)
    reranked, ties = rerank(run, scores, f"{first.name}+cross_encoder")
    some = queries[:TIMED]
    began = time.perf_counter()
    timed = first.retrieve(collection, some, depth, cache)
    searched = time.perf_counter()
    scorer.computed(
        collection, np.repeat(timed.queries, timed.passages.lengths), np.asarray(timed.passages.values), cache
    )
    ended = time.perf_counter()
    alone = 1000 * (searched - began) / len(some)
    both = 1000 * (ended - began) / len(some)
    return {
        "depth": depth,
        first.name: {**evaluate(run, relevance, measures).mean, "ms_per_query": alone},
        f"{first.name}+cross_encoder": {
            **evaluate(reranked, relevance, measures).mean,
            "ms_per_query": both,
            "ties": ties,
        },
    }
