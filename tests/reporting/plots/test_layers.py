"""What the figures of a probed model show and leave out."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes

from experiments.reporting.plots.figure import save_figures
from experiments.reporting.plots.layers import probe_figures

SETTINGS = {"pooling": ["mean", "cls"], "pairing": "self", "similarity": "cosine", "whiten": "none"}
LEVEL = 0.4
WHOLE = "whole_collection"


def cell_of(layer: int, pooling: str, candidates: str, value: float, ties: int = 0) -> dict[str, Any]:
    gain = {"mean": value - LEVEL, "low": value - LEVEL - 0.05, "high": value - LEVEL + 0.06}
    return {
        "layer": layer, "pooling": pooling, "candidates": candidates, "mean": {"RR@10": value}, "ties": ties,
        "pairs": 10, "differences": {"bm25": gain},
    }  # fmt: skip


def probed(shift: float = 0.0) -> dict[str, Any]:
    """Two poolings of three layers; re-ranked by [CLS] of layer 0, nine of ten scores are tied."""
    values = {"mean": [0.1, 0.3, 0.2], "cls": [0.0, 0.15, 0.05]}
    cells = []
    for pooling, by_layer in values.items():
        for layer, value in enumerate(by_layer):
            tied = 9 if (layer, pooling) == (0, "cls") else 0
            cells.append(cell_of(layer, pooling, WHOLE, value + shift))
            cells.append(cell_of(layer, pooling, "bm25", value + 0.1, ties=tied))
    first_stages = {"bm25": {"RR@10": LEVEL}}
    return {"settings": SETTINGS | {"measures": ["RR@10"]}, "queries": 2, "first_stages": first_stages, "cells": cells}


def axes_of(probe: dict[str, Any], index: int = 0) -> Axes:
    (axes,) = probe_figures(probe, "apidocs")[index].figure.axes
    return axes


def heights(axes: Axes) -> list[list[float]]:
    """The points of each line that has markers."""
    lines = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    return [[float(height) for height in line.get_ydata()] for line in lines]


def test_a_line_a_pooling_over_the_layers():
    axes = axes_of({"model": probed(), "control": None})
    assert heights(axes) == [[0.1, 0.3, 0.2], [0.0, 0.15, 0.05]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]
    assert {text.get_text() for text in axes.texts} == {"mean", "[CLS]", "BM25 0.400"}
    assert axes.get_ylabel() == "MRR@10"


def test_bars_reach_as_far_as_the_interval_of_the_difference():
    (low, high) = axes_of({"model": probed()}).containers[0].lines[2][0].get_segments()[1][:, 1]
    assert (low, high) == (pytest.approx(0.25), pytest.approx(0.36))


def test_the_untrained_backbone_is_hollow_in_the_colours_of_the_model_and_has_no_bars():
    axes = axes_of({"model": probed(), "control": probed(shift=0.02)})
    drawn = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    assert heights(axes)[2:] == [pytest.approx([0.12, 0.32, 0.22]), pytest.approx([0.02, 0.17, 0.07])]
    assert [line.get_markerfacecolor() for line in drawn[2:]] == ["#ffffff", "#ffffff"]
    assert [line.get_color() for line in drawn[2:]] == [line.get_color() for line in drawn[:2]]
    assert len(axes.containers) == 2
    assert "mean, untrained" in [text.get_text() for text in axes.texts]


def test_a_reranking_by_tied_scores_is_not_drawn_but_named():
    figure = probe_figures({"model": probed()}, "apidocs")[1]
    assert heights(figure.figure.axes[0]) == [[0.2, 0.4, pytest.approx(0.3)], [0.25, pytest.approx(0.15)]]
    assert "Not drawn, as its scores are tied: layer 0 [CLS]." in figure.caption
    assert figure.title == "Layers, BM25 re-ranked, apidocs, 2 test queries"


def test_a_figure_for_the_collection_and_for_each_first_stage(tmp_path: Path):
    paths = save_figures(probe_figures({"model": probed()}, "apidocs"), tmp_path)
    assert [path.name for path in paths] == [
        "rr10_by_layer.whole_collection.png",
        "rr10_by_layer.whole_collection.svg",
        "rr10_by_layer.bm25.png",
        "rr10_by_layer.bm25.svg",
    ]
    assert all(path.stat().st_size > 5_000 for path in paths)
