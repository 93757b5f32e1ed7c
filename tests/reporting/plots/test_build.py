"""The pictures of a study: which there are, and what they show of layers, trainings, cost and claims."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.study_folder import FIRST_STAGE, write_job
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from experiments.analysis.findings import findings_of
from experiments.common.errors import ExperimentError
from experiments.reporting.plots.build import figures_of
from experiments.reporting.plots.cost import front
from experiments.reporting.plots.figure import SECTIONS, ReportFigure
from experiments.reporting.plots.training_curves import thinned

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}
DIAGNOSTICS = ["margin", "positive_on_top", "effective_negatives", "hardest_share", "saturated_bce"]
COLUMNS = ["step", "groups", "loss", *DIAGNOSTICS, "dev"]
# at steps 1, 2, 3; dev known at the last two
COURSE = [
    [1, 10, 0.9, 0.0, 0.2, 2.0, 0.5, 0.0, ""],
    [2, 20, 0.7, 1.0, 0.4, 1.5, 0.6, 0.1, 0.30],
    [3, 30, 0.5, 2.0, 0.6, 1.0, 0.8, 0.2, 0.40],
]


def write_history(job: Path, rows: Sequence[Sequence[Any]] = COURSE, dev: float = 0.0) -> None:
    """A training's course; ``dev`` is added to its dev measure."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(map(str, [*row[:-1], row[-1] + dev if row[-1] != "" else ""])) for row in rows]
    (job / "history.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_grid(study: Path, seeds: Sequence[int] = (1,), history: bool = False) -> None:
    """bce and lce with 1 and 3 negatives, twice and four times the operations."""
    for loss in ("bce", "lce"):
        for count in (1, 3):
            for seed in seeds:
                labels = {"loss": loss, "negatives": count, "seed": seed}
                values = BETTER if loss == "lce" else FIRST_STAGE
                compute = {"flops": 1e12 * (count + 1), "pairs": 100 * (count + 1)}
                job = write_job(study, f"{loss}-{count}-{seed}", values, labels=labels, compute=compute)
                if history:
                    write_history(job, dev=0.1 * (seed - 1))


def write_probe(job: Path, values: dict[int, float], control: dict[int, float]) -> None:
    """Probed layers of a job that re-rank BM25: the same value for each of four queries."""
    columns = [f"layer{layer}:mean:bm25" for layer in values]
    rows = ["\t".join(["query", *columns])]
    rows += ["\t".join([query, *map(str, values.values())]) for query in FIRST_STAGE]
    (job / "per_query.probe.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    metrics = json.loads((job / "metrics.json").read_text())
    metrics["probe"] = {
        who: {
            "settings": {"measures": ["RR@10"]},
            "cells": [
                {"layer": layer, "pooling": "mean", "candidates": "bm25", "mean": {"RR@10": value}}
                for layer, value in found.items()
            ],
        }
        for who, found in (("model", values), ("control", control))
    }
    (job / "metrics.json").write_text(json.dumps(metrics))


def drawn(study: Path) -> dict[str, ReportFigure]:
    return {picture.name: picture for picture in figures_of(findings_of(study))}


def courses(axes: Axes, width: float = 1.6) -> list[list[tuple[float, float]]]:
    """The points of each line of a width."""
    return [
        list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))
        for line in axes.lines
        if line.get_linewidth() == width
    ]


def test_every_picture_has_a_section_of_the_report_and_a_name_of_its_own(tmp_path: Path) -> None:
    write_grid(tmp_path, history=True)
    pictures = figures_of(findings_of(tmp_path))
    assert {picture.name: picture.section for picture in pictures} == {
        "rr10_by_negatives.bm25": "negatives",
        "rr10_by_pairs.bm25": "negatives",
        "dev_by_step": "steps",
        "loss_by_step": "steps",
        "diagnostics_by_groups": "diagnostics",
        "diagnostics_by_negatives": "diagnostics",
        "rr10_by_cost.bm25": "cost",
    }
    assert len(pictures) == 7
    assert {picture.section for picture in pictures} <= set(SECTIONS)
    assert all(picture.title and picture.caption.endswith(".") for picture in pictures)


