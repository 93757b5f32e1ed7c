"""Take the first passages of a run as groups, in its order. Shapes: N passages of a list."""

from collections.abc import Mapping

import numpy as np

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeRule
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.run import Run
from experiments.negatives.positives import positive_of, without_text
from experiments.negatives.sampling_report import SamplingReport


class RunLists:
    """Groups that are the first ``rule.count`` + 1 passages of each training query's ranking, positives where they are.

    ``run``: over the training queries. ``relevant``: training query row -> rows of its positives. Passages judged
    relevant that are no positive of ``relevant`` count as not relevant.

    Raises:
        ExperimentError: a ranking is shorter than a list and the rule says ``short: error``, or it has no positive and
        the rule says ``without_positive: error``; or no query is left.
    """

    def __init__(
        self, rule: NegativeRule, run: Run, relevant: Mapping[int, Rows], collection: Collection, seed: int
    ) -> None:
        self.rule, self.seed, self.source, self.sources = rule, seed, run.name, (run.name,)
        self.runs = {run.name: run}
        self.report = SamplingReport()
        self.positives: dict[int, Rows] = {}
        rows = sorted(relevant)
        empty = without_text(relevant, collection)
        self._ids = dict(zip(rows, collection.queries.ids(rows), strict=True))
        for query in rows:
            usable = relevant[query][~np.isin(relevant[query], empty)]
            if self._admit(query, usable, len(relevant[query])):
                self.positives[query] = usable
        self._check(len(rows))
        # (Q,) query rows that are trained on, ascending
        self.queries: Rows = np.array(list(self.positives), np.int64)

    @property
    def count(self) -> int:
        """Passages of a list, less one."""
        return self.rule.count

    def _admit(self, query: int, usable: Rows, judged: int) -> bool:
        """Return whether a query has a list, and count it if it is an exception."""
        top = self.runs[self.source].ranking(query)[: self.count + 1]
        if len(usable) < judged:
            self._except("some_without_text" if len(usable) else "without_text", query)
            if not len(usable):
                return False
        if len(top) <= self.count:
            self._except("dropped_short", query)
            return False
        if not np.isin(usable, top).any():
            self._except("positive_added" if self.rule.without_positive == "add" else "without_positive", query)
        return True

    def _except(self, kind: str, query: int) -> None:
        setattr(self.report, kind, getattr(self.report, kind) + 1)
        self.report.examples.setdefault(kind, self._ids[query])

    def _check(self, queries: int) -> None:
        report, of_all = self.report, f"of {queries:,} training queries"
        if report.dropped_short and self.rule.short == "error":
            raise ExperimentError(
                f"the run {self.source!r} has fewer than {self.count + 1} passages for {report.dropped_short:,} "
                f"{of_all}, such as {report.examples['dropped_short']!r}: lower negatives.count, or set "
                f"negatives.short=drop"
            )
        if report.without_positive and self.rule.without_positive == "error":
            raise ExperimentError(
                f"the first {self.count + 1} passages of the run {self.source!r} have no positive for "
                f"{report.without_positive:,} {of_all}, such as {report.examples['without_positive']!r}: set "
                f"negatives.without_positive=add, which puts one at the end of the list, or raise negatives.count"
            )
        if not self.positives:
            raise ExperimentError(
                f"no training query is left: the run {self.source!r} has {self.count + 1} passages for none {of_all} "
                f"that has a positive with a text"
            )

    def group(self, query: int, epoch: int) -> Rows:
        """Return the passage rows (N,) of a query row's list; only an added positive depends on the epoch."""
        top = self.runs[self.source].ranking(query)[: self.count + 1]
        positives = self.positives[query]
        if self.rule.without_positive != "add" or np.isin(positives, top).any():
            return np.asarray(top)
        return np.append(top[:-1], positive_of(positives, self.seed, self._ids[query], epoch))
