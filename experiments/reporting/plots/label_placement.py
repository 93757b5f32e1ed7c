"""Place names at the ends of lines and next to points, without overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.reporting.plots.style import INK, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS = 44  # of a label, which has half of the figure at most
GAP = 0.055  # smallest distance of two labels, as a share of the axes' height
# The line from the left end of a label to its point.
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "alpha": 0.5, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)}
LETTER = (0.56, 1.15)  # width and height of a letter of DejaVu Sans, as a share of the font size
# Directions in x and y from a point to its name, the preferred first.
SIDES = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A text right of the axes and its point, in data coordinates."""

    text: str
    colour: str
    x: float
    y: float


def write_labels(axes: "Axes", labels: Sequence[Label]) -> None:
    """Write each label right of the axes, close to the height of its point. The axes' limits must be final."""
    low, high = axes.get_ylim()
    heights = spread([(label.y - low) / (high - low) for label in labels], min(GAP, 1 / max(1, len(labels))))
    for label, height in zip(labels, heights, strict=True):
        axes.annotate(
            shortened(label.text, LETTERS),
            xy=(label.x, label.y),
            xytext=(1.025, height),
            textcoords="axes fraction",
            color=label.colour,
            va="center",
            ha="left",
            arrowprops={"color": label.colour} | LEADER,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights as little as possible so that any two are ``gap`` apart, in the same order.

    Close neighbours form a group around their mean, as in pool-adjacent-violators.
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


def name_points(axes: "Axes", points: Sequence[tuple[float, float]], names: Sequence[str], size: float = 7) -> None:
    """Write each non-empty name next to its point (in data coordinates) where it covers least.

    The axes' limits and position must be final.
    """
    at = [tuple(map(float, axes.transData.transform(point))) for point in points]
    scale = axes.figure.dpi / 72
    inside = axes.get_window_extent()
    taken: list[Box] = [(x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale) for x, y in at]
    for (x, y), full, point in zip(at, names, points, strict=True):
        name = shortened(full, LETTERS)
        if not name:
            continue
        choices = [(side, name_box((x, y), name, side, size * scale)) for side in SIDES]
        costs = [_cost(box, taken, (inside.x0, inside.y0, inside.x1, inside.y1)) for _, box in choices]
        (right, up), box = choices[costs.index(min(costs))]
        taken.append(box)
        axes.annotate(
            name,
            xy=point,
            xytext=(5 * right, 6 * up if right == 0 else 4.5 * up),
            textcoords="offset points",
            size=size,
            color=INK,
            ha={1: "left", 0: "center", -1: "right"}[right],
            va={1: "bottom", 0: "center", -1: "top"}[up],
        )


def name_box(point: tuple[float, float], name: str, side: tuple[int, int], size: float) -> Box:
    """Estimate the box of a name at a side of a point: left, bottom, right, top, in dots."""
    width, height = LETTER[0] * size * len(name), LETTER[1] * size
    x = point[0] + side[0] * (0.7 * size + width / 2)
    y = point[1] + side[1] * (0.7 * size + height / 2)
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _cost(box: Box, taken: Sequence[Box], inside: Box) -> float:
    """Return the area of a box that overlaps others, plus twice the area outside of the axes."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_shared(box, other) for other in taken) + 2 * (area - _shared(box, inside))


def _shared(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
