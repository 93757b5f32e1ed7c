"""The measure over the number of negatives and over the pairs that a training saw, a figure a first stage."""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from experiments.analysis.settings import ResultGroup, SettingResult
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import group_heading, proper_name, reference_name
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.label_placement import name_points
from experiments.reporting.plots.line_chart import Chart, Level, draw_chart, drawn_values
from experiments.reporting.plots.line_styles import Line, LineStyle, draw_lines, panels_of
from experiments.reporting.plots.style import INK, cut, set_amounts, set_counts
from experiments.reporting.tables.results import results_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.analysis.findings import Findings, Result

MARGIN = 0.35  # free space left and right of the points, in doublings of n
DODGE = 0.014  # distance between two points of the same n or pairs, as a share of the width of the axes
APART = 1.05  # how many times as many pairs as another a training must have seen for them to make an axis


def by_negatives(findings: "Findings", losses: Sequence[str]) -> list[ReportFigure]:
    """The measure over the number of negatives, of each first stage whose models have several."""
    return [
        _by_negatives(findings, block, losses)
        for block in findings.groups
        if _is_curve(_lines_by_negatives(findings, block))
    ]


def by_pairs(findings: "Findings", losses: Sequence[str]) -> list[ReportFigure]:
    """The measure over the pairs that each training saw, of each first stage whose models saw different numbers."""
    figures = []
    for block in findings.groups:
        results = [result for result in results_of(findings, block) if result.setting.compute("pairs")]
        pairs = [result.setting.compute("pairs") or 0.0 for result in results]
        lines = lines_of(block, results, lambda cell: cell.compute("pairs") or 0.0)
        if _is_curve(lines) and max(pairs) > APART * min(pairs):
            figures.append(_by_pairs(findings, block, lines, losses))
    return figures


def figure_name(findings: "Findings", block: ResultGroup, what: str = "negatives") -> str:
    """Return the stem of a figure's files: ``rr10_by_negatives.bm25``, with the data's name where there are several."""
    measure = re.sub(r"[^a-z0-9]", "", findings.measure.lower())
    several = len({group.data for group in findings.groups}) > 1
    return ".".join([f"{measure}_by_{what}", *([block.data] if several else []), block.first_stage])


def lines_of(block: ResultGroup, results: Sequence["Result"], x_of: Callable[[SettingResult], float]) -> list[Line]:
    """The lines of a block, by loss. An axis splits lines only if cells of the same loss and n differ in it.

    ``x_of``: the place of a setting on the x axis.
    """
    cells = [result.setting for result in results]
    axes = [axis for axis in block.axes if _splits(axis, cells)]
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        labels = result.setting.labels
        groups.setdefault((str(labels["loss"]), *(labels.get(axis) for axis in axes)), []).append(result)
    return [
        _line(
            dict(zip(("loss", *axes), key, strict=True)), sorted(members, key=lambda result: x_of(result.setting)), x_of
        )
        for key, members in sorted(groups.items(), key=lambda group: tuple(map(str, group[0])))
    ]


def _splits(axis: str, cells: Sequence[SettingResult]) -> bool:
    seen: dict[tuple[object, object], set[str]] = {}
    for cell in cells:
        seen.setdefault((cell.labels.get("loss"), cell.negatives), set()).add(str(cell.labels.get(axis)))
    return any(len(values) > 1 for values in seen.values())


def _line(axes: dict[str, Any], results: Sequence["Result"], x_of: Callable[[SettingResult], float]) -> Line:
    ends = [ends_of(result) for result in results]
    published = [
        (x_of(result.setting), result.published.value)
        for result in results
        if result.published is not None and result.published.value is not None and result.status != "other data"
    ]
    return Line(
        axes,
        [x_of(result.setting) for result in results],
        [result.mean for result in results],
        [low for low, _ in ends],
        [high for _, high in ends],
        published=published,
        names=[f"{result.setting.negatives}" if result.setting.negatives else "" for result in results],
    )


def ends_of(result: "Result") -> tuple[float, float]:
    """The ends of a result's bar: the interval of its difference to the reference, moved to its mean; NaN for the
    reference itself.
    """
    versus = result.comparison
    if versus is None:
        return math.nan, math.nan
    return result.mean - versus.mean + versus.low, result.mean - versus.mean + versus.high


def _lines_by_negatives(findings: "Findings", block: ResultGroup) -> list[Line]:
    results = [result for result in results_of(findings, block) if result.setting.negatives]
    return lines_of(block, results, lambda cell: float(cell.negatives or 0))


