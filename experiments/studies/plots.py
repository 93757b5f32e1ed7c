"""A study as a picture: the measure over the number of negatives, one line a loss, one picture a first stage.

Loss is told by colour and marker, any further label that varies by the line's dashes; the colours are those of Okabe
and Ito (2008), which readers with any common colour vision tell apart. Lines are labelled where they end. Points that
share an n are set side by side, so that their error bars do not hide each other.

Figures are made without pyplot: no display, no global state.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.studies.cells import Block, Cell
from experiments.studies.table import heading, proper_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7", "#E69F00", "#56B4E9")
# One more than the colours, so that 56 losses go by before a pair of both comes again.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.5), (6, 1.5, 1, 1.5), (8, 2), (3, 1, 1, 1, 1, 1))
INK, FAINT = "#333333", "#777777"
WIDTH, HEIGHT, DPI = 6.4, 4.0, 200  # inches, inches, dots an inch
LABEL_GAP = 0.055  # least distance between two labels, as a share of the height of the axes
MARGIN = 0.35  # free space left and right of the points, in doublings of n
DODGE = 0.014  # distance between two points of the same n, as a share of the width of the axes
# The line from the left end of a label to its point.
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "alpha": 0.5, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "rerank-ablations",  # the same study gives the same bytes
}


@dataclass(frozen=True)
class Label:
    """A text beside the axes and the point, in data coordinates, that it belongs to."""

    text: str
    colour: str
    x: float
    y: float


@dataclass(frozen=True)
class Series:
    """One line: the cells of a loss, and of one value of each axis that splits lines, by number of negatives."""

    loss: str
    variant: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        """What is written at the line's end."""
        return ", ".join((self.loss, *(word for word in self.variant if word)))


def draw_study(blocks: Sequence[Block], folder: Path) -> list[Path]:
    """Draw each block that has groups of negatives as PNG and SVG into ``folder``; the paths of the files."""
    import matplotlib

    losses = sorted({series.loss for block in blocks for series in series_of(block)})
    several_data = len({block.data for block in blocks}) > 1
    paths: list[Path] = []
    with matplotlib.rc_context(STYLE):
        for block in blocks:
            if not series_of(block):
                continue
            figure = draw_block(block, losses)
            name = picture_name(block, with_data=several_data)
            for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
                paths.append(folder / f"{name}.{suffix}")
                figure.savefig(paths[-1], dpi=DPI, metadata=metadata)
    return paths


def picture_name(block: Block, with_data: bool = False) -> str:
    """The file name of a block's picture without its ending: ``rr10_by_negatives.bm25``."""
    measure = re.sub(r"[^a-z0-9]", "", block.measure.lower())
    return ".".join([f"{measure}_by_negatives", *([block.data] if with_data else []), block.first_stage])


def series_of(block: Block) -> list[Series]:
    """The lines of a block, by loss. An axis splits lines only if cells of the same loss and n differ in it."""
    drawn = [cell for cell in block.cells if cell.negatives]
    axes = [axis for axis in block.axes if _splits(axis, drawn)]
    lines: dict[tuple[str, tuple[str, ...]], list[Cell]] = {}
    for cell in drawn:
        values = ((axis, cell.labels.get(axis)) for axis in axes)
        variant = tuple("" if value is None else f"{axis.rpartition('.')[2]} {value}" for axis, value in values)
        lines.setdefault((str(cell.labels["loss"]), variant), []).append(cell)
    return [
        Series(loss, variant, tuple(sorted(cells, key=lambda cell: cell.negatives or 0)))
        for (loss, variant), cells in sorted(lines.items(), key=lambda line: line[0])
    ]


def _splits(axis: str, cells: Sequence[Cell]) -> bool:
    seen: dict[tuple[object, object], set[str]] = {}
    for cell in cells:
        seen.setdefault((cell.labels.get("loss"), cell.negatives), set()).add(str(cell.labels.get(axis)))
    return any(len(values) > 1 for values in seen.values())


