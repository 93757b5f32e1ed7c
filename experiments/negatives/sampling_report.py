"""Count and report how the training queries depart from a sampling rule."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.config.negatives import NegativeRule


@dataclass
class FilterCounts:
    """Counts of what a filter dropped from a source. Candidates that two filters drop are counted by both."""

    candidates: int = 0  # dropped
    of: int = 0  # candidates checked: ranks skip + 1 to depth, without those judged exclude_grade or better
    queries: int = 0  # that lost at least one

    def add(self, keep_C: NDArray[np.bool_]) -> None:
        """Count the candidates (C,) of a query, of which the filter keeps some."""
        self.candidates += int((~keep_C).sum())
        self.of += len(keep_C)
        self.queries += int(not keep_C.all())


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
    positive_added: int = 0  # a list in run order whose last passage gave way to a positive (without_positive: add)
    without_positive: int = 0  # a list in run order that has no positive (without_positive: keep)
    examples: dict[str, str] = field(default_factory=dict)  # kind -> id of one such query
    filtered: dict[str, dict[str, FilterCounts]] = field(default_factory=dict)  # source -> filter -> what it dropped


def filter_lines(exceptions: SamplingReport, queries: int) -> list[str]:
    """Report what each filter dropped; copies only if there are any. ``queries``: number of training queries."""
    return [
        f"negatives.filter.{name} dropped {dropped.candidates:,} of {dropped.of:,} candidates from {source}, "
        f"in {dropped.queries:,} of {queries:,} training queries"
        for source, filters in exceptions.filtered.items()
        for name, dropped in filters.items()
        if dropped.candidates or name != "copies"
    ]


def too_short(
    short: list[tuple[str, int]], rule: NegativeRule, source: str, queries: int, exceptions: SamplingReport
) -> str:
    """Report the queries with too few candidates: id and number of candidates of each."""
    query_id, least = min(short, key=lambda item: item[1])
    filtered = any(dropped.candidates for filters in exceptions.filtered.values() for dropped in filters.values())
    after, loosen = (" after negatives.filter", "loosen negatives.filter, ") if filtered else ("", "")
    return (
        f"{len(short):,} of {queries:,} training queries have fewer than negatives.count={rule.count} usable negatives "
        f"in ranks {rule.skip + 1}-{rule.depth} of {source!r}{after} (query {query_id!r} has {least}): lower "
        f"negatives.count, raise negatives.depth, {loosen}or set negatives.short=replacement or negatives.short=drop"
    )
