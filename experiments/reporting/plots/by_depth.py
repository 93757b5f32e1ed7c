"""Draw the measure over the depth of re-ranking, per first stage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.analysis.depths import DepthResult, depth_results
from experiments.analysis.findings import Findings
from experiments.analysis.settings import ResultGroup
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import THIS_SEED, group_heading, measured_queries, proper_name
from experiments.reporting.plots.by_negatives import DODGE, MARGIN, figure_name
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.line_chart import Chart, Level, draw_chart, drawn_values
from experiments.reporting.plots.line_styles import Line, LineStyle, draw_lines
from experiments.reporting.plots.style import cut, set_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def by_depth(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return one figure per first stage whose models re-ranked it to several depths."""
    curves = ((group, depth_results(group)) for group in findings.groups)
    return [_figure(findings, group, settings, losses) for group, settings in curves if settings]


def _figure(
    findings: Findings, group: ResultGroup, settings: Sequence[Sequence[DepthResult]], losses: Sequence[str]
) -> ReportFigure:
    lines = [_line(group, results) for results in settings]
    depths = sorted({result.depth for results in settings for result in results})
    level, measure = Level(proper_name(group.reference), group.first_stage_mean), mean_name(group.measure)

    def draw(axes: "Axes", members: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
        set_counts(axes, depths, MARGIN, "passages that are re-ranked")
        return draw_lines(axes, members, styles, factor=(depths[-1] / depths[0]) ** DODGE)

    several = group.seed_counts[-1] > 1
    ends = [end for line in lines for end in (*line.low, *line.high)]
    explanation = (
        f"Points: {f'mean of {group.seed_counts[-1]} seeds' if several else 'one seed'}; passages below the depth keep "
        f"the first stage's order. Bars: 95 % interval of the difference to {level.name}, over "
        f"{'queries and seeds' if several else THIS_SEED}."
    )
    chart = Chart(
        f"{group_heading(group)}: {measure} over the depth of re-ranking, {measured_queries(group)}",
        explanation + cut(drawn_values(lines, (level,)), ends),
        measure,
        (level,),
    )
    return report_figure(draw_chart(chart, lines, losses, draw), figure_name(findings, group, "depth"), "depths")


def _line(group: ResultGroup, results: Sequence[DepthResult]) -> Line:
    """Return the line of one setting, its bars shifted from the difference to the mean."""
    labels = results[0].setting.labels
    shifts = [result.setting.mean - result.versus.mean for result in results]
    varied = [name for name in ("negatives", *group.axes) if len({str(s.labels.get(name)) for s in group.settings}) > 1]
    return Line(
        {name: labels.get(name) for name in ("loss", *varied)},
        [float(result.depth) for result in results],
        [result.setting.mean for result in results],
        [shift + result.versus.low for shift, result in zip(shifts, results, strict=True)],
        [shift + result.versus.high for shift, result in zip(shifts, results, strict=True)],
    )
