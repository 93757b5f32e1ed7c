"""How many drawn negatives look relevant: an audit of sources and depths before any training.

A false negative cannot be proved without a judge; what is counted here are suspicions that can be computed. They err in
both directions: two passages can share most of their words and answer different questions, and a scorer may be wrong.
The pairs that look worst are therefore listed with their texts, to be read.

Shapes: Q queries, N negatives a group, U different (query, negative) pairs of all draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeRule, sources_of
from experiments.data.collection import Collection
from experiments.data.ragged import Ragged, Rows
from experiments.data.run import Run
from experiments.evaluation.significance import Interval, paired_bootstrap
from experiments.negatives.audit_signals import AuditSignals, DrawnPairs, SignalThresholds, find_signals
from experiments.negatives.draw_log import ranks_of
from experiments.negatives.filters import CandidateFilter, PairScores
from experiments.negatives.sampler import NegativeSampler
from experiments.negatives.twin_queries import TwinQueries

Score = Callable[[Rows, Rows], NDArray[np.float32]]
Filters = Callable[[NegativeRule, Sequence[Run]], Sequence[CandidateFilter]]

SIGNS = ("exact_duplicate", "near_duplicate", "judged_relevant", "twin_query", "above_positive", "suspicious")
RESAMPLES = 10_000


@dataclass(frozen=True)
class AuditInput:
    """What is audited. ``relevant``: training query row -> rows of its positives. ``judged``: query row -> passage row
    -> grade, all judgements. ``runs``: by source name, over the training queries, at least as deep as the depths.
    ``shingles``: of every passage row (``passage_shingles``). ``twins``: of all training queries, even those that are
    not in ``relevant``. ``excluded``: training query row -> rows that are never drawn for it besides its positives.
    """

    collection: Collection
    relevant: Mapping[int, Rows]
    judged: Mapping[int, Mapping[int, int]]
    runs: Mapping[str, Run]
    shingles: Ragged
    twins: TwinQueries
    excluded: Mapping[int, Rows] | None = None


@dataclass(frozen=True)
class Cell:
    """The negatives of one epoch from one source to one depth.

    ``queries``: that were drawn for; ``left_out``: that could not be. ``drawn``: negatives; ``distinct``: passages
    among them. ``counts``: sign -> how many negatives bear it; ``shares``: sign -> their share of a query's negatives,
    mean over queries, with its 95 % bootstrap interval over queries. ``score_gap``: the best positive's score less the
    negative's, mean, likewise; None without scores, as is ``above_positive``.
    """

    source: str
    depth: int
    queries: int
    left_out: int
    drawn: int
    distinct: int
    counts: Mapping[str, int]
    shares: Mapping[str, Interval]
    score_gap: Interval | None


@dataclass(frozen=True)
class WorstPair:
    """A drawn negative that looks relevant. ``rank``: in the run of ``source``, that it was drawn from, 1 is the top.
    ``signs``: what speaks against it. ``positive``: the text of the positive that is most alike; ``similarity``: how
    much. ``twin``: the text of the twin query that the negative answers; None if there is none. The scores are those of
    the negative and of the best-scored positive; None without a scorer.
    """

    query_id: str
    negative_id: str
    query: str
    twin: str | None
    positive: str
    negative: str
    signs: tuple[str, ...]
    similarity: float
    negative_score: float | None
    positive_score: float | None
    source: str
    rank: int


@dataclass(frozen=True)
class FalseNegativeAudit:
    """The outcome. ``cells``: in the order of sources and depths. ``worst``: most suspicious first, at most one a
    query. The other fields say what was asked for.
    """

    cells: tuple[Cell, ...]
    worst: tuple[WorstPair, ...]
    data: str
    count: int
    near_duplicate: float
    twin_query: float
    margin: float | None
    scorer: str | None


@dataclass(frozen=True)
class _Drawn:
    """The draws of one cell. ``queries_Q``, ``negatives_QN``: rows. ``names_QN``: the source of each."""

    source: str
    depth: int
    left_out: int
    queries_Q: Rows
    negatives_QN: Rows
    names_QN: NDArray[np.str_]


def audit_negatives(
    given: AuditInput,
    rule: NegativeRule,
    *,
    sources: Sequence[str],
    depths: Sequence[int],
    near_duplicate: float,
    twin_query: float,
    seed: int = 1,
    filters: Filters | None = None,
    score: Score | None = None,
    scorer: str | None = None,
    margin: float = 0.0,
    worst: int = 20,
) -> FalseNegativeAudit:
    """Draw one epoch of negatives for each source and depth, and look for what may be relevant among them.

    ``rule``: everything but the source and the depth; where it says ``short: error``, short queries are left out and
    counted instead. ``sources``: names of runs, or mixtures such as ``bm25+colbert``. ``near_duplicate`` and
    ``twin_query``: the least similarities that count, to a positive and of two queries. ``filters``: makes the filters
    of a rule over some runs, if the rule has any. ``score``: of query rows (P,) and passage rows (P,), the scores (P,)
    of a model, called ``scorer`` in reports. A negative is above the positive if its score exceeds the best-scored
    positive's less ``margin``.

    Raises:
        ExperimentError: a source without a run, a depth that the rule cannot have, no query left.
    """
    if not sources or not depths:
        raise ExperimentError("an audit needs at least one source and one depth")
    drawn = [
        _draw(given, replace(rule, source=source, depth=depth), seed, filters) for source in sources for depth in depths
    ]
    pairs = DrawnPairs.of([(one.queries_Q, one.negatives_QN) for one in drawn], len(given.collection.passages))
    scores = _scores_of(pairs, given.relevant, score) if score is not None else None
    limits = SignalThresholds(near_duplicate, twin_query, margin)
    found = find_signals(
        pairs, given.collection, given.relevant, given.judged, given.shingles, given.twins, scores, limits
    )
    return FalseNegativeAudit(
        cells=tuple(_cell(one, pairs, found) for one in drawn),
        worst=_worst(drawn, given, pairs, found, worst),
        data=given.collection.name,
        count=rule.count,
        near_duplicate=near_duplicate,
        twin_query=twin_query,
        margin=margin if score is not None else None,
        scorer=scorer if score is not None else None,
    )


def _draw(given: AuditInput, rule: NegativeRule, seed: int, filters: Filters | None) -> _Drawn:
    names = sources_of(rule.source)
    missing = [name for name in names if name not in given.runs]
    if missing:
        raise ExperimentError(f"there is no run of {missing[0]!r} to audit; there are {', '.join(given.runs)}")
    runs = [replace(given.runs[name], name=name) for name in names]
    if rule.short == "error":
        rule = replace(rule, short="drop")
    sampler = NegativeSampler(
        rule,
        runs,
        given.relevant,
        given.collection,
        seed,
        filters(rule, runs) if filters is not None else (),
        given.excluded,
    )
    groups = [sampler.drawn(int(query), 0) for query in sampler.queries]
    return _Drawn(
        source=rule.source,
        depth=rule.depth,
        left_out=len(given.relevant) - len(sampler.queries),
        queries_Q=sampler.queries,
        negatives_QN=np.stack([negatives for negatives, _ in groups]),
        names_QN=np.array(sampler.sources)[np.stack([sources for _, sources in groups])],
    )


def _scores_of(pairs: DrawnPairs, relevant: Mapping[int, Rows], score: Score) -> PairScores:
    """Scores of all drawn pairs and of the positives of their queries."""
    queries = np.unique(pairs.queries_U)
    positives = [relevant[int(query)] for query in queries]
    every = np.concatenate([pairs.queries_U, np.repeat(queries, [len(one) for one in positives])])
    passages = np.concatenate([pairs.negatives_U, *positives])
    return PairScores.of(every, passages, score(every, passages))


def _cell(one: _Drawn, pairs: DrawnPairs, found: AuditSignals) -> Cell:
    places_QN = pairs.places(one.queries_Q, one.negatives_QN)
    signs = {name: getattr(found, name) for name in SIGNS}
    bears = {name: sign_U[places_QN] for name, sign_U in signs.items() if sign_U is not None}
    gap = None
    if found.score_U is not None and found.best_U is not None:
        gap = paired_bootstrap((found.best_U - found.score_U)[places_QN].mean(axis=1))
    return Cell(
        source=one.source,
        depth=one.depth,
        queries=len(one.queries_Q),
        left_out=one.left_out,
        drawn=one.negatives_QN.size,
        distinct=len(np.unique(one.negatives_QN)),
        counts={name: int(sign_QN.sum()) for name, sign_QN in bears.items()},
        shares={name: share_interval(sign_QN) for name, sign_QN in bears.items()},
        score_gap=gap,
    )


def share_interval(sign_QN: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The share of negatives that bear a sign, with its 95 % percentile bootstrap interval over queries.

    A query bears 0 to N signs; so a resample of the queries is one draw of how many queries bear how many, which is
    multinomial. That is the bootstrap itself, not an approximation, at the cost of N + 1 numbers a resample.
    """
    queries, count = sign_QN.shape
    how_many = np.bincount(sign_QN.sum(axis=1), minlength=count + 1)
    drawn = np.random.default_rng(seed).multinomial(queries, how_many / queries, size=resamples)
    means = drawn @ (np.arange(count + 1) / count) / queries
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sign_QN.mean()), float(low), float(high))