def draw_block(block: Block, losses: Sequence[str]) -> "Figure":
    """The picture of a block; ``losses`` are all of the study, so that a loss looks the same in each picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.subplots()
    lines = series_of(block)
    variants = list(dict.fromkeys(line.variant for line in lines))
    counts = sorted({cell.negatives for line in lines for cell in line.cells if cell.negatives})
    _set_axes(axes, block, counts)
    labels: list[Label] = []
    for index, line in enumerate(lines):
        loss, variant = losses.index(line.loss), variants.index(line.variant)
        shift = _dodge(counts, len(lines)) * (index - (len(lines) - 1) / 2)
        end = _draw_line(axes, line, block, loss, variant, shift)
        labels.append(Label(line.label, COLOURS[loss % len(COLOURS)], *end))
    level = block.first_stage_mean
    axes.axhline(level, color=FAINT, linewidth=1, dashes=(5, 3), zorder=1)
    labels.append(Label(f"{proper_name(block.reference)} {level:.3f}", FAINT, axes.get_xlim()[1], level))
    _write_labels(axes, labels)
    _set_titles(figure, block)
    widest = max(len(label.text) for label in labels)
    figure.subplots_adjust(left=0.115, right=max(0.45, 0.95 - 0.0122 * widest), bottom=0.125, top=0.8)
    return figure


def _dodge(counts: Sequence[int], lines: int) -> float:
    """How far apart, in doublings of n, two neighbouring lines stand: never so far that they reach the next n."""
    doublings = [math.log2(count) for count in counts]
    nearest = min((after - before for before, after in pairwise(doublings)), default=1.0)
    return min(DODGE * (doublings[-1] - doublings[0] + 2 * MARGIN), 0.6 * nearest / lines)


def _draw_line(axes: "Axes", line: Series, block: Block, loss: int, variant: int, shift: float) -> tuple[float, float]:
    """Draw one line with its error bars, moved by ``shift`` doublings of n; where it ends, in data coordinates."""
    x = [(cell.negatives or 0) * 2.0**shift for cell in line.cells]
    y = [block.first_stage_mean + cell.difference.mean for cell in line.cells]
    below = [cell.difference.mean - cell.difference.low for cell in line.cells]
    above = [cell.difference.high - cell.difference.mean for cell in line.cells]
    colour = COLOURS[loss % len(COLOURS)]
    axes.errorbar(x, y, yerr=[below, above], fmt="none", ecolor=colour, elinewidth=1, capsize=2, alpha=0.75, zorder=2)
    axes.plot(
        x,
        y,
        color=colour,
        linewidth=1.6,
        dashes=DASHES[variant % len(DASHES)],
        marker=MARKERS[loss % len(MARKERS)],
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        # Past the last dash pattern the markers are hollow: twice as many variants can be told apart.
        markerfacecolor=colour if variant < len(DASHES) else "white",
        zorder=3,
    )
    return x[-1], y[-1]


def _set_axes(axes: "Axes", block: Block, counts: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(counts[0] * 2**-MARGIN, counts[-1] * 2**MARGIN)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("negatives per query, n")
    axes.set_ylabel(block.measure)


def _write_labels(axes: "Axes", labels: Sequence[Label]) -> None:
    """Write each label right of the axes, as near as the others let it to the height of the point it belongs to."""
    low, high = axes.get_ylim()
    heights = spread([(label.y - low) / (high - low) for label in labels], min(LABEL_GAP, 1 / len(labels)))
    for label, height in zip(labels, heights, strict=True):
        axes.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(1.025, height),
            textcoords="axes fraction",
            color=label.colour,
            va="center",
            ha="left",
            arrowprops={"color": label.colour} | LEADER,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved as little as it takes for any two to be at least ``gap`` apart; no two change their order.

    Neighbours that are too close form a group around their common mean, as in pool-adjacent-violators.
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    groups: list[list[float]] = []  # each: mean of (height - rank * gap), number of members
    for rank, index in enumerate(order):
        groups.append([heights[index] - rank * gap, 1])
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            mean, size = groups.pop()
            groups[-1] = [(groups[-1][0] * groups[-1][1] + mean * size) / (groups[-1][1] + size), groups[-1][1] + size]
    levels = [mean for mean, size in groups for _ in range(int(size))]
    placed = [0.0] * len(heights)
    for rank, index in enumerate(order):
        placed[index] = levels[rank] + rank * gap
    return placed


def _set_titles(figure: "Figure", block: Block) -> None:
    reference = proper_name(block.reference)
    fewest, most = block.seed_counts[0], block.seed_counts[-1]
    seeds = f"{fewest} to {most} seeds" if fewest < most else f"{most} seeds"
    points = f"Points: mean of {seeds}" if most > 1 else "One seed"
    budget = block.constants.get("budget")
    explanation = (
        f"{points}{f', {budget} a model' if budget else ''}. Bars: 95 % interval of the difference to {reference},\n"
        "paired bootstrap over queries. "
        "Where a bar does not reach the dashed line, the interval excludes 0."
    )
    title = f"{heading(block)}, {len(block.query_ids):,} test queries"
    figure.text(0.02, 0.965, title, size=11, weight="bold", va="top")
    figure.text(0.02, 0.905, explanation, size=7.5, color=FAINT, va="top", linespacing=1.35)
