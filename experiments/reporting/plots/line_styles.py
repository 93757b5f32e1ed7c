"""Lines of a figure: what tells them apart, in colour, marker and dashes, and into which panels they go if they are
many.

An axis is what settings differ in: ``loss``, ``negatives`` or any other label of theirs. Colour tells the first axis in
which the lines of a figure differ, dashes the rest; a loss has the same colour in all figures of a study.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from experiments.reporting.names import phrase
from experiments.reporting.plots.style import COLOURS, DASHES, FAINT, MARKERS, PAPER, RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = 8  # lines of one panel that an eye can follow
FEW = 4  # the same of lines that are not smooth

Floats = Sequence[float]


@dataclass(frozen=True)
class Line:
    """One line: where its points are and which setting they belong to.

    ``axes``: axis -> value, only of those that tell lines apart. ``low``, ``high``: the ends of each point's bar, NaN
    for none; empty without bars. ``single``: x and y of each seed, where the line is a mean. ``published``: x and y
    where a paper has them. ``names``: of the points. ``control``: a reference, drawn dashed and hollow.
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
        """What is written at the line's end."""
        return self.without(())

    def without(self, axes: Sequence[str]) -> str:
        """The label without what is said elsewhere."""
        words = [phrase(axis, value) for axis, value in self.axes.items() if axis not in axes]
        return ", ".join([word for word in words if word] + ["untrained"] * self.control)


@dataclass(frozen=True)
class Panel:
    """Lines that share a pair of axes. ``title``: what they have in common and those of other panels have not."""

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
    """Axis -> its values in order of appearance, of the axes in which trained lines differ."""
    trained = [line for line in lines if not line.control]
    names = dict.fromkeys(chain.from_iterable(line.axes for line in trained))
    values = {name: list(dict.fromkeys(line.axes.get(name) for line in trained)) for name in names}
    return {name: found for name, found in values.items() if len(found) > 1}


def panels_of(lines: Sequence[Line], limit: int = LIMIT, each: str | None = None) -> tuple[list[Panel], list[str]]:
    """The lines in panels of at most ``limit`` where that can be had, and the axes by which they were parted: ``each``
    in any case, then those with the fewest values. Controls stand in each panel that agrees with them.
    """
    trained = [line for line in lines if not line.control]
    parted: list[str] = []
    groups: dict[tuple[Any, ...], list[Line]] = {(): trained}
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
        there = dict(zip(parted, key, strict=True))
        shared = [line for line in lines if line.control and _agrees(line, there)]
        panels.append(Panel(title, (*members, *shared)))
    return panels, parted


def _agrees(line: Line, where: Mapping[str, Any]) -> bool:
    return all(line.axes.get(axis, value) == value for axis, value in where.items())


def styles_of(lines: Sequence[Line], losses: Sequence[str], parted: Sequence[str] = ()) -> list[LineStyle]:
    """How each line is drawn. ``losses``: all of the study; ``parted``: axes that panels tell."""
    axes = {axis: values for axis, values in varying(lines).items() if axis not in parted}
    coloured = "loss" if "loss" in axes or not axes else next(iter(axes))
    rest = [axis for axis in axes if axis != coloured]
    variants = list(dict.fromkeys(_values(line, rest) for line in lines if not line.control))
    return [_style(line, coloured, axes.get(coloured, []), losses, rest, variants) for line in lines]


