"""Count drawn negatives that look relevant, by source and depth, before any training.

Signs prove nothing: similar passages can answer different questions, and a scorer may be wrong. So the most suspicious
pairs are listed with their texts. Shapes: Q queries, N negatives a group, U distinct (query, negative) pairs.
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
from experiments.data.whole_collection import WholeCollection
from experiments.evaluation.significance import Interval, paired_bootstrap
from experiments.negatives.audit_signals import AuditSignals, DrawnPairs, SignalThresholds, find_signals
from experiments.negatives.draws import ranks_of
from experiments.negatives.filters import CandidateFilter, PairScores
from experiments.negatives.sampler import NegativeSampler
from experiments.negatives.twin_queries import TwinQueries

Score = Callable[[Rows, Rows], NDArray[np.float32]]
Filters = Callable[[NegativeRule, Sequence[Run]], Sequence[CandidateFilter]]

SIGNS = ("exact_duplicate", "near_duplicate", "judged_relevant", "twin_query", "above_positive", "suspicious")
RESAMPLES = 10_000


@dataclass(frozen=True)
class AuditInput:
    """Data to audit. ``relevant``: training query row -> rows of its positives. ``judged``: query row -> passage row ->
    grade. ``runs``: by source name, over the training queries, as deep as the deepest depth. ``shingles``: of every
    passage row. ``twins``: of all training queries. ``excluded``: query row -> other rows that are never drawn for it.
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
    """Negatives of one epoch from one source to one depth.

    ``queries``: with negatives; ``left_out``: without. ``drawn``: negatives; ``distinct``: passages among them.
    ``counts``: sign -> negatives with it; ``shares``: sign -> their share of a query's negatives, mean and 95 %
    bootstrap interval over queries. ``score_gap``: the best positive's score minus the negative's, likewise; None
    without a scorer, like ``above_positive``.
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
    """A drawn negative that looks relevant. ``rank``: in the run of its ``source``, 1 is the top; None in a whole
    collection. ``positive``: text of the most similar positive; ``similarity``: to it. ``twin``: text of the twin
    query that the negative answers, or None. ``positive_score``: of the best-scored positive. Scores are None without a
    scorer.
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
    rank: int | None


