"""Draw the measure over the number of negatives, and over the pairs seen in training, per first stage."""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from experiments.analysis.findings import Findings, Result
from experiments.analysis.settings import ResultGroup, SettingResult
from experiments.common.text import number_of_seeds
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import THIS_SEED, group_heading, measured_queries, proper_name, reference_name
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.label_placement import name_points
from experiments.reporting.plots.line_chart import Chart, Level, draw_chart, drawn_values
from experiments.reporting.plots.line_styles import Line, LineStyle, draw_lines, panels_of
from experiments.reporting.plots.style import INK, cut, set_amounts, set_counts
from experiments.reporting.tables.results import results_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.35  # free space left and right of the points, in doublings of n
DODGE = 0.014  # distance between two points of the same n or pairs, as a share of the width of the axes
APART = 1.05  # smallest ratio of pairs between trainings that makes an axis


def by_negatives(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return one figure per first stage whose models have several numbers of negatives."""
    figures = []
    for block in findings.groups:
        results = [result for result in results_of(findings, block) if result.setting.negatives]
        lines = lines_of(block, results, lambda cell: float(cell.negatives or 0))
        if _is_curve(lines):
            figures.append(_by_negatives(findings, block, lines, losses))
    return figures


def by_pairs(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return one figure per first stage whose models saw different numbers of pairs in training."""
    figures = []
    for block in findings.groups:
        results = [result for result in results_of(findings, block) if result.setting.compute("pairs")]
        pairs = [result.setting.compute("pairs") or 0.0 for result in results]
        lines = lines_of(block, results, lambda cell: cell.compute("pairs") or 0.0)
        if _is_curve(lines) and max(pairs) > APART * min(pairs):
            figures.append(_by_pairs(findings, block, lines, losses))
    return figures


def figure_name(findings: Findings, block: ResultGroup, by: str = "negatives") -> str:
    """Return a figure's file stem, ``rr10_by_negatives.bm25``, with the data's name if a study has several."""
    measure = re.sub(r"[^a-z0-9]", "", findings.measure.lower())
    several = len({group.data for group in findings.groups}) > 1
    return ".".join([f"{measure}_by_{by}", *([block.data] if several else []), block.first_stage])


def lines_of(block: ResultGroup, results: Sequence[Result], x_of: Callable[[SettingResult], float]) -> list[Line]:
    """Return lines over ``x_of`` by loss and by each axis in which settings of the same loss and n differ."""
    settings = [result.setting for result in results]
    places = {(setting.labels.get("loss"), setting.negatives) for setting in settings}
    axes = []
    for axis in block.axes:
        values = {(cell.labels.get("loss"), cell.negatives, str(cell.labels.get(axis))) for cell in settings}
        if len(values) > len(places):
            axes.append(axis)
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: x_of(result.setting)):
        labels = result.setting.labels
        groups.setdefault((str(labels["loss"]), *(labels.get(axis) for axis in axes)), []).append(result)
    return [
        _line(dict(zip(("loss", *axes), key, strict=True)), members, x_of)
        for key, members in sorted(groups.items(), key=lambda group: tuple(map(str, group[0])))
    ]


def _line(axes: dict[str, Any], results: Sequence[Result], x_of: Callable[[SettingResult], float]) -> Line:
    ends = [ends_of(result) for result in results]
    published = [
        (x_of(result.setting), result.published.value)
        for result in results
        if result.published is not None and result.published.value is not None and result.status != "other data"
    ]
    x, y = [x_of(result.setting) for result in results], [result.mean for result in results]
    low, high = [end for end, _ in ends], [end for _, end in ends]
    names = [str(result.setting.negatives or "") for result in results]
    return Line(axes, x, y, low, high, published=published, names=names)


def ends_of(result: Result) -> tuple[float, float]:
    """Return a bar's ends: the interval of the difference, shifted to the result's mean; NaN for the reference."""
    versus = result.comparison
    if versus is None:
        return math.nan, math.nan
    return result.mean - versus.mean + versus.low, result.mean - versus.mean + versus.high


def _is_curve(lines: Sequence[Line]) -> bool:
    return any(len(set(line.x)) > 1 for line in lines)