def _is_curve(lines: Sequence[Line]) -> bool:
    """Whether a line has two points at different places."""
    return any(len(set(line.x)) > 1 for line in lines)


def _by_negatives(findings: "Findings", block: ResultGroup, losses: Sequence[str]) -> ReportFigure:
    lines = _lines_by_negatives(findings, block)
    counts = sorted({int(count) for line in lines for count in line.x})

    def draw(axes: "Axes", members: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
        set_counts(axes, counts, MARGIN)
        return draw_lines(axes, members, styles, factor=2.0 ** dodge(counts, len(members)))

    title = f"{group_heading(block)}, {len(block.query_ids):,} test queries"
    chart = Chart(title, explained(findings, block, lines), mean_name(block.measure), _levels(findings, block))
    return report_figure(draw_chart(chart, lines, losses, draw), figure_name(findings, block), "negatives")


def _by_pairs(findings: "Findings", block: ResultGroup, lines: Sequence[Line], losses: Sequence[str]) -> ReportFigure:
    places = [x for line in lines for x in line.x]
    span = max(places) / min(places)

    def draw(axes: "Axes", members: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
        ends = draw_lines(axes, members, styles, factor=span**DODGE)
        set_amounts(axes, "pairs seen in training")
        return ends

    explanation = f"At each point its number of negatives, n. {explained(findings, block, lines)}"
    measure = mean_name(block.measure)
    title = f"{group_heading(block)}: {measure} over computing, {len(block.query_ids):,} test queries"
    chart = Chart(title, explanation, measure, _levels(findings, block))
    frame = draw_chart(chart, lines, losses, draw)
    panels, _ = panels_of(lines, chart.limit)
    for axes, panel in zip(frame.figure.axes, panels, strict=True):
        name_points(axes, *_named(panel.lines))
    return report_figure(frame, figure_name(findings, block, "pairs"), "negatives")


def _named(lines: Sequence[Line]) -> tuple[list[tuple[float, float]], list[str]]:
    """All points, and their names: of points that stand above each other and are called alike, the highest one's."""
    points = [point for line in lines for point in zip(line.x, line.y, strict=True)]
    names = [name for line in lines for name in line.names]
    highest: dict[tuple[str, int], int] = {}
    for index, ((x, y), name) in enumerate(zip(points, names, strict=True)):
        place = (name, round(math.log(x) / math.log(APART)))
        if place not in highest or y > points[highest[place]][1]:
            highest[place] = index
    return points, [name if index in highest.values() else "" for index, name in enumerate(names)]


def _levels(findings: "Findings", block: ResultGroup) -> tuple[Level, ...]:
    """The first stage itself, and the reference where that is another."""
    own = [result.mean for result in results_of(findings, block) if result.comparison is None]
    first = Level(proper_name(block.reference), block.first_stage_mean)
    return (first, *(Level("reference", mean, INK, (1.0, 2.0)) for mean in own))


def dodge(counts: Sequence[int], lines: int) -> float:
    """How far apart, in doublings of n, two neighbouring lines stand: never so far that they reach the next n."""
    doublings = [math.log2(count) for count in counts]
    nearest = min((after - before for before, after in pairwise(doublings)), default=1.0)
    return min(DODGE * (doublings[-1] - doublings[0] + 2 * MARGIN), 0.6 * nearest / lines)


def explained(findings: "Findings", block: ResultGroup, lines: Sequence[Line]) -> str:
    """What points, bars and levels are, in sentences."""
    fewest, most = block.seed_counts[0], block.seed_counts[-1]
    seeds = f"{fewest} to {most} seeds" if fewest < most else f"{most} seeds"
    points = f"Points: mean of {seeds}" if most > 1 else "One seed"
    budget = block.constants.get("budget")
    over = "queries and seeds" if most > 1 else "queries"
    own = any(result.comparison is None for result in results_of(findings, block))
    level = "dotted" if own else "dashed"
    sentences = [
        f"{points}{f', {budget} a model' if budget else ''}.",
        f"Bars: 95 % interval of the difference to {reference_name(findings, block)}, over {over}.",
        f"Where a bar does not reach the {level} line, the interval excludes 0.",
    ]
    if any(line.published for line in lines) and findings.table is not None:
        sentences.append(f"Hollow, dotted: as published ({findings.table.source.rstrip('.')}).")
    ends = [end for line in lines for end in (*line.low, *line.high)]
    return " ".join(sentences) + cut(drawn_values(lines, _levels(findings, block)), ends)
