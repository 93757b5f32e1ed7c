"""How all figures style: colours, sizes, and a frame of title, explanation and axes.

Series have the colours of Okabe and Ito (2008), which readers with any common colour vision tell apart. The brighter
ones are darkened, so that each has a contrast of 3:1 or more (WCAG 2.2, 1.4.11) on white paper as well as on the page's
dark ground; black is the ink of the text and changes with the ground. Numbers of negatives are ordered and get a ramp
from blue to amber instead, of like contrast.

Figures are made without pyplot: no display, no global state.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from experiments.common.text import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")
INK, FAINT, GRID, PAPER, BLACK = "#333333", "#777777", "#e6e6e6", "#ffffff", "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", BLACK, "#CC79A7", "#B27D00", "#8A63D2", "#8C6D4F")
RAMP = ("#3B6FD1", "#7F5FCF", "#B04FA8", "#CC4678", "#D0512A", "#B97900")
# One more than the colours, so that 72 losses go by before a pair of both comes again.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.5), (6, 1.5, 1, 1.5), (8, 2), (3, 1, 1, 1, 1, 1))
WIDTH, HEIGHT, DPI = 6.4, 4.0, 200  # inches, inches, dots an inch
LEFT, BOTTOM = 0.736, 0.5  # inches left of and below the axes
LINE = 0.14  # inches that a line of the explanation takes
PANEL_LINE = 0.16  # inches that a line of a panel's title takes
PANEL_LETTERS = 80  # of the titles of panels side by side
LEGEND_LINE = 0.2  # inches that a line of a legend takes
LETTERS = 112  # of a line of the explanation, on the usual width
LEGEND_LETTERS = 104  # of a line of a legend, marks included
LEAST_ROOM = 0.06  # of a measure or a share
HEADING = "heading"  # marks what a page writes itself, as text
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "rerank-ablations",  # the same study gives the same bytes
}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Give what a function draws the style of all figures."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> T:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **options)

    return drawn


@dataclass(frozen=True)
class Frame:
    """A figure with its heading.

    Attributes:
        figure: of matplotlib.
        title: in bold at the top.
        explanation: below it.
        heading: inches from the top that title and explanation take.
        header: the same with the legend below them.
    """

    figure: "Figure"
    title: str
    explanation: str
    heading: float
    header: float

    def place(self, widest: int = 0, titles: float = 0.0, left: float = LEFT) -> None:
        """Set the axes below the header, with room at the right for labels of ``widest`` letters, above for the
        ``titles`` of panels and ``left`` of them, in inches.
        """
        width, height = self.figure.get_size_inches()
        right = max(0.45, 0.95 - 0.0122 * WIDTH / width * widest) if widest else 1 - 0.15 / width
        top = 1 - (self.header + titles) / height
        self.figure.subplots_adjust(left=left / width, right=right, bottom=BOTTOM / height, top=top)

    def write_legend(self, handles: Sequence[Any]) -> None:
        """Names with their marks, in the lines that the header has for them."""
        if not handles:
            return
        width, height = self.figure.get_size_inches()
        self.figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.06 / width, 1 - (self.heading - 0.06) / height),
            ncols=-(-len(handles) // legend_rows(handles)),
            frameon=False,
            fontsize=8,
            handlelength=2.2,
            handletextpad=0.5,
            columnspacing=1.6,
            labelspacing=0.3,
            borderpad=0.0,
            borderaxespad=0.0,
        )


def framed(title: str, explanation: str, body: float, legend: Sequence[Any] = (), width: float = WIDTH) -> Frame:
    """An empty figure under its heading. ``body``: inches of what stands below the header; ``legend``: its entries."""
    from matplotlib.figure import Figure

    lines = textwrap.wrap(explanation, int(LETTERS * width / WIDTH))
    heading = 0.52 + LINE * len(lines)
    header = heading + LEGEND_LINE * legend_rows(legend)
    height = body + header
    figure = Figure(figsize=(width, height))
    left = 0.128 / width
    grey: dict[str, Any] = {"size": 7.5, "color": FAINT, "linespacing": 1.35}
    figure.text(left, 1 - 0.14 / height, title, size=11, weight="bold", va="top", gid=f"{HEADING}-title")
    figure.text(left, 1 - 0.38 / height, "\n".join(lines), va="top", gid=f"{HEADING}-explanation", **grey)
    frame = Frame(figure, title, explanation, heading, header)
    frame.write_legend(legend)
    return frame


def legend_rows(handles: Sequence[Any]) -> int:
    """The lines that a legend takes."""
    widest = max((len(handle.get_label()) for handle in handles), default=0)
    across = max(1, int(LEGEND_LETTERS / (widest + 8)))
    return -(-len(handles) // across)


def set_counts(axes: "Axes", counts: Sequence[int], margin: float) -> None:
    """Numbers of negatives as the ticks of a logarithmic x axis. ``margin``: free space at both sides, in doublings."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(counts[0] * 2**-margin, counts[-1] * 2**margin)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("negatives per query, n")


def set_amounts(axes: "Axes", name: str) -> None:
    """A logarithmic x axis of amounts, its ticks written out short: ``500``, ``20k``, ``1.2M``."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5) if high / low < 300 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(name)


def panel_titles(grids: Any, titles: Sequence[str]) -> float:
    """Write the titles of panels, in as many lines as their width takes; the inches needed above each."""
    letters = PANEL_LETTERS // len(grids[0])
    wrapped = [textwrap.wrap(title, letters) for title in titles]
    most = max(map(len, wrapped))
    for axes, lines in zip(grids.flat, wrapped, strict=False):
        axes.set_title("\n".join(lines), size=8, loc="left", pad=4)
    return PANEL_LINE * most + 0.04


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """How far the y axis of a measure reaches at most, given its points and levels: as far again at both sides, and
    not beyond 0 and 1. Of two seeds intervals can be so wide that they would press all points into one line.
    """
    room = max(max(values) - min(values), LEAST_ROOM)
    return max(0.0, min(values) - room), min(1.0, max(values) + room)


def cut(values: Sequence[float], ends: Sequence[float]) -> str:
    """A sentence if bars' ends lie beyond the bounds."""
    low, high = bounds(values)
    return " Bars that leave the figure are cut off." if any(end < low or end > high for end in ends) else ""


def set_bounds(axes: "Axes", values: Sequence[float]) -> None:
    """Cut the y axis off at the bounds."""
    low, high = axes.get_ylim()
    lowest, highest = bounds(values)
    axes.set_ylim(max(low, lowest), min(high, highest))


def set_shares(axes: "Axes") -> None:
    """A y axis of shares: from 0, and not of none only."""
    axes.set_ylim(0, max(1.06 * axes.get_ylim()[1], LEAST_ROOM))


def grid(axes: "Axes") -> None:
    """Quiet horizontal lines behind the data."""
    axes.grid(axis="y", color=GRID, linewidth=0.6)