def _style(
    line: Line,
    coloured: str,
    values: Sequence[Any],
    losses: Sequence[str],
    rest: Sequence[str],
    variants: Sequence[tuple[Any, ...]],
) -> LineStyle:
    value = line.axes.get(coloured)
    if line.control and value not in values:
        return LineStyle(FAINT, "o", DASHES[1], True)
    order = list(losses) if coloured == "loss" else list(values)
    index = order.index(value) if value in order else 0
    colour = COLOURS[index % len(COLOURS)]
    if coloured == "negatives" and len(order) <= len(RAMP):
        # the ends of the ramp for the ends of the range, so that few values lie far apart
        colour = RAMP[round(sorted(order, key=_number).index(value) * (len(RAMP) - 1) / max(1, len(order) - 1))]
    if line.control:
        return LineStyle(colour, MARKERS[index % len(MARKERS)], DASHES[1], True)
    variant = variants.index(_values(line, rest))
    # Past the last dash pattern the markers are hollow: twice as many variants can be told apart.
    dashes = DASHES[(variant + index // len(COLOURS)) % len(DASHES)]  # where colours come again, dashes do not
    return LineStyle(colour, MARKERS[index % len(MARKERS)], dashes, variant >= len(DASHES))


def _values(line: Line, axes: Sequence[str]) -> tuple[Any, ...]:
    return tuple(line.axes.get(axis) for axis in axes)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else -1.0


def draw_lines(
    axes: "Axes", lines: Sequence[Line], styles: Sequence[LineStyle], factor: float = 1.0, shift: float = 0.0
) -> list[tuple[float, float]]:
    """Draw lines side by side, so that their bars do not hide each other, and return where they end.

    Two neighbours are apart by ``factor`` or ``shift``.
    """
    ends = []
    for index, (line, style) in enumerate(zip(lines, styles, strict=True)):
        steps = index - (len(lines) - 1) / 2
        ends.append(draw_line(axes, line, style, factor**steps, shift * steps))
    return ends


def draw_line(
    axes: "Axes", line: Line, style: LineStyle, factor: float = 1.0, shift: float = 0.0
) -> tuple[float, float]:
    """Draw a line with its bars and published values, its x times ``factor`` plus ``shift``; where it ends."""
    x = [place * factor + shift for place in line.x]
    if line.low:
        known = [i for i, low in enumerate(line.low) if not math.isnan(low)]
        bars = [[line.y[i] - line.low[i] for i in known], [line.high[i] - line.y[i] for i in known]]
        at = ([x[i] for i in known], [line.y[i] for i in known])
        axes.errorbar(*at, yerr=bars, fmt="none", ecolor=style.colour, elinewidth=1, capsize=2, alpha=0.75, zorder=2)
    if line.published:
        published = [(x * factor + shift, y) for x, y in sorted(line.published)]
        axes.plot(
            *zip(*published, strict=True),
            color=style.colour,
            linewidth=0.9,
            dashes=(1, 2),
            **marked(style, hollow=True),
            zorder=2.5,
        )
    axes.plot(x, line.y, color=style.colour, linewidth=1.6, dashes=style.dashes, **marked(style), zorder=3)
    return x[-1], line.y[-1]


def draw_course(axes: "Axes", line: Line, style: LineStyle) -> tuple[float, float]:
    """Draw a line over the course of a training, without markers, and thin lines for its seeds; where it ends."""
    for x, y in line.single:
        axes.plot(x, y, color=style.colour, linewidth=0.5, alpha=0.45, dashes=style.dashes, zorder=2)
    axes.plot(line.x, line.y, color=style.colour, linewidth=1.6, dashes=style.dashes, zorder=3)
    return line.x[-1], line.y[-1]


def handle(name: str, style: LineStyle, markers: bool = True, line: bool = True) -> Any:
    """The entry of a legend."""
    from matplotlib.lines import Line2D

    marker = marked(style) if markers else {}
    dashes = style.dashes or (None, None)
    return Line2D([], [], color=style.colour, linewidth=1.6 if line else 0, dashes=dashes, label=name, **marker)


def marked(style: LineStyle, hollow: bool = False) -> dict[str, Any]:
    """A style's marker as matplotlib wants it."""
    hollow = hollow or style.hollow
    return {
        "marker": style.marker,
        "markersize": 5.5,
        "markeredgecolor": style.colour if hollow else PAPER,
        "markeredgewidth": 0.9 if hollow else 0.6,
        "markerfacecolor": PAPER if hollow else style.colour,
    }
