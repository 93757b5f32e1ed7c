"""An audit of negatives as a picture: the share of suspicious negatives over the depth that they were drawn to, a line
a source, in the colours of the other pictures.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.negatives.false_negative_audit import Cell, FalseNegativeAudit
from experiments.reporting.plots.label_placement import Label, write_labels
from experiments.reporting.plots.style import COLOURS, DPI, FAINT, HEIGHT, MARKERS, STYLE, WIDTH, grid
from experiments.reporting.tables.false_negatives import source_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 1.2  # free space left and right of the points, as a factor of the depth
DODGE = 0.035  # between two sources at one depth, as a share of the depth


def draw_audit(audit: FalseNegativeAudit, folder: Path) -> list[Path]:
    """Draw the picture as PNG and SVG into ``folder``; the paths of the files."""
    import matplotlib

    paths: list[Path] = []
    with matplotlib.rc_context(STYLE):
        figure = audit_figure(audit)
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            paths.append(folder / f"suspicious_by_depth.{suffix}")
            figure.savefig(paths[-1], dpi=DPI, metadata=metadata)
    return paths


def audit_figure(audit: FalseNegativeAudit) -> "Figure":
    """The share of suspicious negatives in per cent over depth, with 95 % intervals."""
    from matplotlib.figure import Figure

    lines: dict[str, list[Cell]] = {}
    for cell in audit.cells:
        lines.setdefault(cell.source, []).append(cell)
    depths = sorted({cell.depth for cell in audit.cells})
    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.subplots()
    _set_axes(axes, depths)
    ends = []
    for index, cells in enumerate(lines.values()):
        shift = 1 + DODGE * (index - (len(lines) - 1) / 2)
        ends.append(_draw_line(axes, sorted(cells, key=lambda cell: cell.depth), index, shift))
    axes.set_ylim(bottom=0)
    write_labels(axes, ends)
    title = f"Suspicious negatives on {audit.data}, {max(cell.queries for cell in audit.cells):,} queries"
    figure.text(0.02, 0.965, title, size=11, weight="bold", va="top")
    figure.text(0.02, 0.905, _explanation(audit), size=7.5, color=FAINT, va="top", linespacing=1.35)
    widest = max(len(source_name(source)) for source in lines)
    figure.subplots_adjust(left=0.135, right=max(0.45, 0.95 - 0.0122 * widest), bottom=0.125, top=0.8)
    return figure


def _set_axes(axes: "Axes", depths: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.set_xscale("log")
    axes.set_xlim(depths[0] / MARGIN, depths[-1] * MARGIN)
    # Neighbours nearer than this would print over each other.
    shown = [depths[0], *(after for before, after in pairwise(depths) if after >= 1.15 * before)]
    axes.set_xticks(shown, [f"{depth:,}" for depth in shown])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    grid(axes)
    axes.set_xlabel("depth of the source's ranking")
    axes.set_ylabel("suspicious negatives")


def _draw_line(axes: "Axes", cells: Sequence[Cell], index: int, shift: float) -> Label:
    """Draw one source, moved by a factor of the depth; its label."""
    colour = COLOURS[index % len(COLOURS)]
    shares = [cell.shares["suspicious"] for cell in cells]
    x = [cell.depth * shift for cell in cells]
    y = [100 * share.mean for share in shares]
    bars = [[100 * (share.mean - share.low) for share in shares], [100 * (share.high - share.mean) for share in shares]]
    axes.errorbar(x, y, yerr=bars, fmt="none", ecolor=colour, elinewidth=1, capsize=2, alpha=0.75, zorder=2)
    axes.plot(
        x,
        y,
        color=colour,
        linewidth=1.6,
        marker=MARKERS[index % len(MARKERS)],
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=3,
    )
    return Label(source_name(cells[0].source), colour, x[-1], y[-1])


def _explanation(audit: FalseNegativeAudit) -> str:
    scored = "" if audit.margin is None else ", or scored above the positive"
    return (
        f"Share of the {audit.count} negatives a query with word similarity of {audit.near_duplicate:g} or more to a "
        f"positive, judged relevant for the query\nor for a twin of it{scored}. "
        "Bars: 95 % interval, bootstrap over queries. A suspicion is no proof."
    )
