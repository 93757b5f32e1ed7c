"""Tabulate settings (rows) over test sets (columns): means, their average, average ranks."""

from collections.abc import Sequence

from experiments.analysis.over_sets import OverSets, over_sets
from experiments.analysis.settings import ResultGroup
from experiments.common.text import decimals, interval, plural, signed
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import label_heading, value_name
from experiments.reporting.tables.table import Table

AVERAGE, RANK, BEST = "average", "rank", "vs best"


def over_sets_tables(groups: Sequence[ResultGroup]) -> list[Table]:
    """Return a table for each measure that settings have on several test sets."""
    return [_table(compared) for compared in over_sets(groups)]


def _table(compared: OverSets) -> Table:
    shown = [
        label
        for label in dict.fromkeys(name for labels in compared.labels for name in labels)
        if label == "loss" or len({repr(labels.get(label)) for labels in compared.labels}) > 1
    ]
    order = sorted(range(len(compared.labels)), key=lambda row: -float(compared.means_SD[row].mean()))
    rows = []
    for row in order:
        names = (value_name(label, compared.labels[row].get(label)) for label in shown)
        means, average = map(decimals, compared.means_SD[row]), decimals(compared.means_SD[row].mean())
        rows.append((*names, *means, average, f"{compared.ranks_S[row]:.2f}", _versus_best(compared, row)))
    headings = tuple(map(label_heading, shown))
    return Table(
        title=f"{mean_name(compared.measure)} over {plural(len(compared.sets), 'test set')}",
        columns=(*headings, *compared.sets, AVERAGE, RANK, BEST),
        rows=tuple(rows),
        words=frozenset(headings),
        labels=len(headings),
        notes=tuple(_notes(compared)),
    )


def _versus_best(compared: OverSets, row: int) -> str:
    if row == compared.best:
        return "best"
    difference = compared.difference_to_best(row)
    return f"{signed(difference.mean)} {interval(difference.low, difference.high)}"


def _notes(compared: OverSets) -> list[str]:
    notes = [
        f"{AVERAGE}: mean over the sets, each the mean over its first stages, seeds and queries. {RANK}: mean over the "
        f"sets of the rank, 1 for the best. {BEST}: difference of the averages, with Student's 95 % interval over the "
        "sets."
    ]
    if compared.friedman_p is None or compared.critical_difference is None:
        return [*notes, "Friedman's test needs three settings on three sets."]
    p = "<.001" if compared.friedman_p < 0.001 else f"{compared.friedman_p:.3f}"
    return [
        *notes,
        f"Friedman's test of equal settings: p {p}. Two average ranks differ at the 5 % level if they are more than "
        f"{compared.critical_difference:.2f} apart (Nemenyi).",
    ]
