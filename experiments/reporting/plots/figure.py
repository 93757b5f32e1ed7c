"""A figure of a report: as files for a paper, and as SVG that takes the colours of its page."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from experiments.reporting.plots.style import BLACK, DPI, FAINT, GRID, HEADING, INK, PAPER, STYLE, Frame, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECTIONS = ("negatives", "layers", "steps", "diagnostics", "cost", "claims")
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# What of a figure follows the page: its colour there and how opaque it is.
ON_PAGE = {
    BLACK: ("currentColor", 1.0),
    INK: ("currentColor", 0.88),
    FAINT: ("currentColor", 0.62),
    GRID: ("currentColor", 0.14),
    PAPER: ("var(--picture-ground, Canvas)", 1.0),
}
FONT = re.compile(r"^(?P<kind>(?:[a-z]+ )*)(?P<size>[\d.]+)px")


@dataclass(frozen=True)
class ReportFigure:
    """A figure and what a report needs to know of it.

    Attributes:
        name: stem of its files.
        section: one of ``SECTIONS``; ``audit`` for one that belongs to no study.
        title: one line.
        caption: how to read it, in sentences.
        figure: of matplotlib.
        heading: inches at its top that repeat title and caption.
    """

    name: str
    section: str
    title: str
    caption: str
    figure: "Figure"
    heading: float


def report_figure(frame: Frame, name: str, section: str) -> ReportFigure:
    """Return a drawn frame as a figure of a report."""
    return ReportFigure(name, section, frame.title, frame.explanation, frame.figure, frame.heading)


@styled
def save_figures(figures: Sequence[ReportFigure], folder: Path) -> list[Path]:
    """Write each figure as PNG and SVG, and return the paths. The same figure gives the same bytes."""
    paths: list[Path] = []
    for figure in figures:
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            paths.append(folder / f"{figure.name}.{suffix}")
            figure.figure.savefig(paths[-1], dpi=DPI, metadata=metadata)
    return paths


def svg(figure: ReportFigure) -> str:
    """Return the figure as an ``<svg>`` element for a page, without title and caption, which a page writes itself.

    Its ink is the page's ``currentColor``, its ground transparent, its width that of its box; the inside of hollow
    markers and the rim of full ones have the colour of the CSS variable ``--picture-ground``, or of the canvas. Text is
    text in the page's font. All ids begin with the figure's name, so that several figures can stand in one page.
    """
    root = ElementTree.fromstring(_drawn(figure))
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", figure.name)
    for parent in list(root.iter()):
        for child in [node for node in parent if _tag(node) in ("metadata", "style") or _heading(node)]:
            parent.remove(child)
        # matplotlib wraps its rule for all elements, which would hold for the whole page, in a <defs> of its own
        for child in [node for node in parent if _tag(node) == "defs" and not len(node)]:
            parent.remove(child)
    for element in root.iter():
        _rename(element, prefix)
        if style := element.get("style"):
            element.set("style", style_on_page(style))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    described = {f"{prefix}-title": ("title", figure.title), f"{prefix}-desc": ("desc", figure.caption)}
    for index, (name, (tag, text)) in enumerate(described.items()):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": name})
        element.text = text
        root.insert(index, element)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": " ".join(described),
        "style": "width: 100%; height: auto; color: inherit; fill: currentColor; "
        "stroke-linejoin: round; stroke-linecap: butt",
    }
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def style_on_page(style: str) -> str:
    """An inline style with the colours that follow the page and with the page's font."""
    found = dict(part.strip().split(": ", 1) for part in style.split(";") if part.strip())
    for paint in ("fill", "stroke"):
        colour = found.get(paint, "").lower()
        if colour in ON_PAGE:
            found[paint], opacity = ON_PAGE[colour]
            if opacity < 1:
                found[f"{paint}-opacity"] = f"{opacity * float(found.get(f'{paint}-opacity', 1)):g}"
    found.pop("font-family", None)
    if font := FONT.match(found.pop("font", "")):  # how matplotlib before 3.11 writes it
        found["font-size"] = f"{font['size']}px"
        if "bold" in font["kind"]:
            found["font-weight"] = "bold"
    return "; ".join(f"{name}: {value}" for name, value in found.items())


def _drawn(figure: ReportFigure) -> str:
    """The SVG as matplotlib writes it, cut off below the header."""
    import matplotlib
    from matplotlib.transforms import Bbox

    width, height = figure.figure.get_size_inches()
    below = Bbox.from_extents(0, 0, width, height - figure.heading + 0.08)
    file = io.StringIO()
    with matplotlib.rc_context(STYLE | {"svg.fonttype": "none", "svg.id": None}):
        figure.figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True, bbox_inches=below)
    return file.getvalue()


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _heading(element: ElementTree.Element) -> bool:
    return element.get("id", "").startswith(HEADING)


def _rename(element: ElementTree.Element, prefix: str) -> None:
    for name, value in element.attrib.items():
        if name == "id":
            element.set(name, f"{prefix}-{value}")
        elif name in ("href", f"{{{XLINK}}}href"):
            element.set(name, value.replace("#", f"#{prefix}-"))
        elif "url(#" in value:
            element.set(name, value.replace("url(#", f"url(#{prefix}-"))
