"""Make the filters of a rule from cached hashes, shingles and scores."""

from collections.abc import Iterable, Mapping

import numpy as np

from experiments.common.cache import Cache
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.run import Run
from experiments.negatives.copies import passage_hashes
from experiments.negatives.filters import (
    AnswersOfTwins,
    CandidateFilter,
    Copies,
    Margin,
    NearDuplicates,
    PairScores,
    ScoreBound,
)
from experiments.negatives.near_duplicates import passage_shingles
from experiments.negatives.twin_queries import TwinQueries


def make_filters(
    rule: NegativeRule,
    runs: Iterable[Run],
    relevant: Mapping[int, Rows],
    collection: Collection,
    cache: Cache,
    twins: TwinQueries | None = None,
    excluded: Mapping[int, Rows] | None = None,
) -> tuple[CandidateFilter, ...]:
    """Make the filters that ``rule.filter`` asks for, in the order of its keys.

    ``runs``: of the rule's sources over the training queries. ``relevant``: training query row -> rows of its
    positives. ``twins``: of all training queries, where ``relevant`` has only some; None to make them here.
    ``excluded``: training query row -> rows never drawn for it or a twin of it; None for ``relevant``.

    Raises:
        ExperimentError: see ``load_scorer``.
    """
    wanted = rule.filter
    filters: list[CandidateFilter] = []
    if wanted.copies:
        filters.append(Copies(passage_hashes(collection, cache), excluded or {}))
    if wanted.near_duplicate is not None:
        filters.append(NearDuplicates(passage_shingles(collection, cache), wanted.near_duplicate))
    if wanted.twin_query is not None:
        twins = twins if twins is not None else TwinQueries.of(collection, relevant if excluded is None else excluded)
        filters.append(AnswersOfTwins(twins, wanted.twin_query))
    scores = None
    if wanted.model:
        from experiments.models.pair_scorer import load_scorer

        queries, passages = pairs_to_compare(rule, list({run.name: run for run in runs}.values()), relevant)
        scores = PairScores.of(queries, passages, load_scorer(wanted.model).score(collection, queries, passages, cache))
    if wanted.absolute_margin is not None:
        filters.append(Margin(wanted.absolute_margin, False, scores))
    if wanted.relative_margin is not None:
        filters.append(Margin(wanted.relative_margin, True, scores))
    if wanted.min_score is not None:
        filters.append(ScoreBound(wanted.min_score, above=False))
    if wanted.max_score is not None:
        filters.append(ScoreBound(wanted.max_score, above=True))
    return tuple(filters)


def pairs_to_compare(rule: NegativeRule, runs: Iterable[Run], relevant: Mapping[int, Rows]) -> tuple[Rows, Rows]:
    """Return (P,) query and (P,) passage rows of all candidates and positives, each pair once, ascending."""
    runs = list(runs)
    rows = sorted(relevant)
    passages = [
        np.unique(np.concatenate([relevant[query], *(run.ranking(query)[rule.skip : rule.depth] for run in runs)]))
        for query in rows
    ]
    return np.repeat(np.array(rows, np.int64), [len(row) for row in passages]), np.concatenate(passages)
