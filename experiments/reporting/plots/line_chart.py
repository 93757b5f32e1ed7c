"""Draw a chart of lines: one pair of axes with labelled lines, or panels with a legend."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.reporting.plots.label_placement import Label, write_labels
from experiments.reporting.plots.line_styles import LIMIT, Line, LineStyle, Panel, handle, panels_of, styles_of
from experiments.reporting.plots.style import FAINT, Frame, framed, grid, panel_titles, set_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ONE, MANY = 3.2, 2.3  # inches: height of a single pair of axes, and of each of several, with its labels

# Draws lines with their styles, sets the x axis, and returns the last point of each line.
Draw = Callable[["Axes", Sequence[Line], Sequence[LineStyle]], list[tuple[float, float]]]


@dataclass(frozen=True)
class Level:
    """A value drawn across the axes."""

    name: str
    value: float
    colour: str = FAINT
    dashes: tuple[float, float] = (5.0, 3.0)

    @property
    def label(self) -> str:
        """Name and value."""
        return f"{self.name} {self.value:.3f}"


@dataclass(frozen=True)
class Chart:
    """Texts, levels and layout of a chart.

    ``limit``: lines per panel. ``across``: panels side by side. ``each``: an axis that always splits lines into panels.
    ``alike``: panels share the y axis. ``marked``: lines have markers. ``share``: the measure is between 0 and 1.
    ``bottom``: the y axis starts at 0.
    """

    title: str
    explanation: str
    measure: str
    levels: tuple[Level, ...] = ()
    limit: int = LIMIT
    across: int = 3
    each: str | None = None
    alike: bool = True
    marked: bool = True
    share: bool = True
    bottom: bool = False


def draw_chart(chart: Chart, lines: Sequence[Line], losses: Sequence[str], draw: Draw) -> Frame:
    """Draw the figure. ``losses``: all of the study."""
    panels, parted = panels_of(lines, chart.limit, chart.each)
    styles = dict(zip(map(id, lines), styles_of(lines, losses, parted), strict=True))
    if len(panels) == 1:
        return _single(chart, panels[0], styles, draw)
    entries = {line.without(parted): styles[id(line)] for line in lines}
    handles = [handle(name, style, chart.marked) for name, style in entries.items() if name]
    handles += [
        handle(level.label, LineStyle(level.colour, "", level.dashes, False), markers=False) for level in chart.levels
    ]
    across = 2 if len(panels) == 4 else min(chart.across, len(panels))
    down = math.ceil(len(panels) / across)
    frame = framed(chart.title, chart.explanation, 0.35 + MANY * down, handles)
    grids = frame.figure.subplots(down, across, sharex=True, sharey=chart.alike, squeeze=False)
    above = panel_titles(grids, [panel.title for panel in panels])
    frame.place(titles=above)
    frame.figure.subplots_adjust(wspace=0.08 if chart.alike else 0.22, hspace=0.2 + above / MANY)
    for axes in grids.flat[len(panels) :]:
        axes.remove()
    for index, (axes, panel) in enumerate(zip(grids.flat, panels, strict=False)):
        _fill(axes, chart, panel.lines, styles, draw)
        axes.set_ylabel(chart.measure if index % across == 0 else "")
        axes.set_xlabel(axes.get_xlabel() if index + across >= len(panels) else "")
        axes.tick_params(labelbottom=index + across >= len(panels))
    for axes in frame.figure.axes:
        _set_range(axes, chart, lines)
    return frame


def _single(chart: Chart, panel: Panel, styles: dict[int, LineStyle], draw: Draw) -> Frame:
    frame = framed(chart.title, chart.explanation, ONE)
    axes = frame.figure.subplots()
    ends = _fill(axes, chart, panel.lines, styles, draw)
    axes.set_ylabel(chart.measure)
    _set_range(axes, chart, panel.lines)
    lines = zip(panel.lines, ends, strict=True)
    labels = [Label(line.label, styles[id(line)].colour, *end) for line, end in lines if line.label]
    labels += [Label(level.label, level.colour, axes.get_xlim()[1], level.value) for level in chart.levels]
    frame.place(max((len(label.text) for label in labels), default=0))
    write_labels(axes, labels)
    return frame


def _fill(
    axes: "Axes", chart: Chart, lines: Sequence[Line], styles: dict[int, LineStyle], draw: Draw
) -> list[tuple[float, float]]:
    grid(axes)
    ends = draw(axes, lines, [styles[id(line)] for line in lines])
    for level in chart.levels:
        axes.axhline(level.value, color=level.colour, linewidth=1, dashes=level.dashes, zorder=1)
    return ends


def drawn_values(lines: Sequence[Line], levels: Sequence[Level]) -> list[float]:
    """Return the y of all points (means, seeds, published values) and levels."""
    points = [value for line in lines for value in (*line.y, *(y for _, y in line.published))]
    seeds = (value for line in lines for _, y in line.single for value in y)
    return [*points, *seeds, *(level.value for level in levels)]


def _set_range(axes: "Axes", chart: Chart, lines: Sequence[Line]) -> None:
    """Set the y axis; call it after all lines that share the axis are drawn."""
    if chart.share:
        set_bounds(axes, drawn_values(lines, chart.levels))
    if chart.bottom:
        axes.set_ylim(bottom=0)
