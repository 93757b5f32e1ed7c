"""What the pictures of a measure over negatives and over computing show, and how they tell lines apart."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import FIRST_STAGE, write_job
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.analysis.findings import Findings, findings_of
from experiments.reporting.plots.by_negatives import by_negatives, by_pairs
from experiments.reporting.plots.figure import ReportFigure
from experiments.reporting.plots.label_placement import name_box, name_points, spread
from experiments.reporting.plots.line_styles import Line, panels_of, styles_of

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}
LOSSES = ["bce", "lce"]
TABLE = """
title: a table
source: Somebody 2020, Table 1
data: {data}
reference: {{loss: bce, negatives: 1}}
mark: primary
published: [{{loss: lce, negatives: 3, value: 0.8}}, {{loss: lce, negatives: 7, value: 0.9}}]
"""


def write_grid(study: Path, counts: tuple[int, ...] = (1, 3, 7), **axes: tuple[object, ...]) -> None:
    """Jobs of losses bce and lce by number of negatives, for every value of one further label if it is given."""
    name, values = next(iter(axes.items()), ("source", ("bm25",)))
    for loss in LOSSES:
        for count in counts:
            for value in values:
                labels = {"loss": loss, "negatives": count, name: value}
                reranked = BETTER if loss == "lce" else FIRST_STAGE
                write_job(study, f"{loss}-{count}-{value}", reranked, labels=labels, compute={"pairs": 100 * count})


def drawn(study: Path) -> ReportFigure:
    (picture,) = by_negatives(findings_of(study), LOSSES)
    return picture


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


def heights(line: Line2D) -> list[float]:
    return [float(height) for height in np.asarray(line.get_ydata(), dtype=float)]


def marked(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() in ("o", "s", "^")]


def test_a_further_axis_splits_the_lines(tmp_path: Path) -> None:
    write_grid(tmp_path, source=("bm25", "colbert"))
    assert {"bce, source BM25", "bce, source ColBERT", "lce, source BM25", "lce, source ColBERT"} <= set(
        texts(drawn(tmp_path).figure)
    )


def test_an_axis_that_follows_from_n_does_not_split_the_lines(tmp_path: Path) -> None:
    for count in (1, 3):
        write_job(tmp_path, f"n{count}", BETTER, labels={"negatives": count, "budget": f"{1000 * (count + 1)} pairs"})
    (line,) = marked(drawn(tmp_path).figure.axes[0])
    assert heights(line) == [pytest.approx(0.8125)] * 2


def test_the_numbers_of_negatives_are_the_ticks_of_a_logarithmic_axis(tmp_path: Path) -> None:
    write_grid(tmp_path)
    axes = drawn(tmp_path).figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "7"]
    assert list(axes.get_xticks(minor=True)) == []


def test_points_are_means_and_bars_the_interval_of_the_difference_around_them(tmp_path: Path) -> None:
    write_grid(tmp_path)
    findings: Findings = findings_of(tmp_path)
    axes = by_negatives(findings, LOSSES)[0].figure.axes[0]
    (lce,) = (line for line in marked(axes) if line.get_marker() == "s")
    assert heights(lce) == [pytest.approx(0.8125)] * 3
    bars = axes.collections[1]
    assert isinstance(bars, LineCollection)
    versus = findings.results[-1].comparison
    assert versus is not None
    assert [y for _, y in bars.get_segments()[-1]] == pytest.approx([0.4375 + versus.low, 0.4375 + versus.high])


def test_points_of_one_n_stand_side_by_side(tmp_path: Path) -> None:
    write_grid(tmp_path)
    bce, lce = (np.asarray(line.get_xdata(), dtype=float) for line in marked(drawn(tmp_path).figure.axes[0]))
    for left, count, right in zip(bce, (1, 3, 7), lce, strict=True):
        assert left < count < right < left * 1.1


def test_the_first_stage_is_a_labelled_line(tmp_path: Path) -> None:
    write_grid(tmp_path)
    figure = drawn(tmp_path).figure
    assert "BM25 0.438" in texts(figure)
    assert any(heights(line) == [0.4375, 0.4375] for line in figure.axes[0].lines)


def test_the_title_names_data_and_queries_and_the_caption_explains_the_bars(tmp_path: Path) -> None:
    write_grid(tmp_path)
    picture = drawn(tmp_path)
    title, explanation = texts(picture.figure)[:2]
    assert picture.title == title == "BM25 re-ranked, apidocs, 4 test queries"
    assert picture.caption == " ".join(explanation.split())
    assert "95 % interval of the difference to BM25, over queries, this seed only." in picture.caption
    assert "excludes 0" not in picture.caption


def test_a_reference_has_no_bar_and_a_level_of_its_own(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "table.yaml").write_text(TABLE.format(data="elsewhere"))
    picture = drawn(tmp_path)
    bars = [len(bars.get_segments()) for bars in picture.figure.axes[0].collections if isinstance(bars, LineCollection)]
    assert bars == [2, 3]
    assert "reference 0.438" in texts(picture.figure)
    assert "difference to loss bce, negatives 1, over queries" in picture.caption


def test_a_bar_over_seeds_that_does_not_reach_a_level_excludes_zero(tmp_path: Path) -> None:
    write_grid(tmp_path, seed=(1, 2))
    assert "Where a bar does not reach the dashed line, the interval excludes 0." in drawn(tmp_path).caption
    (tmp_path / "table.yaml").write_text(TABLE.format(data="elsewhere"))
    assert "does not reach the dotted line" in drawn(tmp_path).caption


def test_published_values_are_hollow_where_they_are_of_the_same_data(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "table.yaml").write_text(TABLE.format(data="apidocs"))
    picture = drawn(tmp_path)
    hollow = [line for line in marked(picture.figure.axes[0]) if line.get_markerfacecolor() == "#ffffff"]
    assert [heights(line) for line in hollow] == [[0.8, 0.9]]
    assert "Hollow, dotted: as published (Somebody 2020, Table 1)." in picture.caption


def test_published_values_of_other_data_are_not_drawn(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (tmp_path / "table.yaml").write_text(TABLE.format(data="elsewhere"))
    assert "as published" not in drawn(tmp_path).caption


def test_all_text_lies_within_the_picture(tmp_path: Path) -> None:
    write_grid(tmp_path, source=("bm25", "tct_colbert_v2_hn_plus"))
    figure = drawn(tmp_path).figure
    figure.draw_without_rendering()
    canvas = figure.bbox
    for text in (*figure.texts, *figure.axes[0].texts, figure.axes[0].yaxis.label, figure.axes[0].xaxis.label):
        box = text.get_window_extent()
        assert canvas.x0 <= box.x0 <= box.x1 <= canvas.x1, text.get_text()
        assert canvas.y0 <= box.y0 <= box.y1 <= canvas.y1, text.get_text()


def test_more_than_eight_lines_go_into_panels_with_a_legend(tmp_path: Path) -> None:
    write_grid(tmp_path, counts=(1, 3), source=("a", "b", "c", "d", "e"))
    figure = drawn(tmp_path).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["bce", "lce"]
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["source a", "source b", "source c", "source d", "source e", "BM25 0.438"]


def test_a_picture_is_called_by_its_measure_and_first_stage_and_by_its_data_if_there_are_several(
    tmp_path: Path,
) -> None:
    for data in ("apidocs", "medquad"):
        for count in (1, 3):
            write_job(tmp_path, f"{data}{count}", BETTER, labels={"negatives": count, "data": data}, measure="nDCG@10")
    names = [picture.name for picture in by_negatives(findings_of(tmp_path, "nDCG@10"), LOSSES)]
    assert names == ["ndcg10_by_negatives.apidocs.bm25", "ndcg10_by_negatives.medquad.bm25"]


@pytest.mark.parametrize("count", [None, 7])
def test_one_number_of_negatives_is_no_curve(tmp_path: Path, count: int | None) -> None:
    write_job(tmp_path, "a", BETTER, labels={"negatives": count})
    assert by_negatives(findings_of(tmp_path), LOSSES) == []


def test_over_computing_points_stand_beside_their_pairs_and_are_called_by_n(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (picture,) = by_pairs(findings_of(tmp_path), LOSSES)
    assert picture.name == "rr10_by_pairs.bm25"
    axes = picture.figure.axes[0]
    bce, lce = (np.asarray(line.get_xdata(), dtype=float) for line in marked(axes))
    assert (bce < lce).all()
    assert np.sqrt(bce * lce) == pytest.approx([100, 300, 700])
    # of two points above each other the higher one is called
    called = {text.get_text(): text.xy for text in axes.texts if text.get_text() in ("1", "3", "7")}
    assert called == {"1": (100.0, 0.8125), "3": (300.0, 0.8125), "7": (700.0, 0.8125)}


def test_equal_computing_makes_no_picture_over_it(tmp_path: Path) -> None:
    for count in (1, 3):
        write_job(tmp_path, f"n{count}", BETTER, labels={"negatives": count}, compute={"pairs": 8000 + count})
    assert by_pairs(findings_of(tmp_path), LOSSES) == []


def lines(*axes: dict[str, object]) -> list[Line]:
    return [Line(one, [1.0, 2.0], [0.1, 0.2]) for one in axes]


def test_a_loss_has_the_same_colour_and_marker_in_all_figures_of_a_study() -> None:
    losses = ["bce", "hinge", "lce"]
    both = styles_of(lines({"loss": "bce"}, {"loss": "lce"}), losses)
    alone = styles_of(lines({"loss": "lce"}), losses)
    assert both[1] == alone[0]
    assert both[0].colour != both[1].colour
    assert both[0].marker != both[1].marker


def test_where_panels_tell_the_loss_colour_tells_n_from_cold_to_warm() -> None:
    some = lines(*({"loss": loss, "negatives": n} for loss in LOSSES for n in (1, 3, 7)))
    panels, parted = panels_of(some, limit=4)
    assert [(panel.title, len(panel.lines)) for panel in panels] == [("bce", 3), ("lce", 3)]
    colours = [look.colour for look in styles_of(some, LOSSES, parted)]
    assert colours == ["#3B6FD1", "#B04FA8", "#B97900"] * 2


def test_lines_are_parted_by_the_axis_of_fewest_values_first() -> None:
    some = lines(*({"loss": "lce", "negatives": n, "source": s} for n in (1, 3, 7) for s in ("bm25", "colbert")))
    assert [panel.title for panel in panels_of(some, limit=3)[0]] == ["source BM25", "source ColBERT"]


def test_a_control_stands_in_every_panel_that_it_agrees_with() -> None:
    trained = lines({"loss": "bce", "pooling": "mean"}, {"loss": "bce", "pooling": "cls"})
    control = Line({"pooling": "cls"}, [0.0, 1.0], [0.1, 0.2], control=True)
    panels, _ = panels_of([*trained, control], each="pooling")
    assert [[line.control for line in panel.lines] for panel in panels] == [[False], [False, True]]


def test_labels_that_are_too_close_are_moved_apart_around_their_middle() -> None:
    assert spread([0.50, 0.52, 0.9], gap=0.1) == pytest.approx([0.46, 0.56, 0.9])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_spread_labels_keep_their_order_and_their_distance(wanted: list[float]) -> None:
    placed = spread(wanted, gap=0.05)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for lower, upper in pairwise(order):
        assert placed[upper] - placed[lower] >= 0.05 - 1e-9


@given(st.lists(st.integers(0, 10), min_size=1, max_size=8, unique=True))
def test_labels_that_are_far_enough_apart_stay(wanted: list[int]) -> None:
    assert spread(wanted, gap=1.0) == pytest.approx(wanted)


def test_names_of_points_that_touch_go_to_different_sides() -> None:
    axes = Figure(figsize=(4, 4)).subplots()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    name_points(axes, [(0.5, 0.5), (0.5, 0.5), (0.9, 0.9)], ["one", "two", ""])
    assert [text.get_text() for text in axes.texts] == ["one", "two"]
    assert len({text.xyann for text in axes.texts}) == 2


def test_a_name_at_the_right_begins_beyond_its_point_at_its_height() -> None:
    left, bottom, right, top = name_box((100.0, 50.0), "name", (1, 0), 10.0)
    assert (left, right) == (pytest.approx(107.0), pytest.approx(129.4))
    assert (bottom + top) / 2 == 50.0