def _worst(
    drawn: Sequence[_Drawn], given: AuditInput, pairs: DrawnPairs, found: AuditSignals, limit: int
) -> tuple[WorstPair, ...]:
    source_U = np.full(len(pairs), "", dtype=object)
    for one in reversed(drawn):  # the first cell that drew a pair names its source
        source_U[pairs.places(one.queries_Q, one.negatives_QN)] = one.names_QN
    chosen: list[int] = []
    seen: set[int] = set()
    for place in found.order().tolist():
        if len(chosen) == limit or not found.suspicious[place]:
            break
        query = int(pairs.queries_U[place])
        if query not in seen:
            seen.add(query)
            chosen.append(place)
    return tuple(_pair(place, given, pairs, found, str(source_U[place])) for place in chosen)


def _pair(place: int, given: AuditInput, pairs: DrawnPairs, found: AuditSignals, source: str) -> WorstPair:
    query, negative = int(pairs.queries_U[place]), int(pairs.negatives_U[place])
    queries, passages = given.collection.queries, given.collection.passages
    signs = {name: getattr(found, name) for name in SIGNS if name != "suspicious"}
    return WorstPair(
        query_id=queries.id(query),
        negative_id=passages.id(negative),
        query=queries.text(query),
        twin=queries.text(int(found.twin_U[place])) if found.twin_query[place] else None,
        positive=passages.text(int(found.nearest_U[place])),
        negative=passages.text(negative),
        signs=tuple(name for name, sign_U in signs.items() if sign_U is not None and sign_U[place]),
        similarity=float(found.similarity_U[place]),
        negative_score=None if found.score_U is None else float(found.score_U[place]),
        positive_score=None if found.best_U is None else float(found.best_U[place]),
        source=source,
        rank=int(ranks_of(given.runs[source], query, np.array([negative]))[0]),
    )
