"""Draw negatives as a pure function of (seed, epoch, query id, pool, rule).

Every candidate gets a pseudo-random priority from a hash of (seed, epoch, query id, candidate); a uniform draw takes
the lowest, the others begin with them (``draws``). So the first n of a larger draw are the smaller draw, every loss
sees the same negatives, and workers, ranks and resumes change nothing. Pools that share passages draw as similarly as
possible: settings are compared under common random numbers.

Sources take turns slot by slot, beginning with one chosen by hash. A passage has the same priority in every source.

Shapes: N negatives of a group, S sources, C candidates of a query from all sources.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of, priorities, shuffled
from experiments.config.negatives import RUN_ORDER, UNIFORM, NegativeRule
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.run import Run
from experiments.data.whole_collection import WholeCollection
from experiments.negatives.draws import CandidateOrder, CandidateScores
from experiments.negatives.filters import CandidateFilter
from experiments.negatives.mixing import Pool, most_turns, take_in_order, take_turns, take_with_replacement, turns_from
from experiments.negatives.positives import positive_of, without_text
from experiments.negatives.sampling_report import FilterCounts, SamplingReport, filter_lines, too_short

log = logging.getLogger(__name__)

POOLS_KEPT = 50_000  # some 2.5 kB each; those of other queries are made again when they are drawn from
FEW = 16  # rows that are compared one by one faster than sorted


class NegativeSampler:
    """Draw the negatives and choose the positive of each training query at each epoch.

    ``runs``: one for each turn, as in ``sources_of(rule.source)``, over the training queries; a ``WholeCollection`` is
    drawn from without a list of its rows. ``relevant``: training query row -> rows of its positives. ``excluded``:
    training query row -> other rows that are never drawn. ``filters``: each checks all candidates; those that all
    filters keep can be drawn. ``scores``: of candidates, by which ``draw: stratified`` makes its strata; None takes
    those of the candidates' own run.

    Raises:
        ExperimentError: a query has fewer usable candidates than ``rule.count`` and the rule says ``short: error``; or
        no query is left.
    """

    def __init__(
        self,
        rule: NegativeRule,
        runs: Sequence[Run],
        relevant: Mapping[int, Rows],
        collection: Collection,
        seed: int,
        filters: Sequence[CandidateFilter] = (),
        excluded: Mapping[int, Rows] | None = None,
        scores: CandidateScores | None = None,
    ) -> None:
        if rule.draw == RUN_ORDER:
            raise ExperimentError(
                f"negatives.draw={RUN_ORDER} takes lists as they are and draws nothing: choose a rule that draws, such "
                f"as negatives=uniform"
            )
        self.rule, self.seed, self.source = rule, seed, "+".join(run.name for run in runs)
        self.runs = {run.name: run for run in runs}  # distinct; a draw gives their positions
        self.sources = tuple(self.runs)
        self.report = SamplingReport()
        self._turns = tuple(self.sources.index(run.name) for run in runs)
        most = [most_turns(s, self._turns, rule.count) for s in range(len(self.sources))]
        # Candidates that each source needs for all of its turns; with replacement one is enough.
        self._needs = tuple(min(1, turns) if rule.replacement else turns for turns in most)
        self._whole = {s: run for s, run in enumerate(self.runs.values()) if isinstance(run, WholeCollection)}
        self._order = CandidateOrder(rule, tuple(self.runs.values()), most, scores)
        self._filters = tuple(filters)
        self._relevant, self._excluded = relevant, excluded or {}
        self._pools: dict[int, Pool] = {}  # of POOLS_KEPT queries at most
        self.positives: dict[int, Rows] = {}  # of each query that is trained on
        rows = sorted(relevant)
        self._empty = without_text(relevant, collection)
        self._ids = dict(zip(rows, collection.queries.ids(rows), strict=True))
        short: list[tuple[str, int]] = []
        for query in rows:
            self._admit(query, relevant[query], short)
        for line in filter_lines(self.report, len(rows)):
            log.info(line)
        if short and rule.short == "error":
            raise ExperimentError(too_short(short, rule, self.source, len(rows), self.report))
        if not self.positives:
            raise ExperimentError(
                f"no training query is left: source {self.source!r} retrieved no usable negative for any of "
                f"{len(rows):,}, {self.report.without_text:,} of which have no positive with a text"
            )
        # (Q,) query rows that are trained on, ascending
        self.queries: Rows = np.array(list(self.positives), np.int64)

    @property
    def count(self) -> int:
        """Negatives of a group."""
        return self.rule.count

    def _admit(self, query: int, positives: Rows, short: list[tuple[str, int]]) -> None:
        rule, query_id = self.rule, self._ids[query]
        tops = self._tops(query)
        usable = positives[~np.isin(positives, self._empty)] if len(self._empty) else positives
        if not len(usable):
            return self._except("without_text", query_id)
        if len(usable) < len(positives):
            self._except("some_without_text", query_id)
        if rule.positives == "retrieved":
            usable = usable[np.isin(usable, np.concatenate(tops))]
            if not len(usable):
                return self._except("not_retrieved", query_id)
        stocks = self._stocks(query, tops, noted=True)
        pool = Pool.of(stocks)
        size = self._size(query, pool)
        if size < rule.count and not rule.replacement:
            if rule.short == "error":
                short.append((query_id, size))
            if rule.short == "drop":
                return self._except("dropped_short", query_id)
            if rule.short == "replacement" and size:
                self._except("replaced_short", query_id)
        if not size and (rule.replacement or rule.short != "error"):
            return self._except("no_candidates", query_id)
        if len(stocks) > 1 and any(
            (size if s in self._whole else len(stock)) < need
            for s, (stock, need) in enumerate(zip(stocks, self._needs, strict=True))
        ):
            self._except("ran_dry", query_id)
        self.positives[query] = usable
        if len(self._pools) < POOLS_KEPT:
            self._pools[query] = pool
        return None

    def _pool(self, query: int) -> Pool:
        pool = self._pools.get(query)
        if pool is None:
            pool = Pool.of(self._stocks(query, self._tops(query), noted=False))
            del self._pools[next(iter(self._pools))]
            self._pools[query] = pool
        return pool

    def _tops(self, query: int) -> list[Rows]:
        """Return the ranking of a query by each source, down to the rule's depth."""
        return [run.ranking(query)[: self.rule.depth] for run in self.runs.values()]

    def _stocks(self, query: int, tops: Sequence[Rows], noted: bool) -> list[Rows]:
        """Return the candidates of a query from each source. ``noted``: whether the report counts what filters drop."""
        barred = self._barred(query)
        windows = [top[self.rule.skip :] for top in tops]
        positives = self._relevant[query]
        stocks = self._filtered(query, positives, [window[~_among(window, barred)] for window in windows], noted)
        if self.rule.pool is not None:
            key = key_of("pool", self.seed, self._ids[query])
            stocks = [shuffled(key, stock)[: self.rule.pool] for stock in stocks]
        return stocks

    def _barred(self, query: int) -> Rows:
        """Return the rows that are never drawn for a query."""
        positives = self._relevant[query]
        return np.concatenate([positives, self._excluded[query]]) if query in self._excluded else positives

    def _size(self, query: int, pool: Pool) -> int:
        """Return the number of distinct candidates; filters may leave fewer of a whole collection."""
        whole = next(iter(self._whole.values()), None)
        return len(pool.candidates) if whole is None else whole.room(self._barred(query))

    def _filtered(self, query: int, positives: Rows, stocks: list[Rows], noted: bool) -> list[Rows]:
        compared = True
        left: list[Rows] = []
        for run, stock in zip(self.runs.values(), stocks, strict=True):
            kept = np.ones(len(stock), bool)
            for candidate_filter in () if isinstance(run, WholeCollection) else self._filters:
                keep = candidate_filter.keep(run, query, positives, stock)
                if keep is None:
                    compared = False
                    continue
                kept &= keep
                if noted:
                    counts = self.report.filtered.setdefault(run.name, {})
                    counts.setdefault(candidate_filter.name, FilterCounts()).add(keep)
            left.append(stock[kept])
        if noted and not compared:
            self._except("not_compared", self._ids[query])
        return left

    def _except(self, kind: str, query_id: str) -> None:
        setattr(self.report, kind, getattr(self.report, kind) + 1)
        self.report.examples.setdefault(kind, query_id)

    def draw(self, query: int, epoch: int) -> Rows:
        """Return the negatives (N,), passage rows, of a query row at an epoch (0, 1, ...)."""
        return self.drawn(query, epoch)[0]

    def drawn(self, query: int, epoch: int) -> tuple[Rows, Rows]:
        """Return the negatives (N,) and the position (N,) in ``sources`` that each was drawn from."""
        rule, pool, query_id = self.rule, self._pool(query), self._ids[query]
        era = epoch if rule.redraw == "epoch" else 0
        key = key_of("draw", self.seed, era, query_id)
        turns = turns_from(key_of("start", self.seed, era, query_id) % len(self._turns), self._turns)
        if rule.replacement:
            return self._with_replacement(query, pool, key, turns)
        size = self._size(query, pool)
        if size >= rule.count:
            return self._without_replacement(query, pool, key, turns, rule.count)
        # Short: every candidate once, in the order of a draw that is not short, then all again in another order.
        keys = [key, *(key_of("turn", key, number) for number in range(1, -(-rule.count // size)))]
        parts = [
            self._without_replacement(query, pool, turn, turns, min(size, rule.count - number * size))
            for number, turn in enumerate(keys)
        ]
        passages, sources = zip(*parts, strict=True)
        return np.concatenate(passages), np.concatenate(sources)

    def _without_replacement(
        self, query: int, pool: Pool, key: int, turns: Iterator[int], count: int
    ) -> tuple[Rows, Rows]:
        if self.rule.draw == UNIFORM and not self._whole:
            return take_turns(pool, priorities(key, pool.candidates), turns, count)
        orders = [
            self._of_whole(query, self._whole[s], key, 2 * count)  # as many again if other sources took the first
            if s in self._whole
            else _in_order(members := pool.candidates[members_C], self._order.values(query, s, members, key))
            for s, members_C in enumerate(pool.members_SC)
        ]
        passages, sources = take_in_order(orders, turns, count)
        self._check_enough(query, len(passages), count)
        return passages, sources

    def _with_replacement(self, query: int, pool: Pool, key: int, turns: Iterator[int]) -> tuple[Rows, Rows]:
        stocks = [pool.candidates[members_C] for members_C in pool.members_SC]

        def pick(slot: int, source: int) -> int:
            of_slot, stock = key_of("slot", key, slot), stocks[source]
            if source not in self._whole:
                return int(stock[np.argmin(self._order.values(query, source, stock, of_slot))])
            drawn = self._of_whole(query, self._whole[source], of_slot, 1)
            self._check_enough(query, len(drawn), 1)
            return int(drawn[0])

        sizes = [self._size(query, pool) if s in self._whole else len(stock) for s, stock in enumerate(stocks)]
        return take_with_replacement(sizes, pick, turns, self.rule.count)

    def _of_whole(self, query: int, whole: WholeCollection, key: int, count: int) -> Rows:
        barred, positives = self._barred(query), self._relevant[query]

        def allowed(rows: Rows) -> NDArray[np.bool_]:
            kept = ~np.isin(rows, barred)
            for candidate_filter in self._filters:
                keep = candidate_filter.keep(whole, query, positives, rows)
                kept &= True if keep is None else keep
            return kept

        return whole.drawn(key, count, allowed)

    def _check_enough(self, query: int, found: int, count: int) -> None:
        """Refuse a draw from the whole collection of which the filters have left too little."""
        if found < count:
            raise ExperimentError(
                f"negatives.filter leaves {found:,} of the {count:,} negatives that query {self._ids[query]!r} draws "
                f"from the whole collection: loosen negatives.filter, or lower negatives.count"
            )

    def positive(self, query: int, epoch: int) -> int:
        """Return the positive's passage row at an epoch; several positives take turns in a random order."""
        return positive_of(self.positives[query], self.seed, self._ids[query], epoch)

    def group(self, query: int, epoch: int) -> Rows:
        """Return the positive and the negatives (N + 1,), passage rows, of a query row at an epoch."""
        return np.append(self.positive(query, epoch), self.draw(query, epoch))

    def pool(self, query: int) -> Rows:
        """Return the distinct candidates of a query from all sources that have a ranking."""
        return self._pool(query).candidates


def _among(rows: Rows, few: Rows) -> NDArray[np.bool_]:
    """Return which rows (M,) are among others."""
    if len(few) > FEW:
        return np.isin(rows, few)
    return np.asarray((rows[:, None] == few).any(axis=1))


def _in_order(passages: Rows, values: NDArray[Any]) -> Rows:
    return passages[np.argsort(values, kind="stable")]
