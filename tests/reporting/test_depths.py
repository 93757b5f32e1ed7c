"""The depth of re-ranking in a report: table, figure, and how folds and damaged files are read."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.depths import depth_results
from experiments.analysis.findings import findings_of
from experiments.analysis.load import read_job
from experiments.reporting.plots.build import figures_of
from experiments.reporting.summary import measured_tables
from experiments.reporting.tables.depths import depth_table

AT_2 = {"q1": 0.5, "q2": 0.5, "q3": 1.0, "q4": 0.0}  # mean 0.5
AT_5 = {"q1": 1.0, "q2": 0.5, "q3": 1.0, "q4": 0.5}  # mean 0.75; the first stage's is 0.4375


def write(
    study: Path, name: str, loss: str = "lce", seed: int = 1, ms: float | None = 8.0, **more: Mapping[str, float]
) -> Path:
    folder = write_job(study, name, more.get("deep", AT_5), labels={"loss": loss, "seed": seed})
    shallow = more.get("shallow", AT_2)
    lines = ["query\tRR@10", *(f"{query}\t{value}" for query, value in shallow.items())]
    (folder / "per_query.bm25@2.tsv").write_text("\n".join(lines) + "\n")
    metrics = json.loads((folder / "metrics.json").read_text())
    times = [{} if ms is None else {"ms_per_query": ms * share} for share in (0.4, 1.0)]
    metrics["test"]["bm25"]["depths"] = {
        "2": {"RR@10": sum(shallow.values()) / 4, "pairs": 8, **times[0]},
        "5": {"RR@10": sum(more.get("deep", AT_5).values()) / 4, "pairs": 20, **times[1]},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_row_for_each_setting_and_depth(tmp_path: Path):
    write(tmp_path, "lce1")
    write(tmp_path, "bce1", "bce", deep=FIRST_STAGE)
    (group,) = findings_of(tmp_path).groups
    table = depth_table(group)
    assert table is not None
    assert table.columns == ("loss", "n", "depth", "MRR@10", "vs BM25", "95 % interval", "pairs", "ms")
    assert [(row[0], *row[2:5], *row[6:]) for row in table.rows] == [
        ("bce", "2", "0.500", "+0.062", "2.0", "3.2"),
        ("bce", "5", "0.438", " 0.000", "5.0", "8.0"),
        ("lce", "2", "0.500", "+0.062", "2.0", "3.2"),
        ("lce", "5", "0.750", "+0.312", "5.0", "8.0"),
    ]
    assert table in measured_tables(findings_of(tmp_path))


def test_without_a_time_the_cell_is_empty(tmp_path: Path):
    write(tmp_path, "lce1", ms=None)
    table = depth_table(findings_of(tmp_path).groups[0])
    assert table is not None
    assert [row[-1] for row in table.rows] == ["", ""]


def test_seeds_are_averaged(tmp_path: Path):
    write(tmp_path, "lce1", ms=8.0)
    write(tmp_path, "lce2", seed=2, ms=16.0, shallow=FIRST_STAGE)
    ((two, five),) = depth_results(findings_of(tmp_path).groups[0])
    assert (two.setting.mean, five.setting.mean) == (pytest.approx((0.5 + 0.4375) / 2), 0.75)
    assert (two.pairs, two.milliseconds) == (2.0, pytest.approx(4.8))


def test_a_study_of_one_depth_has_no_table_and_no_curve(tmp_path: Path):
    write_job(tmp_path, "lce1", AT_5)
    findings = findings_of(tmp_path)
    assert depth_table(findings.groups[0]) is None
    assert [figure.name for figure in figures_of(findings) if figure.section == "depths"] == []


def test_the_curve_has_a_point_a_depth_and_the_first_stage_as_level(tmp_path: Path):
    write(tmp_path, "lce1")
    (figure,) = (figure for figure in figures_of(findings_of(tmp_path)) if figure.section == "depths")
    assert figure.name == "rr10_by_depth.bm25"
    (axes,) = figure.figure.axes
    (curve,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert list(curve.get_xdata()) == [2.0, 5.0]
    assert list(curve.get_ydata()) == [0.5, 0.75]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "5"]
    assert axes.get_xlabel() == "passages that are re-ranked"
    assert "BM25 0.438" in {text.get_text() for text in axes.texts}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda folder: (folder / "per_query.bm25@2.tsv").unlink(), "per_query.bm25@2.tsv is missing"),
        (
            lambda folder: (folder / "per_query.bm25@2.tsv").write_text("query\tRR@10\nq1\t0.5\n"),
            "per_query.bm25@2.tsv: its queries are not those of the job",
        ),
        (
            lambda folder: (folder / "metrics.json").write_text(
                (folder / "metrics.json").read_text().replace('"2": {', '"two": {')
            ),
            "metrics.json, test.bm25.depths: it should hold measures by depth",
        ),
    ],
)
def test_a_job_whose_depths_cannot_be_read_says_why(tmp_path: Path, edit, message: str):
    folder = write(tmp_path, "lce1")
    edit(folder)
    job = read_job(folder)
    assert job.state == "unreadable"
    assert message in str(job.error)
