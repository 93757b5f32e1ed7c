"""Draw an audit of negatives: the share of suspicious negatives over the depth of the draw, a line per source."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from experiments.reporting.names import source_name
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.line_chart import Chart, draw_chart
from experiments.reporting.plots.line_styles import Line, LineStyle, draw_lines
from experiments.reporting.plots.style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.negatives.false_negative_audit import FalseNegativeAudit

MARGIN = 1.2  # free space left and right of the points, as a factor of the depth
DODGE = 1.035  # distance between two sources at one depth, as a factor of the depth
APART = 1.15  # smallest factor between two depths with ticks


@styled
def audit_figure(audit: "FalseNegativeAudit") -> ReportFigure:
    """Return the share of suspicious negatives in per cent over depth, with 95 % intervals."""
    lines = []
    for source in dict.fromkeys(cell.source for cell in audit.cells):
        cells = sorted((cell for cell in audit.cells if cell.source == source), key=lambda cell: cell.depth)
        shares = [cell.shares["suspicious"] for cell in cells]
        means, lows, highs = ([100 * getattr(share, end) for share in shares] for end in ("mean", "low", "high"))
        lines.append(Line({"": source_name(source)}, [float(cell.depth) for cell in cells], means, lows, highs))
    scored = "" if audit.margin is None else ", or scored above the positive"
    title = f"Suspicious negatives on {audit.data}, {max(cell.queries for cell in audit.cells):,} queries"
    explanation = (
        f"Share of the {audit.count} negatives a query with word similarity of {audit.near_duplicate:g} or more to a "
        f"positive, judged relevant for the query or for a twin of it{scored}. "
        "Bars: 95 % interval, bootstrap over queries. A suspicion is no proof."
    )
    chart = Chart(title, explanation, "suspicious negatives, %", share=False, bottom=True)
    return report_figure(draw_chart(chart, lines, (), _draw), "suspicious_by_depth", "audit")


def _draw(axes: "Axes", lines: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
    depths = sorted({depth for line in lines for depth in line.x})
    axes.set_xscale("log")
    axes.set_xlim(depths[0] / MARGIN, depths[-1] * MARGIN)
    shown = [depths[0], *(after for before, after in pairwise(depths) if after >= APART * before)]
    axes.set_xticks(shown, [f"{depth:,.0f}" for depth in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("depth of the source's ranking")
    return draw_lines(axes, lines, styles, factor=DODGE)
