"""Save a report's figures as files, and embed them in a page as SVG in the page's colours."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from experiments.common.disk import replacing
from experiments.reporting.plots.style import BLACK, DPI, FAINT, GRID, HEADING, INK, PAPER, STYLE, Frame, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECTIONS = ("negatives", "depths", "layers", "steps", "diagnostics", "cost", "claims")
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# Colours that follow the page: colour there, opacity.
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
    """A matplotlib figure with its texts.

    ``name``: stem of its files. ``section``: one of ``SECTIONS``, or ``audit``. ``caption``: how to read it.
    ``heading``: inches at its top that repeat title and caption.
    """

    name: str
    section: str
    title: str
    caption: str
    figure: "Figure"
    heading: float


def report_figure(frame: Frame, name: str, section: str) -> ReportFigure:
    """Turn a drawn frame into a figure of a report."""
    return ReportFigure(name, section, frame.title, frame.explanation, frame.figure, frame.heading)


@styled
def save_figures(figures: Sequence[ReportFigure], folder: Path) -> list[Path]:
    """Write each figure as reproducible PNG and SVG, and return the paths."""
    paths: list[Path] = []
    for figure in figures:
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            paths.append(folder / f"{figure.name}.{suffix}")
            with replacing(paths[-1]) as file:
                figure.figure.savefig(file, format=suffix, dpi=DPI, metadata=metadata)
    return paths


def svg(figure: ReportFigure) -> str:
    """Return the figure as an ``<svg>`` element for a page, without title and caption.

    Ink is the page's ``currentColor``, the background transparent, the width 100 %. Insides of hollow markers and rims
    of full ones have the colour of the CSS variable ``--picture-ground``, or of the canvas. Text is in the page's font.
    All ids start with the figure's name, so that a page can hold several figures.
    """
    root = ElementTree.fromstring(_drawn(figure))
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", figure.name)
    for parent in list(root.iter()):
        for child in list(parent):
            if _tag(child) in ("metadata", "style") or child.get("id", "").startswith(HEADING):
                parent.remove(child)
        # a <defs> that held only matplotlib's style, which would apply to the whole page
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
    """Replace colours and font of an inline style by the page's."""
    properties = dict(part.strip().split(": ", 1) for part in style.split(";") if part.strip())
    for paint in ("fill", "stroke"):
        colour = properties.get(paint, "").lower()
        if colour in ON_PAGE:
            properties[paint], opacity = ON_PAGE[colour]
            if opacity < 1:
                properties[f"{paint}-opacity"] = f"{opacity * float(properties.get(f'{paint}-opacity', 1)):g}"
    properties.pop("font-family", None)
    if font := FONT.match(properties.pop("font", "")):  # matplotlib before 3.11
        properties["font-size"] = f"{font['size']}px"
        if "bold" in font["kind"]:
            properties["font-weight"] = "bold"
    return "; ".join(f"{name}: {value}" for name, value in properties.items())


def _drawn(figure: ReportFigure) -> str:
    """Return matplotlib's SVG of a figure, without the header."""
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


def _rename(element: ElementTree.Element, prefix: str) -> None:
    for name, value in element.attrib.items():
        if name == "id":
            element.set(name, f"{prefix}-{value}")
        elif name in ("href", f"{{{XLINK}}}href"):
            element.set(name, value.replace("#", f"#{prefix}-"))
        elif "url(#" in value:
            element.set(name, value.replace("url(#", f"url(#{prefix}-"))
