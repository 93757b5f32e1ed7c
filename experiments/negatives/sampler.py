"""Draw negatives as a pure function of (seed, epoch, query id, pool, rule).

Every candidate gets a pseudo-random priority from a hash of (seed, epoch, query id, candidate); a draw takes the
lowest. So the first n of a larger draw are the smaller draw, every loss sees the same negatives, and workers, ranks and
resumes change nothing. Pools that share passages draw as similarly as possible: settings are compared under common
random numbers.

Sources take turns slot by slot, beginning with one chosen by hash. A passage has the same priority in every source.

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
    """Counts of what a filter dropped from a source. Candidates that two filters drop are counted by both."""

    candidates: int = 0  # dropped
    of: int = 0  # candidates checked: ranks skip + 1 to depth, without those judged exclude_grade or better
    queries: int = 0  # that lost at least one


@dataclass
class SamplingReport:
    """Counts of training queries that are exceptions to the rule, and of what the filters dropped."""

    without_text: int = 0  # dropped: no positive has a text
    some_without_text: int = 0  # kept: the positives without a text are not trained on
    not_retrieved: int = 0  # dropped: none of their positives among the retrieved (positives: retrieved)
    dropped_short: int = 0  # dropped: too few candidates (short: drop)
    replaced_short: int = 0  # drawn with replacement: too few candidates (short: replacement)
    no_candidates: int = 0  # dropped: no candidate at all, so that nothing can be drawn
    ran_dry: int = 0  # a source has fewer candidates than turns in a group and hands some to the others
    not_compared: int = 0  # kept unfiltered by a margin: a run has no score of any of their positives
    examples: dict[str, str] = field(default_factory=dict)  # kind -> id of one such query
    filtered: dict[str, dict[str, FilterCounts]] = field(default_factory=dict)  # source -> filter -> what it dropped


class NegativeSampler:
    """Draw the negatives and choose the positive of each training query at each epoch.

    ``runs``: one for each turn, as in ``sources_of(rule.source)``, over the training queries. ``relevant``: training
    query row -> rows of its positives. ``excluded``: training query row -> other rows that are never drawn.
    ``filters``: each checks all candidates; those that all filters keep can be drawn.

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
        self.runs = {run.name: run for run in runs}  # distinct; a draw gives their positions
        self.sources = tuple(self.runs)
        self.report = SamplingReport()
        self._turns = tuple(self.sources.index(run.name) for run in runs)
        # Candidates that each source needs for all of its turns; with replacement one is enough.
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
        rule, query_id = self.rule, self._ids[query]
        tops = [run.ranking(query)[: rule.depth] for run in self.runs.values()]
        usable = positives[~np.isin(positives, self._empty)] if len(self._empty) else positives
        if not len(usable):
            return self._except("without_text", query_id)
        if len(usable) < len(positives):
            self._except("some_without_text", query_id)
        if rule.positives == "retrieved":
            usable = usable[np.isin(usable, np.concatenate(tops))]
            if not len(usable):
                return self._except("not_retrieved", query_id)
        windows = [top[rule.skip :] for top in tops]
        barred = np.concatenate([positives, self._excluded[query]]) if query in self._excluded else positives
        stocks = self._filtered(query, positives, [window[~np.isin(window, barred)] for window in windows])
        if rule.pool is not None:
            key = key_of("pool", self.seed, query_id)
            stocks = [shuffled(key, stock)[: rule.pool] for stock in stocks]
        pool = Pool.of(stocks)
        if len(pool.candidates) < rule.count and not rule.replacement:
            if rule.short == "error":
                short.append((query_id, len(pool.candidates)))
            if rule.short == "drop":
                return self._except("dropped_short", query_id)
            if rule.short == "replacement" and len(pool.candidates):
                self._except("replaced_short", query_id)
        if not len(pool.candidates) and (rule.replacement or rule.short != "error"):
            return self._except("no_candidates", query_id)
        if len(stocks) > 1 and any(len(stock) < need for stock, need in zip(stocks, self._needs, strict=True)):
            self._except("ran_dry", query_id)
        self._pools[query], self._positives[query] = pool, usable
        return None

    def _filtered(self, query: int, positives: Rows, stocks: list[Rows]) -> list[Rows]:
        compared = True
        left: list[Rows] = []
        for run, stock in zip(self.runs.values(), stocks, strict=True):
            kept = np.ones(len(stock), bool)
            for candidate_filter in self._filters:
                keep = candidate_filter.keep(run, query, positives, stock)
                if keep is None:
                    compared = False
                    continue
                counts = self.report.filtered.setdefault(run.name, {}).setdefault(candidate_filter.name, FilterCounts())
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
        """Return the negatives (N,), passage rows, of a query row at an epoch (0, 1, ...)."""
        return self.drawn(query, epoch)[0]

    def drawn(self, query: int, epoch: int) -> tuple[Rows, Rows]:
        """Return the negatives (N,) and the position (N,) in ``sources`` that each was drawn from."""
        rule, pool, query_id = self.rule, self._pools[query], self._ids[query]
        era = epoch if rule.redraw == "epoch" else 0
        key = key_of("draw", self.seed, era, query_id)
        turns = turns_from(key_of("start", self.seed, era, query_id) % len(self._turns), self._turns)
        if rule.replacement:
            return take_with_replacement(
                pool, lambda slot, stock: priorities(key_of("slot", key, slot), stock), turns, rule.count
            )
        size = len(pool.candidates)
        if size >= rule.count:
            return take_turns(pool, priorities(key, pool.candidates), turns, rule.count)
        # Short: every candidate once, in the order of a draw that is not short, then all again in another order.
        keys = [key, *(key_of("turn", key, number) for number in range(1, -(-rule.count // size)))]
        parts = [
            take_turns(pool, priorities(turn, pool.candidates), turns, rule.count - number * size)
            for number, turn in enumerate(keys)
        ]
        passages, sources = zip(*parts, strict=True)
        return np.concatenate(passages), np.concatenate(sources)

    def positive(self, query: int, epoch: int) -> int:
        """Return the positive's passage row at an epoch; several positives take turns in a random order."""
        order = shuffled(key_of("positive", self.seed, self._ids[query]), self._positives[query])
        return int(order[epoch % len(order)])

    def pool(self, query: int) -> Rows:
        """Return the distinct candidates of a query from all sources."""
        return self._pools[query].candidates


def _without_text(relevant: Mapping[int, Rows], collection: Collection) -> Rows:
    """Find the positives without text, which cannot be trained on."""
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *relevant.values()]))
    empty: list[int] = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        part = rows[start : start + TEXTS_AT_ONCE]
        texts = collection.passages.texts(part)
        empty += [row for row, text in zip(part.tolist(), texts, strict=True) if not text.strip()]
    return np.array(empty, np.int64)


def filter_lines(exceptions: SamplingReport, queries: int) -> list[str]:
    """Report what each filter dropped; copies only if there are any. ``queries``: number of training queries."""
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
    query_id, least = min(short, key=lambda item: item[1])
    filtered = any(dropped.candidates for filters in exceptions.filtered.values() for dropped in filters.values())
    after, loosen = (" after negatives.filter", "loosen negatives.filter, ") if filtered else ("", "")
    return (
        f"{len(short):,} of {queries:,} training queries have fewer than negatives.count={rule.count} usable negatives "
        f"in ranks {rule.skip + 1}-{rule.depth} of {source!r}{after} (query {query_id!r} has {least}): lower "
        f"negatives.count, raise negatives.depth, {loosen}or set negatives.short=replacement or negatives.short=drop"
    )
