"""Set colours, sizes, and the frame of title, explanation and axes for all figures.

Series have the colours of Okabe and Ito (2008), safe for common colour blindness. The brighter ones are darkened to a
contrast of at least 3:1 (WCAG 2.2, 1.4.11) on white and on the page's dark background; black changes with the text.
Numbers of negatives are ordered and get a ramp from blue to amber. Figures use no pyplot: no display, no global state.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from experiments.common.strict_text import replace_halves
from experiments.common.text import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")
INK, FAINT, GRID, PAPER, BLACK = "#333333", "#777777", "#e6e6e6", "#ffffff", "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", BLACK, "#CC79A7", "#B27D00", "#8A63D2", "#8C6D4F")
RAMP = ("#3B6FD1", "#7F5FCF", "#B04FA8", "#CC4678", "#D0512A", "#B97900")
# One more than the colours: 72 losses have different pairs of both.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.5), (6, 1.5, 1, 1.5), (8, 2), (3, 1, 1, 1, 1, 1))
WIDTH, HEIGHT, DPI = 6.4, 4.0, 200  # inches, inches, dots an inch
LEFT, BOTTOM = 0.736, 0.5  # inches left of and below the axes
LINE = 0.14  # inches per line of the explanation
PANEL_LINE = 0.16  # inches per line of a panel's title
PANEL_LETTERS = 80  # in the titles of panels side by side
LEGEND_LINE = 0.2  # inches per line of a legend
LETTERS = 112  # per line of the explanation, at the usual width
LEGEND_LETTERS = 104  # per line of a legend, marks included
TITLE_LETTERS, TITLE_LINE = 64, 0.19  # per line of a figure's title, at the usual width, and the inches of a line
MOST_LINES = 8  # of a title, an explanation or a claim; the rest is left out
LEAST_ROOM = 0.06  # smallest padding of a y axis
HEADING = "heading"  # marks the texts that a page writes itself
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.parse_math": False,  # a dollar sign in a title or a label is one
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
    """Run a drawing function with the style of all figures."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> T:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **options)

    return drawn


@dataclass(frozen=True)
class Frame:
    """A matplotlib figure with its heading.

    ``heading``: height in inches of title and explanation. ``header``: the same with the legend.
    """

    figure: "Figure"
    title: str
    explanation: str
    heading: float
    header: float

    def place(self, widest: int = 0, titles: float = 0.0, left: float = LEFT) -> None:
        """Place the axes below the header, with ``widest`` letters at the right.

        ``titles``, ``left``: inches above the axes for the titles of panels, and left of the axes.
        """
        width, height = self.figure.get_size_inches()
        right = max(0.45, 0.95 - 0.0122 * WIDTH / width * widest) if widest else 1 - 0.15 / width
        top = 1 - (self.header + titles) / height
        self.figure.subplots_adjust(left=left / width, right=right, bottom=BOTTOM / height, top=top)


def framed(title: str, explanation: str, body: float, legend: Sequence[Any] = (), width: float = WIDTH) -> Frame:
    """Return an empty figure with its heading. ``body``: inches below the header; ``legend``: its entries."""
    from matplotlib.figure import Figure

    lines = wrapped(explanation, int(LETTERS * width / WIDTH))
    titles = wrapped(title, int(TITLE_LETTERS * width / WIDTH), 3)
    below = TITLE_LINE * (len(titles) - 1)
    heading = 0.52 + below + LINE * len(lines)
    header = heading + LEGEND_LINE * legend_rows(legend)
    height = body + header
    figure = Figure(figsize=(width, height))
    left = 0.128 / width
    grey: dict[str, Any] = {"size": 7.5, "color": FAINT, "linespacing": 1.35}
    bold: dict[str, Any] = {"size": 11, "weight": "bold"}
    figure.text(left, 1 - 0.14 / height, "\n".join(titles), va="top", gid=f"{HEADING}-title", **bold)
    figure.text(left, 1 - (0.38 + below) / height, "\n".join(lines), va="top", gid=f"{HEADING}-explanation", **grey)
    if legend:
        figure.legend(
            handles=legend,
            loc="upper left",
            bbox_to_anchor=(0.06 / width, 1 - (heading - 0.06) / height),
            ncols=-(-len(legend) // legend_rows(legend)),
            frameon=False,
            fontsize=8,
            handlelength=2.2,
            handletextpad=0.5,
            columnspacing=1.6,
            labelspacing=0.3,
            borderpad=0.0,
            borderaxespad=0.0,
        )
    return Frame(figure, title, explanation, heading, header)


def wrapped(text: str, letters: int, most: int = MOST_LINES) -> list[str]:
    """Return a user's text as lines that fit; long words are broken, and what is beyond ``most`` lines is left out."""
    return textwrap.wrap(replace_halves(text), letters, max_lines=most, placeholder=" …") or [""]


def shortened(text: str, letters: int) -> str:
    """Return a user's text on one line of at most some letters."""
    line = " ".join(replace_halves(text).split())
    return line if len(line) <= letters else f"{line[: letters - 1].rstrip()}…"


def legend_rows(handles: Sequence[Any]) -> int:
    """Return the number of lines of a legend."""
    widest = max((len(handle.get_label()) for handle in handles), default=0)
    across = max(1, int(LEGEND_LETTERS / (widest + 8)))
    return -(-len(handles) // across)


def set_counts(axes: "Axes", counts: Sequence[int], margin: float, name: str = "negatives per query, n") -> None:
    """Set numbers as ticks of a logarithmic x axis. ``margin``: free space at both sides, in doublings."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(counts[0] * 2**-margin, counts[-1] * 2**margin)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(name)


def set_amounts(axes: "Axes", name: str) -> None:
    """Set a logarithmic x axis of amounts with short ticks: ``500``, ``20k``, ``1.2M``."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5) if high / low < 300 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(name)


def panel_titles(grids: Any, titles: Sequence[str]) -> float:
    """Write the wrapped titles of panels, and return the inches needed above each panel."""
    letters = PANEL_LETTERS // len(grids[0])
    lines_of = [wrapped(title, letters) for title in titles]
    most = max(map(len, lines_of))
    for axes, lines in zip(grids.flat, lines_of, strict=False):
        axes.set_title("\n".join(lines), size=8, loc="left", pad=4)
    return PANEL_LINE * most + 0.04


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return the largest limits of a measure's y axis: the range of its points, padded by its width, within [0, 1].

    Without them, the wide intervals of two seeds would press all points into one line.
    """
    room = max(max(values) - min(values), LEAST_ROOM)
    return max(0.0, min(values) - room), min(1.0, max(values) + room)


def cut(values: Sequence[float], ends: Sequence[float]) -> str:
    """Return a sentence if bars end outside of the bounds."""
    low, high = bounds(values)
    return " Bars that leave the figure are cut off." if any(end < low or end > high for end in ends) else ""


def set_bounds(axes: "Axes", values: Sequence[float]) -> None:
    """Clip the y axis to the bounds."""
    low, high = axes.get_ylim()
    lowest, highest = bounds(values)
    axes.set_ylim(max(low, lowest), min(high, highest))


def set_shares(axes: "Axes") -> None:
    """Start a y axis of shares at 0, with the smallest padding."""
    axes.set_ylim(0, max(1.06 * axes.get_ylim()[1], LEAST_ROOM))


def grid(axes: "Axes") -> None:
    """Draw thin horizontal lines behind the data."""
    axes.grid(axis="y", color=GRID, linewidth=0.6)