@dataclass(frozen=True)
class FalseNegativeAudit:
    """Cells by source, then depth; the ``worst`` pairs, most suspicious first, at most one a query; the settings."""

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
    """Draws of one cell. ``queries_Q``, ``negatives_QN``: rows. ``names_QN``: source of each negative."""

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
    """Draw one epoch of negatives for each source and depth, and count those that may be relevant.

    ``rule``: all but the source and the depth; ``short: error`` is replaced by counting short queries as left out.
    ``sources``: names of runs, or mixtures such as ``bm25+colbert``. ``near_duplicate``, ``twin_query``, ``margin``:
    see ``SignalThresholds``. ``filters``: builds the filters of a rule over its runs. ``score``: returns a model's
    scores (P,) of query rows (P,) and passage rows (P,); reports call the model ``scorer``.

    Raises:
        ExperimentError: a source without a run, a depth that the rule cannot have, no query left.
    """
    if not sources or not depths:
        raise ExperimentError("an audit needs at least one source and one depth")
    rules = [replace(rule, source=source, depth=depth) for source in sources for depth in depths]
    draws = [_draw(given, cell_rule, seed, filters) for cell_rule in rules]
    pairs = DrawnPairs.of([(draw.queries_Q, draw.negatives_QN) for draw in draws], len(given.collection.passages))
    scores = None
    if score is not None:  # all drawn pairs and the positives of their queries
        audited = np.unique(pairs.queries_U)
        positives = [given.relevant[int(query)] for query in audited]
        queries = np.concatenate([pairs.queries_U, np.repeat(audited, [len(rows) for rows in positives])])
        passages = np.concatenate([pairs.negatives_U, *positives])
        scores = PairScores.of(queries, passages, score(queries, passages))
    limits = SignalThresholds(near_duplicate, twin_query, margin)
    signals = find_signals(
        pairs, given.collection, given.relevant, given.judged, given.shingles, given.twins, scores, limits
    )
    return FalseNegativeAudit(
        cells=tuple(_cell(draw, pairs, signals) for draw in draws),
        worst=_worst(draws, given, pairs, signals, worst),
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
    built = filters(rule, runs) if filters is not None else ()
    sampler = NegativeSampler(rule, runs, given.relevant, given.collection, seed, built, given.excluded)
    groups = [sampler.drawn(int(query), 0) for query in sampler.queries]
    return _Drawn(
        source=rule.source,
        depth=rule.depth,
        left_out=len(given.relevant) - len(sampler.queries),
        queries_Q=sampler.queries,
        negatives_QN=np.stack([negatives for negatives, _ in groups]),
        names_QN=np.array(sampler.sources)[np.stack([sources for _, sources in groups])],
    )


def _cell(draw: _Drawn, pairs: DrawnPairs, signals: AuditSignals) -> Cell:
    places_QN = pairs.places(draw.queries_Q, draw.negatives_QN)
    by_pair = {name: getattr(signals, name) for name in SIGNS}
    signs = {name: sign_U[places_QN] for name, sign_U in by_pair.items() if sign_U is not None}
    gap = None
    if signals.score_U is not None and signals.best_U is not None:
        gap = paired_bootstrap((signals.best_U - signals.score_U)[places_QN].mean(axis=1))
    return Cell(
        source=draw.source,
        depth=draw.depth,
        queries=len(draw.queries_Q),
        left_out=draw.left_out,
        drawn=draw.negatives_QN.size,
        distinct=len(np.unique(draw.negatives_QN)),
        counts={name: int(sign_QN.sum()) for name, sign_QN in signs.items()},
        shares={name: share_interval(sign_QN) for name, sign_QN in signs.items()},
        score_gap=gap,
    )


def share_interval(sign_QN: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the share of negatives with a sign and its 95 % percentile bootstrap interval over queries.

    Each query has 0 to N negatives with the sign, so resampling queries is an exact multinomial draw over N + 1 counts.
    """
    queries, count = sign_QN.shape
    queries_by_count = np.bincount(sign_QN.sum(axis=1), minlength=count + 1)
    resampled = np.random.default_rng(seed).multinomial(queries, queries_by_count / queries, size=resamples)
    means = resampled @ (np.arange(count + 1) / count) / queries
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sign_QN.mean()), float(low), float(high))


def _worst(
    draws: Sequence[_Drawn], given: AuditInput, pairs: DrawnPairs, signals: AuditSignals, limit: int
) -> tuple[WorstPair, ...]:
    source_U = np.full(len(pairs), "", dtype=object)
    for draw in reversed(draws):  # the first cell that drew a pair names its source
        source_U[pairs.places(draw.queries_Q, draw.negatives_QN)] = draw.names_QN
    place_of: dict[int, int] = {}  # query -> its most suspicious pair
    for place in signals.order().tolist():
        if len(place_of) == limit or not signals.suspicious[place]:
            break
        place_of.setdefault(int(pairs.queries_U[place]), place)
    return tuple(_pair(place, given, pairs, signals, str(source_U[place])) for place in place_of.values())


def _pair(place: int, given: AuditInput, pairs: DrawnPairs, signals: AuditSignals, source: str) -> WorstPair:
    query, negative = int(pairs.queries_U[place]), int(pairs.negatives_U[place])
    queries, passages = given.collection.queries, given.collection.passages
    signs = {name: getattr(signals, name) for name in SIGNS if name != "suspicious"}
    return WorstPair(
        query_id=queries.id(query),
        negative_id=passages.id(negative),
        query=queries.text(query),
        twin=queries.text(int(signals.twin_U[place])) if signals.twin_query[place] else None,
        positive=passages.text(int(signals.nearest_U[place])),
        negative=passages.text(negative),
        signs=tuple(name for name, sign_U in signs.items() if sign_U is not None and sign_U[place]),
        similarity=float(signals.similarity_U[place]),
        negative_score=None if signals.score_U is None else float(signals.score_U[place]),
        positive_score=None if signals.best_U is None else float(signals.best_U[place]),
        source=source,
        rank=_rank_of(given.runs[source], query, negative),
    )


def _rank_of(run: Run, query: int, passage: int) -> int | None:
    if isinstance(run, WholeCollection):
        return None
    return int(ranks_of(run, query, np.array([passage]))[0])