def test_a_single_job_has_nothing_to_draw(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    assert figures_of(findings_of(tmp_path)) == []


def test_dev_is_drawn_where_it_was_measured_as_the_mean_of_seeds_with_each_seed_thin(tmp_path: Path) -> None:
    write_grid(tmp_path, seeds=(1, 2), history=True)
    picture = drawn(tmp_path)["dev_by_step"]
    (axes,) = picture.figure.axes
    mean = [(2.0, pytest.approx(0.35)), (3.0, pytest.approx(0.45))]
    assert courses(axes) == [mean] * 4
    one, other = [(2.0, 0.3), (3.0, 0.4)], [(2.0, 0.4), (3.0, 0.5)]
    assert courses(axes, width=0.5) == [one, other] * 4
    assert picture.caption == "Thick: mean of 2 seeds; thin: each seed."


def test_seeds_are_averaged_at_the_steps_that_all_have(tmp_path: Path) -> None:
    write_grid(tmp_path, seeds=(1, 2))
    for job in tmp_path.iterdir():
        write_history(job, COURSE if job.name.endswith("1") else COURSE[1:])
    axes = drawn(tmp_path)["loss_by_step"].figure.axes[0]
    assert courses(axes)[0] == [(2.0, 0.7), (3.0, 0.5)]


def test_losses_of_different_kinds_have_scales_of_their_own(tmp_path: Path) -> None:
    write_grid(tmp_path, history=True)
    figure = drawn(tmp_path)["loss_by_step"].figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["bce", "lce"]
    assert not figure.axes[0].get_shared_y_axes().joined(*figure.axes)


def test_a_study_whose_jobs_kept_no_history_has_no_course(tmp_path: Path) -> None:
    write_grid(tmp_path)
    assert {picture.section for picture in figures_of(findings_of(tmp_path))} == {"negatives", "cost"}


def test_a_malformed_history_is_refused_by_file_and_line(tmp_path: Path) -> None:
    write_grid(tmp_path, history=True)
    (tmp_path / "bce-1-1" / "history.tsv").write_text("step\tloss\n1\tmuch\n")
    with pytest.raises(ExperimentError, match=r"bce-1-1/history.tsv, line 2: loss is 'much'"):
        drawn(tmp_path)


def test_diagnostics_stand_below_each_other_over_the_groups_seen(tmp_path: Path) -> None:
    write_grid(tmp_path, history=True)
    figure = drawn(tmp_path)["diagnostics_by_groups"].figure
    names = [axes.get_ylabel().replace("\n", " ") for axes in figure.axes]
    assert names == ["effective negatives", "share of the hardest", "saturated (BCE)", "margin", "positive on top"]
    assert courses(figure.axes[0])[0] == [(10.0, 2.0), (20.0, 1.5), (30.0, 1.0)]


def test_the_summary_averages_the_last_third_of_the_groups(tmp_path: Path) -> None:
    write_grid(tmp_path, history=True)
    axes = drawn(tmp_path)["diagnostics_by_negatives"].figure.axes[0]
    # of the groups 10, 20 and 30 the last third begins at 20
    assert courses(axes) == [[(1.0, 1.25), (3.0, 1.25)]] * 2


@given(st.integers(2, 500))
def test_a_long_course_keeps_its_mean_and_its_order(length: int) -> None:
    x = np.arange(length, dtype=float)
    thin_x, thin_y = thinned(x, 2 * x, windows=40)
    assert thin_x.size == min(length, 40)
    assert (np.diff(thin_x) > 0).all()
    assert thin_y == pytest.approx(2 * thin_x)


def test_layers_have_the_interval_of_their_difference_to_the_first_stage_and_the_control_dashed(
    tmp_path: Path,
) -> None:
    job = write_job(tmp_path, "a", BETTER)
    write_probe(job, {0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.25})
    picture = drawn(tmp_path)["rr10_by_layer.bm25"]
    (axes,) = picture.figure.axes
    trained, control = (line for line in axes.lines if line.get_marker() in ("o", "s"))
    assert list(trained.get_ydata()) == [0.5, 0.75]
    assert list(control.get_ydata()) == [0.25, 0.25]
    assert (control.get_linestyle(), control.get_markerfacecolor()) == ("--", "#ffffff")
    # 0.5 less the first stage is 0, .25, -.5, .5: mean .0625, standard error .2135 (by hand), t(3) 3.182
    (low, high) = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(3.1824 * 0.21348, abs=1e-3)
    assert "untrained" in [text.get_text() for text in axes.texts]
    assert "the backbone before training" in picture.caption


def test_one_probed_layer_is_no_curve(tmp_path: Path) -> None:
    write_probe(write_job(tmp_path, "a", BETTER), {2: 0.5}, {2: 0.25})
    assert drawn(tmp_path) == {}


def test_the_front_is_what_nothing_cheaper_equals() -> None:
    points = [(4.0, 0.3), (1.0, 0.1), (2.0, 0.3), (3.0, 0.2), (2.0, 0.2)]
    assert front(points) == [1, 2]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_nothing_beats_a_point_of_the_front_and_each_other_is_equalled(points: list[tuple[int, int]]) -> None:
    best = front([(float(cost), float(quality)) for cost, quality in points])
    for index, (cost, quality) in enumerate(points):
        assert any(points[one][0] <= cost and points[one][1] >= quality for one in best)
        if index in best:
            assert not any(c < cost and q >= quality for c, q in points)


def test_cost_is_in_operations_or_where_these_are_unknown_in_seconds(tmp_path: Path) -> None:
    write_grid(tmp_path / "known")
    known = drawn(tmp_path / "known")["rr10_by_cost.bm25"]
    assert known.figure.axes[0].get_xlabel() == "floating-point operations of the training"
    for seconds in (1.0, 2.0):
        labels = {"negatives": int(seconds)}
        write_job(tmp_path / "un", f"{seconds}", BETTER, labels=labels, compute={"train_seconds": seconds})
    unknown = drawn(tmp_path / "un")["rr10_by_cost.bm25"]
    assert unknown.figure.axes[0].get_xlabel() == "seconds of the training"


def test_the_front_is_drawn_and_points_are_named(tmp_path: Path) -> None:
    write_grid(tmp_path)
    (axes,) = drawn(tmp_path)["rr10_by_cost.bm25"].figure.axes
    (steps,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert (list(steps.get_xdata()), list(steps.get_ydata())) == ([2e12], [0.8125])
    assert sorted(text.get_text() for text in axes.texts) == ["n = 1", "n = 1", "n = 3", "n = 3"]


def write_claims(study: Path) -> None:
    claims = [
        {"says": "lce beats bce", "kind": "beats", "better": {"loss": "lce"}, "worse": {"loss": "bce"}},
        {
            "says": "they are equal",
            "kind": "within",
            "better": {"loss": "lce"},
            "worse": {"loss": "bce"},
            "margin": 0.1,
        },
        {"says": "hinge is best", "kind": "beats", "better": {"loss": "hinge"}, "worse": {"loss": "lce"}},
    ]
    table = {"title": "Two losses", "source": "ourselves", "claims": claims}
    (study / "table.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")


def test_claims_have_a_row_each_with_their_estimate_interval_and_verdict_around_zero(tmp_path: Path) -> None:
    write_grid(tmp_path)
    write_claims(tmp_path)
    picture = drawn(tmp_path)["claims"]
    (axes,) = picture.figure.axes
    said = [text.get_text() for text in axes.texts]
    assert said[0::3] == ["lce beats bce", "they are equal"]
    first = findings_of(tmp_path).verdicts[0]
    assert first.estimate is not None
    assert said[1].startswith(f"{first.estimate.mean:+.3f} [")
    assert said[2] == first.state
    bars = [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 1.6]
    assert bars[0] == pytest.approx([first.estimate.low, first.estimate.high])
    assert [0, 0] in [list(line.get_xdata()) for line in axes.lines]
    assert [-0.1, 0.1] in [list(line.get_xdata()) for line in axes.lines]  # the margin of the second
    assert "Not yet measured: 1 claim." in picture.caption


def test_without_claims_there_is_no_forest(tmp_path: Path) -> None:
    write_grid(tmp_path)
    assert "claims" not in drawn(tmp_path)
