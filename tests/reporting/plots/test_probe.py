"""What the pictures of a probed model show and leave out."""

from dataclasses import replace
from pathlib import Path

import pytest
from experiments.reporting.plots.probe import draw_probe, probe_figure
from matplotlib.figure import Figure

from experiments.common.errors import ExperimentError
from experiments.evaluation.significance import Interval
from experiments.probing.evaluate_layers import WHOLE, ProbeCell, ProbeResult

SETTINGS = {
    "layers": [0, 1, 2], "pooling": ["mean", "cls"], "pairing": "self", "similarity": "cosine", "whiten": "none",
    "measures": ["RR@10"],
}  # fmt: skip
LEVEL = 0.4


def cell_of(layer: int, pooling: str, candidates: str, value: float, ties: int | None = None) -> ProbeCell:
    gap = Interval(value - LEVEL, value - LEVEL - 0.05, value - LEVEL + 0.06)
    pairs = None if ties is None else 10
    return ProbeCell(layer, pooling, candidates, {"RR@10": value}, [value, value], ties, pairs, {"bm25": gap})


def result_of(model: str = "trained", shift: float = 0.0) -> ProbeResult:
    whole = {"mean": [0.1, 0.3, 0.2], "cls": [0.0, 0.15, 0.05]}
    cells = [
        one
        for pooling, values in whole.items()
        for layer, value in enumerate(values)
        for one in (
            cell_of(layer, pooling, WHOLE, value + shift),
            cell_of(layer, pooling, "bm25", value + 0.1, ties=9 if (layer, pooling) == (0, "cls") else 0),
        )
    ]
    return ProbeResult(model, "digest", 2, SETTINGS, [4, 7], {"bm25": {"RR@10": LEVEL}}, cells)


def lines_of(figure: Figure) -> dict[tuple[str, str], list[float]]:
    """(colour, marker face) -> heights of each drawn line with markers."""
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if line.get_marker() not in ("None", "|", "_", 2, 3)]
    return {(line.get_color(), line.get_markerfacecolor()): list(line.get_ydata()) for line in drawn}


def texts_of(figure: Figure) -> list[str]:
    (axes,) = figure.axes
    return [one.get_text() for one in [*axes.texts, *figure.texts]]


def test_a_line_a_pooling_over_the_layers():
    figure = probe_figure(result_of(), WHOLE, "apidocs")
    assert list(lines_of(figure).values()) == [[0.1, 0.3, 0.2], [0.0, 0.15, 0.05]]
    assert [one.get_text() for one in figure.axes[0].get_xticklabels()] == ["0", "1", "2"]
    assert {"mean", "[CLS]", "BM25 0.400"} <= set(texts_of(figure))
    assert "Layers on apidocs, 2 test queries" in texts_of(figure)


def test_bars_reach_as_far_as_the_interval_of_the_difference():
    figure = probe_figure(result_of(), WHOLE, "apidocs")
    (low, high) = figure.axes[0].containers[0].lines[2][0].get_segments()[1][:, 1]
    assert (low, high) == (pytest.approx(0.25), pytest.approx(0.36))


def test_the_untrained_backbone_is_hollow_and_has_no_bars():
    figure = probe_figure(result_of(), WHOLE, "apidocs", result_of("backbone", shift=0.02))
    hollow = [heights for (_, face), heights in lines_of(figure).items() if face == "white"]
    assert hollow == [pytest.approx([0.12, 0.32, 0.22]), pytest.approx([0.02, 0.17, 0.07])]
    assert len(figure.axes[0].containers) == 2
    assert "mean, untrained" in texts_of(figure)


def test_a_reranking_by_tied_scores_is_not_drawn_but_named():
    figure = probe_figure(result_of(), "bm25", "apidocs")
    assert list(lines_of(figure).values()) == [[0.2, 0.4, pytest.approx(0.3)], [0.25, pytest.approx(0.15)]]
    assert any("Not drawn, as its scores are tied: layer 0 [CLS]." in text for text in texts_of(figure))
    assert "Layers re-ranking BM25 on apidocs, 2 test queries" in texts_of(figure)


def test_a_picture_for_the_collection_and_for_each_first_stage(tmp_path: Path):
    paths = draw_probe(result_of(), tmp_path, "apidocs")
    assert [path.name for path in paths] == [
        "rr10_by_layer.whole_collection.png",
        "rr10_by_layer.whole_collection.svg",
        "rr10_by_layer.bm25.png",
        "rr10_by_layer.bm25.svg",
    ]
    assert all(path.stat().st_size > 5_000 for path in paths)


def test_the_same_result_gives_the_same_bytes(tmp_path: Path):
    first = {path.name: path.read_bytes() for path in draw_probe(result_of(), tmp_path, "apidocs")}
    again = {path.name: path.read_bytes() for path in draw_probe(result_of(), tmp_path, "apidocs")}
    assert first == again


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"queries": [4, 8]}, "queries"), ({"settings": {**SETTINGS, "pairing": "single"}}, "pairing")],
)
def test_a_control_that_was_probed_otherwise_is_refused(tmp_path: Path, changes: dict, word: str):
    control = replace(result_of("backbone"), **changes)
    with pytest.raises(ExperimentError, match=f"'backbone' was probed with another {word} than 'trained'"):
        draw_probe(result_of(), tmp_path, "apidocs", control)


def test_a_control_may_have_other_layers(tmp_path: Path):
    control = replace(result_of("backbone"), settings={**SETTINGS, "layers": [2]})
    assert len(draw_probe(result_of(), tmp_path, "apidocs", control)) == 4
