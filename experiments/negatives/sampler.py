"""Draws of negatives that are a pure function of (seed, epoch, query id, pool, rule).

Every candidate gets a pseudo-random priority from a hash of (seed, epoch, query id, candidate), and a draw takes the
lowest. Therefore: the first n of a larger draw are the smaller draw (n = 1 within 3 within 7 ...); every loss sees the
same negatives; neither workers nor ranks nor a resume change anything; and where two pools share passages, as BM25's
and ColBERT's do, they draw as much alike as they can. Comparisons between such runs are comparisons under common random
numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Collection
from experiments.errors import ExperimentError
from experiments.hashing import key_of, priorities, shuffled
from experiments.negatives.rule import NegativeRule
from experiments.retrieval.run import Run


@dataclass
class Exceptions:
    """Queries that the rule could not be applied to as it stands. Counts of training queries."""

    not_retrieved: int = 0  # dropped: none of their positives among the retrieved (positives: retrieved)
    dropped_short: int = 0  # dropped: too few candidates (short: drop)
    replaced_short: int = 0  # drawn with replacement: too few candidates (short: replacement)
    no_candidates: int = 0  # dropped: no candidate at all, so that nothing can be drawn
    examples: dict[str, str] = field(default_factory=dict)  # kind -> id of one such query


class NegativeSampler:
    """The negatives, and the positive, of each training query at each epoch.

    ``run``: the source's run over the training queries. ``relevant``: training query row -> rows of its positives.

    Raises:
        ExperimentError: a query has fewer usable candidates than ``rule.count`` and the rule says ``short: error``; or
        no query is left.
    """

    def __init__(
        self, rule: NegativeRule, run: Run, relevant: Mapping[int, NDArray[np.int64]], collection: Collection, seed: int
    ) -> None:
        self.rule, self.seed, self.source = rule, seed, run.name
        self.exceptions = Exceptions()
        self._pools: dict[int, NDArray[np.int64]] = {}
        self._positives: dict[int, NDArray[np.int64]] = {}
        rows = sorted(relevant)
        self._ids = dict(zip(rows, collection.queries.ids(rows), strict=True))
        short: list[tuple[str, int]] = []
        for query in rows:
            self._admit(query, run.ranking(query)[: rule.depth], relevant[query], short)
        if short and rule.short == "error":
            raise ExperimentError(_too_short(short, rule, run.name, len(rows)))
        if not self._pools:
            raise ExperimentError(
                f"no training query is left: source {run.name!r} retrieved no usable negative for any of {len(rows):,}"
            )
        self.queries: NDArray[np.int64] = np.array(
            list(self._pools), np.int64
        )  # (Q,) query rows that are trained on, ascending

    def _admit(
        self, query: int, top: NDArray[np.int64], positives: NDArray[np.int64], short: list[tuple[str, int]]
    ) -> None:
        rule, one = self.rule, self._ids[query]
        candidates = top[rule.skip :]
        candidates = candidates[~np.isin(candidates, positives)]
        if rule.positives == "retrieved":
            positives = positives[np.isin(positives, top)]
            if not len(positives):
                return self._except("not_retrieved", one)
        if rule.pool is not None:
            candidates = shuffled(key_of("pool", self.seed, one), candidates)[: rule.pool]
        if len(candidates) < rule.count and not rule.replacement:
            if rule.short == "error":
                short.append((one, len(candidates)))
            if rule.short == "drop":
                return self._except("dropped_short", one)
            if rule.short == "replacement" and len(candidates):
                self._except("replaced_short", one)
        if not len(candidates) and (rule.replacement or rule.short != "error"):
            return self._except("no_candidates", one)
        self._pools[query] = candidates
        self._positives[query] = positives
        return None

    def _except(self, kind: str, query_id: str) -> None:
        setattr(self.exceptions, kind, getattr(self.exceptions, kind) + 1)
        self.exceptions.examples.setdefault(kind, query_id)

    def draw(self, query: int, epoch: int) -> NDArray[np.int64]:
        """(count,) passage rows: the negatives of a query row at an epoch (0, 1, ...)."""
        rule, pool = self.rule, self._pools[query]
        era = epoch if rule.redraw == "epoch" else 0
        key = key_of("draw", self.seed, era, self._ids[query])
        if len(pool) >= rule.count and not rule.replacement:
            return shuffled(key, pool)[: rule.count]
        if (
            not rule.replacement
        ):  # short: every candidate once, then again in another order, so that none comes twice before all came once
            turns = -(-rule.count // len(pool))
            return np.concatenate([shuffled(key_of("turn", key, turn), pool) for turn in range(turns)])[: rule.count]
        keys = [key_of("slot", key, slot) for slot in range(rule.count)]
        return np.array([pool[np.argmin(priorities(slot_key, pool))] for slot_key in keys], np.int64)

    def positive(self, query: int, epoch: int) -> int:
        """The passage row of the positive of a query at an epoch: if it has several, they take turns in a random
        order.
        """
        positives = self._positives[query]
        if len(positives) == 1:
            return int(positives[0])
        order = shuffled(key_of("positive", self.seed, self._ids[query]), positives)
        return int(order[epoch % len(order)])

    def pool(self, query: int) -> NDArray[np.int64]:
        """The candidates that a query's negatives are drawn from."""
        return self._pools[query]


def _too_short(short: list[tuple[str, int]], rule: NegativeRule, source: str, queries: int) -> str:
    one, least = min(short, key=lambda item: item[1])
    return (
        f"{len(short):,} of {queries:,} training queries have fewer than negatives.count={rule.count} usable negatives "
        f"in ranks {rule.skip + 1}-{rule.depth} of {source!r} (query {one!r} has {least}): lower negatives.count, "
        f"raise negatives.depth, or set negatives.short=replacement or negatives.short=drop"
    )
