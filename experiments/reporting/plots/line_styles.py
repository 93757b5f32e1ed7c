"""Choose colour, marker and dashes of lines, and split many lines into panels.

An axis is a label in which settings differ, such as ``loss`` or ``negatives``. Colour shows the first axis in which the
lines of a figure differ, dashes the others; a loss has the same colour in all figures of a study.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from experiments.reporting.names import phrase
from experiments.reporting.plots.style import COLOURS, DASHES, FAINT, LEGEND_LETTERS, MARKERS, PAPER, RAMP, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = 8  # largest number of lines per panel
FEW = 4  # the same for rough lines

Floats = Sequence[float]


@dataclass(frozen=True)
class Line:
    """The points of one line and its setting.

    ``axes``: axis -> value, for axes in which lines differ. ``low``, ``high``: ends of each point's bar, NaN for none;
    empty without bars. ``single``: x and y of each seed, if the line is a mean. ``published``: published x and y.
    ``names``: of the points. ``control``: a reference, drawn dashed and hollow.
    """

    axes: Mapping[str, Any]
    x: Floats
    y: Floats
    low: Floats = ()
    high: Floats = ()
    single: Sequence[tuple[Floats, Floats]] = ()
    published: Sequence[tuple[float, float]] = ()
    names: Sequence[str] = ()
    control: bool = False

    @property
    def label(self) -> str:
        """The text at the line's end."""
        return self.without(())

    def without(self, axes: Sequence[str]) -> str:
        """Return the label without the given axes."""
        words = [phrase(axis, value) for axis, value in self.axes.items() if axis not in axes]
        return ", ".join([word for word in words if word] + ["untrained"] * self.control)


