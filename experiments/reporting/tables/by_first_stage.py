"""Tabulate trainings (rows) by the first stage that their models re-rank (columns).

The table answers whether the source of the negatives must be the first stage (Gao 2021; Pradeep 2022, Table 2). Two
rows are also compared query by query.
"""

from collections.abc import Sequence

import numpy as np

from experiments.analysis.settings import ResultGroup, SettingResult
from experiments.common.text import decimals, interval, signed
from experiments.evaluation.comparison import compare
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import axes_of, label_heading, proper_name, value_name
from experiments.reporting.tables.table import Table

NOTE = (
    "Mean over test queries; in brackets the 95 % interval (over queries and seeds, or the queries of one seed) of "
    "its difference to the first stage of the column, and in the last row of the difference itself."
)


def first_stage_tables(groups: Sequence[ResultGroup]) -> list[Table]:
    """Return a table for each data set whose models re-ranked several first stages."""
    by_data: dict[str, list[ResultGroup]] = {}
    for group in groups:
        if group.reference == group.first_stage:  # otherwise the whole collection was searched
            by_data.setdefault(group.data, []).append(group)
    return [_table(members) for members in by_data.values() if len(members) > 1]


def _table(groups: list[ResultGroup]) -> Table:
    labels = ("loss", "negatives", *axes_of(groups))
    names = dict.fromkeys(_names(setting, labels) for group in groups for setting in group.settings)
    columns = [{_names(setting, labels): setting for setting in group.settings} for group in groups]
    blank = [""] * (len(labels) - 1)
    rows = [("first stage itself", *blank, *(decimals(group.first_stage_mean) for group in groups))]
    for row in names:
        values = (_value(column.get(row), group) for column, group in zip(columns, groups, strict=True))
        rows.append((*row, *values))
    if len(names) == 2:
        first, second = names
        differences = (
            _difference(column.get(first), column.get(second), group)
            for column, group in zip(columns, groups, strict=True)
        )
        changed = ", ".join(f"{b} minus {a}" for a, b in zip(first, second, strict=True) if a != b)
        rows.append((changed, *blank, *differences))
    return Table(
        title=f"{mean_name(groups[0].measure)} by what was trained (rows) and what is re-ranked (columns), "
        f"{groups[0].data}",
        columns=(*map(label_heading, labels), *(proper_name(group.first_stage) for group in groups)),
        rows=tuple(rows),
        words=frozenset(map(label_heading, labels)),
        labels=len(labels),
        breaks=frozenset((0, 2) if len(names) == 2 else (0,)),
        notes=(NOTE,),
    )


def _names(setting: SettingResult, labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(value_name(label, setting.labels.get(label)) for label in labels)


def _value(setting: SettingResult | None, group: ResultGroup) -> str:
    if setting is None:
        return "-"
    first_stage_SQ = group.first_stage_Q[np.newaxis]
    gain = compare(setting.values_SQ, first_stage_SQ, setting.seeds, None, 0, group.seeds_variance)
    return f"{setting.mean:.3f} {interval(gain.low, gain.high)}"


def _difference(first: SettingResult | None, second: SettingResult | None, group: ResultGroup) -> str:
    if first is None or second is None:
        return "-"
    gain = compare(second.values_SQ, first.values_SQ, second.seeds, first.seeds, 0, group.seeds_variance)
    return f"{signed(gain.mean)} {interval(gain.low, gain.high)}"