def _by_negatives(findings: Findings, block: ResultGroup, lines: Sequence[Line], losses: Sequence[str]) -> ReportFigure:
    counts = sorted({int(count) for line in lines for count in line.x})
    doublings = [math.log2(count) for count in counts]
    nearest = min((after - before for before, after in pairwise(doublings)), default=1.0)
    wanted = DODGE * (doublings[-1] - doublings[0] + 2 * MARGIN)

    def draw(axes: "Axes", members: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
        set_counts(axes, counts, MARGIN)
        return draw_lines(axes, members, styles, factor=2.0 ** min(wanted, 0.6 * nearest / len(members)))

    title = f"{group_heading(block)}, {measured_queries(block)}"
    chart = Chart(title, explained(findings, block, lines), mean_name(block.measure), _levels(findings, block))
    return report_figure(draw_chart(chart, lines, losses, draw), figure_name(findings, block), "negatives")


def _by_pairs(findings: Findings, block: ResultGroup, lines: Sequence[Line], losses: Sequence[str]) -> ReportFigure:
    pairs = [x for line in lines for x in line.x]
    span = max(pairs) / min(pairs)

    def draw(axes: "Axes", members: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
        ends = draw_lines(axes, members, styles, factor=span**DODGE)
        set_amounts(axes, "pairs seen in training")
        return ends

    explanation = f"Next to each point: its number of negatives, n. {explained(findings, block, lines)}"
    measure = mean_name(block.measure)
    title = f"{group_heading(block)}: {measure} over computing, {measured_queries(block)}"
    chart = Chart(title, explanation, measure, _levels(findings, block))
    frame = draw_chart(chart, lines, losses, draw)
    panels, _ = panels_of(lines, chart.limit)
    for axes, panel in zip(frame.figure.axes, panels, strict=True):
        name_points(axes, *_named(panel.lines))
    return report_figure(frame, figure_name(findings, block, "pairs"), "negatives")


def _named(lines: Sequence[Line]) -> tuple[list[tuple[float, float]], list[str]]:
    """Return all points and their names; of points with one name at one x, only the highest is named."""
    points = [point for line in lines for point in zip(line.x, line.y, strict=True)]
    names = [name for line in lines for name in line.names]
    highest: dict[tuple[str, int], int] = {}
    for index, ((x, y), name) in enumerate(zip(points, names, strict=True)):
        place = (name, round(math.log(x) / math.log(APART)))
        if place not in highest or y > points[highest[place]][1]:
            highest[place] = index
    return points, [name if index in highest.values() else "" for index, name in enumerate(names)]


def _levels(findings: Findings, block: ResultGroup) -> tuple[Level, ...]:
    """Return the first stage's level, and the reference's if a setting is the reference."""
    own = [result.mean for result in results_of(findings, block) if result.comparison is None]
    first = Level(proper_name(block.reference), block.first_stage_mean)
    return (first, *(Level("reference", mean, INK, (1.0, 2.0)) for mean in own))


def explained(findings: Findings, block: ResultGroup, lines: Sequence[Line]) -> str:
    """Explain points, bars and levels in sentences."""
    most = block.seed_counts[-1]
    points = f"Points: mean of {number_of_seeds(block.seed_counts)}" if most > 1 else "One seed"
    budget = block.constants.get("budget")
    over = "queries and seeds" if most > 1 else THIS_SEED
    own = any(result.comparison is None for result in results_of(findings, block))
    level = "dotted" if own else "dashed"
    sentences = [
        f"{points}{f', {budget} a model' if budget else ''}.",
        f"Bars: 95 % interval of the difference to {reference_name(findings, block)}, over {over}.",
        *([f"Where a bar does not reach the {level} line, the interval excludes 0."] if most > 1 else []),
    ]
    if any(line.published for line in lines) and findings.table is not None:
        sentences.append(f"Hollow, dotted: as published ({findings.table.source.rstrip('.')}).")
    ends = [end for line in lines for end in (*line.low, *line.high)]
    return " ".join(sentences) + cut(drawn_values(lines, _levels(findings, block)), ends)