@dataclass(frozen=True)
class Panel:
    """Lines that share a pair of axes. ``title``: their common values, different from other panels."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class LineStyle:
    """How a line is drawn."""

    colour: str
    marker: str
    dashes: tuple[float, ...]
    hollow: bool


def varying(lines: Sequence[Line]) -> dict[str, list[Any]]:
    """Return axis -> values in order of appearance, for axes in which trained lines differ."""
    trained = [line for line in lines if not line.control]
    names = dict.fromkeys(chain.from_iterable(line.axes for line in trained))
    values = {name: list(dict.fromkeys(line.axes.get(name) for line in trained)) for name in names}
    return {name: different for name, different in values.items() if len(different) > 1}


def panels_of(lines: Sequence[Line], limit: int = LIMIT, each: str | None = None) -> tuple[list[Panel], list[str]]:
    """Split lines into panels of at most ``limit`` lines if possible, and return the panels and the axes of the split.

    The axis ``each`` always splits, then those with the fewest values. Each panel has the controls that agree with it.
    """
    trained = [line for line in lines if not line.control]
    parted: list[str] = []
    groups: dict[tuple[Any, ...], list[Line]] = {(): list(trained)}
    axes = varying(trained)
    while each in axes or (max(map(len, groups.values()), default=0) > limit and len(axes) > 1):
        fewest = each if each in axes else min(axes, key=lambda axis: len(axes[axis]))
        parted.append(fewest)
        del axes[fewest]
        groups = {}
        for line in trained:
            groups.setdefault(tuple(line.axes.get(axis) for axis in parted), []).append(line)
    panels = []
    for key, members in groups.items():
        title = ", ".join(filter(None, (phrase(axis, value) for axis, value in zip(parted, key, strict=True))))
        common = dict(zip(parted, key, strict=True))
        for line in lines:
            if line.control and all(line.axes.get(axis, value) == value for axis, value in common.items()):
                members.append(line)
        panels.append(Panel(title, tuple(members)))
    return panels, parted


def styles_of(lines: Sequence[Line], losses: Sequence[str], parted: Sequence[str] = ()) -> list[LineStyle]:
    """Return the style of each line. ``losses``: all of the study; ``parted``: axes shown by panels."""
    axes = {axis: values for axis, values in varying(lines).items() if axis not in parted}
    coloured = "loss" if "loss" in axes or not axes else next(iter(axes))
    rest = [axis for axis in axes if axis != coloured]
    variants = list(dict.fromkeys(_values(line, rest) for line in lines if not line.control))
    values = axes.get(coloured, [])
    order = list(losses) if coloured == "loss" else values

    def style(line: Line) -> LineStyle:
        value = line.axes.get(coloured)
        if line.control and value not in values:
            return LineStyle(FAINT, "o", DASHES[1], True)
        index = order.index(value) if value in order else 0
        colour = COLOURS[index % len(COLOURS)]
        if coloured == "negatives" and len(order) <= len(RAMP):
            # the whole ramp, even for few values
            colour = RAMP[round(sorted(order, key=sort_key).index(value) * (len(RAMP) - 1) / max(1, len(order) - 1))]
        if line.control:
            return LineStyle(colour, MARKERS[index % len(MARKERS)], DASHES[1], True)
        variant = variants.index(_values(line, rest))
        # After the last dash pattern the markers are hollow; when colours repeat, dashes change.
        dashes = DASHES[(variant + index // len(COLOURS)) % len(DASHES)]
        return LineStyle(colour, MARKERS[index % len(MARKERS)], dashes, variant >= len(DASHES))

    return [style(line) for line in lines]


def _values(line: Line, axes: Sequence[str]) -> tuple[Any, ...]:
    return tuple(line.axes.get(axis) for axis in axes)


def sort_key(value: Any) -> tuple[bool, float, str]:
    """Sort texts before numbers."""
    return (True, float(value), "") if isinstance(value, int | float) else (False, 0.0, str(value))


def draw_lines(
    axes: "Axes", lines: Sequence[Line], styles: Sequence[LineStyle], factor: float = 1.0, shift: float = 0.0
) -> list[tuple[float, float]]:
    """Draw lines next to each other, apart by ``factor`` or ``shift`` in x, and return their last points."""
    steps = [index - (len(lines) - 1) / 2 for index in range(len(lines))]
    return [
        draw_line(axes, line, style, factor**step, shift * step)
        for line, style, step in zip(lines, styles, steps, strict=True)
    ]


def draw_line(
    axes: "Axes", line: Line, style: LineStyle, factor: float = 1.0, shift: float = 0.0
) -> tuple[float, float]:
    """Draw a line with bars and published values at x * ``factor`` + ``shift``, and return its last point."""
    x = [place * factor + shift for place in line.x]
    if line.low:
        known = [i for i, low in enumerate(line.low) if not math.isnan(low)]
        bars = [[line.y[i] - line.low[i] for i in known], [line.high[i] - line.y[i] for i in known]]
        at = ([x[i] for i in known], [line.y[i] for i in known])
        axes.errorbar(*at, yerr=bars, fmt="none", ecolor=style.colour, elinewidth=1, capsize=2, alpha=0.75, zorder=2)
    if line.published:
        published = [(x * factor + shift, y) for x, y in sorted(line.published)]
        marker = marked(style, hollow=True)
        axes.plot(*zip(*published, strict=True), color=style.colour, linewidth=0.9, dashes=(1, 2), **marker, zorder=2.5)
    axes.plot(x, line.y, color=style.colour, linewidth=1.6, dashes=style.dashes, **marked(style), zorder=3)
    return x[-1], line.y[-1]


def draw_course(axes: "Axes", line: Line, style: LineStyle) -> tuple[float, float]:
    """Draw a line without markers and thin lines for its seeds, and return its last point."""
    for x, y in line.single:
        axes.plot(x, y, color=style.colour, linewidth=0.5, alpha=0.45, dashes=style.dashes, zorder=2)
    axes.plot(line.x, line.y, color=style.colour, linewidth=1.6, dashes=style.dashes, zorder=3)
    return line.x[-1], line.y[-1]


def handle(name: str, style: LineStyle, markers: bool = True, line: bool = True) -> Any:
    """Return the legend entry of a style."""
    from matplotlib.lines import Line2D

    marker = marked(style) if markers else {}
    dashes = style.dashes or (None, None)
    return Line2D(
        [],
        [],
        color=style.colour,
        linewidth=1.6 if line else 0,
        dashes=dashes,
        label=shortened(name, LEGEND_LETTERS - 8),
        **marker,
    )


def marked(style: LineStyle, hollow: bool = False) -> dict[str, Any]:
    """Return matplotlib's marker options for a style."""
    hollow = hollow or style.hollow
    return {
        "marker": style.marker,
        "markersize": 5.5,
        "markeredgecolor": style.colour if hollow else PAPER,
        "markeredgewidth": 0.9 if hollow else 0.6,
        "markerfacecolor": PAPER if hollow else style.colour,
    }
