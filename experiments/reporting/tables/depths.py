"""Tabulate the measure and the time of a query over the depth of re-ranking."""

from experiments.analysis.depths import DepthResult, depth_results
from experiments.analysis.settings import ResultGroup
from experiments.common.text import decimals, interval, signed
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import group_heading, label_heading, proper_name, value_name
from experiments.reporting.tables.table import Table

NOTES = (
    "One scoring of the largest depth gives all rows: passages below a depth keep the first stage's order.",
    "pairs: scored for a query, on average.",
    "ms of a cross-encoder: a query's share, by its pairs, of the time in which the job scored the largest depth; of a "
    "bi-encoder: encoding a query and scoring its pairs, timed at each depth, its passages encoded before.",
)


def depth_table(group: ResultGroup) -> Table | None:
    """Return a table with a row for each setting and depth; None if no job of the group measured several depths."""
    settings = depth_results(group)
    if not settings:
        return None
    labels = ("loss", "negatives", *group.axes)
    versus = f"vs {proper_name(group.reference)}"
    columns = (*map(label_heading, labels), "depth", mean_name(group.measure), versus, "95 % interval", "pairs", "ms")
    rows = [_row(result, labels) for results in settings for result in results]
    ends = [sum(map(len, settings[: number + 1])) - 1 for number in range(len(settings) - 1)]
    return Table(
        title=f"Depth of re-ranking: {group_heading(group)}",
        columns=columns,
        rows=tuple(rows),
        words=frozenset(map(label_heading, ("loss", *group.axes))),
        labels=len(labels) + 1,
        breaks=frozenset(ends),
        notes=NOTES,
    )


def _row(result: DepthResult, labels: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(value_name(label, result.setting.labels.get(label)) for label in labels),
        str(result.depth),
        decimals(result.setting.mean),
        signed(result.versus.mean),
        interval(result.versus.low, result.versus.high),
        f"{result.pairs:.1f}",
        "" if result.milliseconds is None else f"{result.milliseconds:.1f}",
    )
