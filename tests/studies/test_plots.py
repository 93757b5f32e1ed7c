"""What the picture of a study shows."""

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from helpers.study_folder import FIRST_STAGE, write_job
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.studies.cells import Block, blocks_of
from experiments.studies.plots import draw_block, draw_study, picture_name, series_of, spread
from experiments.studies.records import read_study

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}


def write_grid(study: Path, **axes: tuple[object, ...]) -> None:
    """Jobs of losses bce and lce with 1, 3 and 7 negatives, for every value of one further label if it is given."""
    name, values = next(iter(axes.items()), ("source", ("bm25",)))
    for loss in ("bce", "lce"):
        for count in (1, 3, 7):
            for value in values:
                labels = {"loss": loss, "negatives": count, name: value}
                write_job(study, f"{loss}-{count}-{value}", BETTER if loss == "lce" else FIRST_STAGE, labels=labels)


def blocks(study: Path, measure: str = "RR@10") -> list[Block]:
    return blocks_of(read_study(study), measure)


def drawn(study: Path) -> Figure:
    return draw_block(blocks(study)[0], ["bce", "lce"])


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


def heights(line: Line2D) -> list[float]:
    return [float(height) for height in np.asarray(line.get_ydata(), dtype=float)]


def test_a_line_is_a_loss_with_its_cells_by_number_of_negatives(tmp_path: Path) -> None:
    write_grid(tmp_path)
    lines = series_of(blocks(tmp_path)[0])
    assert [line.label for line in lines] == ["bce", "lce"]
    assert [[cell.negatives for cell in line.cells] for line in lines] == [[1, 3, 7], [1, 3, 7]]


def test_a_further_axis_splits_the_lines(tmp_path: Path) -> None:
    write_grid(tmp_path, source=("bm25", "colbert"))
    labels = [line.label for line in series_of(blocks(tmp_path)[0])]
    assert labels == ["bce, source bm25", "bce, source colbert", "lce, source bm25", "lce, source colbert"]


def test_an_axis_that_follows_from_n_does_not_split_the_lines(tmp_path: Path) -> None:
    for count in (1, 3):
        write_job(tmp_path, f"n{count}", BETTER, labels={"negatives": count, "budget": f"{1000 * (count + 1)} pairs"})
    (line,) = series_of(blocks(tmp_path)[0])
    assert (line.label, len(line.cells)) == ("lce", 2)


def test_the_numbers_of_negatives_are_the_ticks_of_a_logarithmic_axis(tmp_path: Path) -> None:
    write_grid(tmp_path)
    axes = drawn(tmp_path).axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "7"]
    assert list(axes.get_xticks(minor=True)) == []


def test_points_are_means_and_bars_the_interval_of_the_difference_around_them(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    (block,) = blocks(tmp_path)
    axes = drawn(tmp_path).axes[0]
    points = [line for line in axes.lines if line.get_marker() == "s"]  # lce is the second of the two losses
    assert [heights(line) for line in points] == [[pytest.approx(0.8125)]]
    bars = axes.collections[0]
    assert isinstance(bars, LineCollection)
    (bar,) = bars.get_segments()
    interval = block.cells[0].difference
    assert [y for _, y in bar] == pytest.approx([0.4375 + interval.low, 0.4375 + interval.high])


def test_points_of_one_n_stand_side_by_side(tmp_path: Path) -> None:
    write_grid(tmp_path)
    points = [line for line in drawn(tmp_path).axes[0].lines if line.get_marker() in ("o", "s")]
    bce, lce = (np.asarray(line.get_xdata(), dtype=float) for line in points)
    for left, count, right in zip(bce, (1, 3, 7), lce, strict=True):
        assert left < count < right < left * 1.1


def test_the_first_stage_is_a_labelled_line(tmp_path: Path) -> None:
    write_grid(tmp_path)
    figure = drawn(tmp_path)
    assert "BM25 0.438" in texts(figure)
    assert any(heights(line) == [0.4375, 0.4375] for line in figure.axes[0].lines)


def test_the_title_names_data_and_queries_and_the_subtitle_explains_the_bars(tmp_path: Path) -> None:
    write_grid(tmp_path)
    title, explanation = texts(drawn(tmp_path))[:2]
    assert title == "BM25 re-ranked, apidocs, 4 test queries"
    assert "95 % interval of the difference to BM25, paired bootstrap over queries" in " ".join(explanation.split())


def test_losses_differ_in_colour_and_in_marker(tmp_path: Path) -> None:
    write_grid(tmp_path)
    lines = [line for line in drawn(tmp_path).axes[0].lines if line.get_marker() not in ("None", "_", "")]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 2


def test_all_text_lies_within_the_picture(tmp_path: Path) -> None:
    write_grid(tmp_path, source=("bm25", "tct_colbert_v2_hn_plus"))
    figure = drawn(tmp_path)
    figure.draw_without_rendering()
    canvas = figure.bbox
    for text in (*figure.texts, *figure.axes[0].texts, figure.axes[0].yaxis.label, figure.axes[0].xaxis.label):
        box = text.get_window_extent()
        assert canvas.x0 <= box.x0 <= box.x1 <= canvas.x1, text.get_text()
        assert canvas.y0 <= box.y0 <= box.y1 <= canvas.y1, text.get_text()


def test_each_first_stage_has_a_png_and_an_svg(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, first_stages=("bm25", "colbert"))
    paths = draw_study(blocks(tmp_path), tmp_path)
    assert [path.name for path in paths] == [
        "rr10_by_negatives.bm25.png",
        "rr10_by_negatives.bm25.svg",
        "rr10_by_negatives.colbert.png",
        "rr10_by_negatives.colbert.svg",
    ]
    height, width, _ = matplotlib.image.imread(paths[0]).shape
    assert (width, height) == (1280, 800)
    assert "<svg" in paths[1].read_text(encoding="utf-8")


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    write_grid(tmp_path)
    once = [path.read_bytes() for path in draw_study(blocks(tmp_path), tmp_path)]
    assert [path.read_bytes() for path in draw_study(blocks(tmp_path), tmp_path)] == once


def test_the_name_of_a_picture_holds_the_measure_and_if_asked_the_data(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, measure="nDCG@10")
    (block,) = blocks(tmp_path, "nDCG@10")
    assert picture_name(block) == "ndcg10_by_negatives.bm25"
    assert picture_name(block, with_data=True) == "ndcg10_by_negatives.apidocs.bm25"


def test_jobs_without_negatives_are_not_drawn(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"negatives": None})
    assert draw_study(blocks(tmp_path), tmp_path) == []


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
