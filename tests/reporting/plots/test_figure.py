"""A picture as files and as SVG within a page, and colours that can be seen on both its grounds."""

import re
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import pytest

from experiments.common.text import amount
from experiments.reporting.plots.figure import ReportFigure, save_figures, style_on_page, svg
from experiments.reporting.plots.style import BLACK, COLOURS, RAMP, bounds, cut, framed

SVG = "{http://www.w3.org/2000/svg}"


def picture(name: str = "rr10_by_negatives.bm25") -> ReportFigure:
    """A line with markers, clipped and hashed ids, on a grid."""
    frame = framed("A title", "How to read it.", body=3.2)
    axes = frame.figure.subplots()
    axes.plot([1, 2], [0.1, 0.2], color=BLACK, marker="o", markeredgecolor="white")
    axes.grid(color="#e6e6e6")
    axes.set_ylabel("RR@10 <here>", color="#333333")
    return ReportFigure(name, "negatives", "A title & more", "How to read it.", frame.figure, frame.heading)


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_the_greatest() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("ground", ["#ffffff", "#14171a"])
def test_every_colour_can_be_seen_on_light_and_on_dark_ground(ground: str) -> None:
    for colour in {*COLOURS, *RAMP} - {BLACK}:  # black is the page's ink
        assert contrast(colour, ground) >= 3, colour


def test_files_are_png_and_svg_of_the_picture_s_name_and_size(tmp_path: Path) -> None:
    paths = save_figures([picture()], tmp_path)
    assert [path.name for path in paths] == ["rr10_by_negatives.bm25.png", "rr10_by_negatives.bm25.svg"]
    height, width, _ = matplotlib.image.imread(paths[0]).shape
    assert (width, height) == (1280, 772)
    assert "<svg" in paths[1].read_text(encoding="utf-8")


def test_the_same_picture_gives_the_same_bytes_and_the_same_svg(tmp_path: Path) -> None:
    once = [path.read_bytes() for path in save_figures([picture()], tmp_path)]
    assert [path.read_bytes() for path in save_figures([picture()], tmp_path)] == once
    assert svg(picture()) == svg(picture())


def test_svg_for_a_page_is_one_element_without_prologue_or_rules_for_the_whole_page() -> None:
    text = svg(picture())
    assert text.startswith("<svg")
    assert not re.search(r"<style|<metadata|<!DOCTYPE|<\?xml|stroke-linejoin: round; *}", text)
    root = ElementTree.fromstring(text)
    assert root.get("width") is None
    assert "width: 100%" in root.get("style", "")


def test_title_and_caption_are_told_to_screen_readers_and_not_drawn() -> None:
    root = ElementTree.fromstring(svg(picture()))
    assert root.get("role") == "img"
    by_id = {one.get("id"): one.text for one in root if one.tag in (f"{SVG}title", f"{SVG}desc")}
    assert list(by_id.values()) == ["A title & more", "How to read it."]
    assert root.get("aria-labelledby", "").split() == list(by_id)
    assert [one.text for one in root.iter(f"{SVG}text") if one.text == "A title"] == []


def test_text_is_text_in_the_page_s_font() -> None:
    texts = list(ElementTree.fromstring(svg(picture())).iter(f"{SVG}text"))
    assert "RR@10 <here>" in [one.text for one in texts]
    assert all("font-family" not in one.get("style", "") and "font:" not in one.get("style", "") for one in texts)
    assert all("font-size" in one.get("style", "") for one in texts)


def test_ink_is_the_page_s() -> None:
    text = svg(picture()).lower()
    assert "currentcolor" in text
    assert not re.search("#000000|#333333|#777777|#e6e6e6|#ffffff|(fill|stroke): (black|white)", text)


def test_ids_of_two_pictures_differ_and_every_reference_is_to_one_of_its_own() -> None:
    ids, references = [], []
    for name in ("one.bm25", "two.bm25"):
        elements = list(ElementTree.fromstring(svg(picture(name))).iter())
        values = list(chain.from_iterable(one.attrib.items() for one in elements))
        own = [value for key, value in values if key == "id"]
        ids += own
        found = [value for key, value in values if key.endswith("href")] + [
            match for _, value in values for match in re.findall(r"url\((#[^)]+)\)", value)
        ]
        assert {one.removeprefix("#") for one in found} <= set(own)
        references += found
    assert len(ids) == len(set(ids))
    assert references


def test_a_colour_keeps_its_opacity_where_it_follows_the_page() -> None:
    assert style_on_page("fill: none; stroke: #e6e6e6; stroke-opacity: 0.5; stroke-width: 0.6") == (
        "fill: none; stroke: currentColor; stroke-opacity: 0.07; stroke-width: 0.6"
    )
    assert style_on_page("fill: #0072b2; stroke: #ffffff") == ("fill: #0072b2; stroke: var(--picture-ground, Canvas)")
    assert style_on_page("font: bold 11px 'DejaVu Sans', sans-serif; text-anchor: start") == (
        "text-anchor: start; font-size: 11px; font-weight: bold"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(500, "500"), (20_000, "20k"), (1_234_567, "1.23M"), (3e15, "3P"), (0.5, "0.5")]
)
def test_amounts_are_short(value: float, text: str) -> None:
    assert amount(value) == text


def test_an_axis_reaches_as_far_beyond_its_points_as_they_span_and_not_beyond_0_and_1() -> None:
    assert bounds([0.4, 0.5]) == pytest.approx((0.3, 0.6))
    assert bounds([0.5]) == pytest.approx((0.44, 0.56))
    assert bounds([0.1, 0.9]) == (0.0, 1.0)


def test_only_bars_that_are_cut_off_are_said_to_be() -> None:
    assert cut([0.4, 0.5], [0.35, 0.55, float("nan")]) == ""
    assert cut([0.4, 0.5], [0.25, 0.55]) == " Bars that leave the figure are cut off."
