"""Draws of negatives that are a pure function of (seed, epoch, query id, pool, rule).

Every candidate gets a pseudo-random priority from a hash of (seed, epoch, query id, candidate), and a draw takes the
lowest. Therefore: the first n of a larger draw are the smaller draw (n = 1 within 3 within 7 ...); every loss sees the
same negatives; neither workers nor ranks nor a resume change anything; and where two pools share passages, as BM25's
and ColBERT's do, they draw as much alike as they can. Comparisons between such runs are comparisons under common random
numbers.

Several sources take turns, slot by slot, from one that is drawn by hash, so that no source has the odd slot more often.
A passage has one priority, whichever source it is drawn from: a source mixed with itself draws what it draws alone.

Shapes: N negatives of a group, S sources, C candidates of a query from all sources.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of, priorities, shuffled
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.run import Run
from experiments.negatives.filters import CandidateFilter
from experiments.negatives.mixing import Pool, most_turns, take_turns, take_with_replacement, turns_from

log = logging.getLogger(__name__)

TEXTS_AT_ONCE = 20_000


@dataclass
class FilterCounts:
    """What a filter took from a source. Candidates that two filters drop are counted by both."""

    candidates: int = 0  # dropped
    of: int = 0  # candidates looked at: ranks skip + 1 to depth minus what is judged exclude_grade or better
    queries: int = 0  # that lost at least one


@dataclass
class SamplingReport:
    """Queries that the rule could not be applied to as it stands, and what the filters dropped. Counts of training
    queries.
    """

    without_text: int = 0  # dropped: no positive has a text
    some_without_text: int = 0  # kept: the positives without a text are not trained on
    not_retrieved: int = 0  # dropped: none of their positives among the retrieved (positives: retrieved)
    dropped_short: int = 0  # dropped: too few candidates (short: drop)
    replaced_short: int = 0  # drawn with replacement: too few candidates (short: replacement)
    no_candidates: int = 0  # dropped: no candidate at all, so that nothing can be drawn
    ran_dry: int = 0  # a source has fewer candidates than turns in a group and hands some to the others
    not_compared: int = 0  # kept as they are by a margin: a run has no score of any of their positives
    examples: dict[str, str] = field(default_factory=dict)  # kind -> id of one such query
    filtered: dict[str, dict[str, FilterCounts]] = field(default_factory=dict)  # source -> filter -> what it dropped


class NegativeSampler:
    """The negatives, and the positive, of each training query at each epoch.

    ``runs``: over the training queries, one for each turn, in the order of ``sources_of(rule.source)``; a source with
    two turns stands there twice. ``relevant``: training query row -> rows of its positives. ``excluded``: training
    query row -> rows that are never drawn besides these; None for no others. ``filters``: see
    ``experiments.negatives.filters``; each looks at all candidates, and what all of them keep is the pool's stock.

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
    ) -> None:
        self.rule, self.seed, self.source = rule, seed, "+".join(run.name for run in runs)
        self.runs = {run.name: run for run in runs}  # the different ones; a draw names them by their place here
        self.sources = tuple(self.runs)
        self.report = SamplingReport()
        self._turns = tuple(self.sources.index(run.name) for run in runs)
        # How many candidates each source needs for all of its turns; with replacement one serves them all.
        most = 1 if rule.replacement else rule.count
        self._needs = tuple(min(most, most_turns(s, self._turns, rule.count)) for s in range(len(self.sources)))
        self._filters = tuple(filters)
        self._excluded = excluded or {}
        self._pools: dict[int, Pool] = {}
        self._positives: dict[int, Rows] = {}
        rows = sorted(relevant)
        self._empty = _without_text(relevant, collection)
        self._ids = dict(zip(rows, collection.queries.ids(rows), strict=True))
        short: list[tuple[str, int]] = []
        for query in rows:
            self._admit(query, relevant[query], short)
        for line in filter_lines(self.report, len(rows)):
            log.info(line)
        if short and rule.short == "error":
            raise ExperimentError(_too_short(short, rule, self.source, len(rows), self.report))
        if not self._pools:
            raise ExperimentError(
                f"no training query is left: source {self.source!r} retrieved no usable negative for any of "
                f"{len(rows):,}, {self.report.without_text:,} of which have no positive with a text"
            )
        # (Q,) query rows that are trained on, ascending
        self.queries: Rows = np.array(list(self._pools), np.int64)

    @property
    def count(self) -> int:
        """Negatives of a group."""
        return self.rule.count

    def _admit(self, query: int, positives: Rows, short: list[tuple[str, int]]) -> None:
        rule, one = self.rule, self._ids[query]
        tops = [run.ranking(query)[: rule.depth] for run in self.runs.values()]
        usable = positives[~np.isin(positives, self._empty)] if len(self._empty) else positives
        if not len(usable):
            return self._except("without_text", one)
        if len(usable) < len(positives):
            self._except("some_without_text", one)
        if rule.positives == "retrieved":
            usable = usable[np.isin(usable, np.concatenate(tops))]
            if not len(usable):
                return self._except("not_retrieved", one)
        windows = [top[rule.skip :] for top in tops]
        barred = np.concatenate([positives, self._excluded[query]]) if query in self._excluded else positives
        stocks = [window[~np.isin(window, barred)] for window in windows]
        stocks = self._filtered(query, positives, stocks)
        if rule.pool is not None:
            key = key_of("pool", self.seed, one)
            stocks = [shuffled(key, stock)[: rule.pool] for stock in stocks]
        pool = Pool.of(stocks)
        if len(pool.candidates) < rule.count and not rule.replacement:
            if rule.short == "error":
                short.append((one, len(pool.candidates)))
            if rule.short == "drop":
                return self._except("dropped_short", one)
            if rule.short == "replacement" and len(pool.candidates):
                self._except("replaced_short", one)
        if not len(pool.candidates) and (rule.replacement or rule.short != "error"):
            return self._except("no_candidates", one)
        if len(stocks) > 1 and any(len(stock) < need for stock, need in zip(stocks, self._needs, strict=True)):
            self._except("ran_dry", one)
        self._pools[query], self._positives[query] = pool, usable
        return None

    def _filtered(self, query: int, positives: Rows, stocks: list[Rows]) -> list[Rows]:
        compared = True
        left: list[Rows] = []
        for run, stock in zip(self.runs.values(), stocks, strict=True):
            kept = np.ones(len(stock), bool)
            for one in self._filters:
                keep = one.keep(run, query, positives, stock)
                if keep is None:
                    compared = False
                    continue
                counts = self.report.filtered.setdefault(run.name, {}).setdefault(one.name, FilterCounts())
                counts.candidates += int((~keep).sum())
                counts.of += len(stock)
                counts.queries += int(not keep.all())
                kept &= keep
            left.append(stock[kept])
        if not compared:
            self._except("not_compared", self._ids[query])
        return left

    def _except(self, kind: str, query_id: str) -> None:
        setattr(self.report, kind, getattr(self.report, kind) + 1)
        self.report.examples.setdefault(kind, query_id)

    def draw(self, query: int, epoch: int) -> Rows:
        """(N,) passage rows: the negatives of a query row at an epoch (0, 1, ...)."""
        return self.drawn(query, epoch)[0]

    def drawn(self, query: int, epoch: int) -> tuple[Rows, Rows]:
        """(N,) the negatives, and (N,) which of ``sources`` each was drawn from."""
        rule, pool, one = self.rule, self._pools[query], self._ids[query]
        era = epoch if rule.redraw == "epoch" else 0
        key = key_of("draw", self.seed, era, one)
        turns = turns_from(key_of("start", self.seed, era, one) % len(self._turns), self._turns)
        if rule.replacement:
            return take_with_replacement(
                pool, lambda slot, stock: priorities(key_of("slot", key, slot), stock), turns, rule.count
            )
        size = len(pool.candidates)
        if size >= rule.count:
            return take_turns(pool, priorities(key, pool.candidates), turns, rule.count)
        # Short: every candidate once, then again in another order, so that none comes twice before all came once. The
        # first time in the order of a draw that is not short, so that the first n of a larger draw are the smaller one.
        keys = [key, *(key_of("turn", key, number) for number in range(1, -(-rule.count // size)))]
        parts = [
            take_turns(pool, priorities(turn, pool.candidates), turns, rule.count - number * size)
            for number, turn in enumerate(keys)
        ]
        passages, sources = zip(*parts, strict=True)
        return np.concatenate(passages), np.concatenate(sources)

    def positive(self, query: int, epoch: int) -> int:
        """The passage row of the positive of a query at an epoch: if it has several, they take turns in a random
        order.
        """
        positives = self._positives[query]
        if len(positives) == 1:
            return int(positives[0])
        order = shuffled(key_of("positive", self.seed, self._ids[query]), positives)
        return int(order[epoch % len(order)])

    def pool(self, query: int) -> Rows:
        """The candidates that a query's negatives are drawn from, of all sources, each once."""
        return self._pools[query].candidates


def _without_text(relevant: Mapping[int, Rows], collection: Collection) -> Rows:
    """The positives that have no text: they count in the measures, but nothing can be learned from them."""
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *relevant.values()]))
    empty: list[int] = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        part = rows[start : start + TEXTS_AT_ONCE]
        texts = collection.passages.texts(part)
        empty += [row for row, text in zip(part.tolist(), texts, strict=True) if not text.strip()]
    return np.array(empty, np.int64)


def filter_lines(exceptions: SamplingReport, queries: int) -> list[str]:
    """What each filter dropped, a sentence each; nothing of copies where there are none. ``queries``: training queries
    in all.
    """
    return [
        f"negatives.filter.{name} dropped {dropped.candidates:,} of {dropped.of:,} candidates from {source}, "
        f"in {dropped.queries:,} of {queries:,} training queries"
        for source, filters in exceptions.filtered.items()
        for name, dropped in filters.items()
        if dropped.candidates or name != "copies"
    ]


def _too_short(
    short: list[tuple[str, int]], rule: NegativeRule, source: str, queries: int, exceptions: SamplingReport
) -> str:
    one, least = min(short, key=lambda item: item[1])
    filtered = any(dropped.candidates for filters in exceptions.filtered.values() for dropped in filters.values())
    after, loosen = (" after negatives.filter", "loosen negatives.filter, ") if filtered else ("", "")
    return (
        f"{len(short):,} of {queries:,} training queries have fewer than negatives.count={rule.count} usable negatives "
        f"in ranks {rule.skip + 1}-{rule.depth} of {source!r}{after} (query {one!r} has {least}): lower "
        f"negatives.count, raise negatives.depth, {loosen}or set negatives.short=replacement or negatives.short=drop"
    )
