"""A study in a notebook: its tables by hand, and the same numbers and figures as in its report."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import write_job, write_unfinished_job

import experiments
from experiments.analysis.findings import findings_of
from experiments.common.errors import ExperimentError
from experiments.reporting.notebook import Study

# BM25 itself: q1 0.5, q2 0.25, q3 1.0, q4 0.0
VALUES = {
    ("lce", 7, 1): {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5},  # mean 0.8125
    ("lce", 7, 2): {"q1": 1.0, "q2": 0.25, "q3": 1.0, "q4": 0.5},  # mean 0.6875
    ("lce", 1, 1): {"q1": 0.5, "q2": 0.5, "q3": 1.0, "q4": 0.0},  # mean 0.5
    ("bce", 7, 1): {"q1": 0.5, "q2": 0.25, "q3": 1.0, "q4": 0.25},  # mean 0.5
    ("bce", 1, 1): {"q1": 0.25, "q2": 0.5, "q3": 0.5, "q4": 0.0},  # mean 0.3125
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two losses with 1 and 7 negatives; LCE with 7 has two seeds."""
    study = tmp_path_factory.mktemp("outputs") / "my_grid"
    for (loss, negatives, seed), values in VALUES.items():
        labels = {"loss": loss, "negatives": negatives, "seed": seed}
        write_job(study, f"{loss}-n{negatives}-s{seed}", values, labels=labels, hash=f"{loss}{negatives}{seed}")
    write_unfinished_job(study, "lce-n31-s1", "failed", "out of memory")
    return study


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return experiments.load(folder)


def test_results_have_a_row_a_job_and_first_stage_with_labels_means_and_costs(study: Study):
    results = study.results.set_index("job")
    assert sorted(results.index) == ["bce-n1-s1", "bce-n7-s1", "lce-n1-s1", "lce-n7-s1", "lce-n7-s2"]
    row = results.loc["lce-n7-s2"]
    assert (row["loss"], row["negatives"], row["seed"], row["first_stage"]) == ("lce", 7, 2, "bm25")
    assert (row["RR@10"], row["first_stage:RR@10"]) == (0.6875, 0.4375)
    assert (row["pairs"], row["train_seconds"], row["hash"]) == (8000, 61.2, "lce72")


def test_a_job_has_a_row_for_each_first_stage(tmp_path: Path):
    write_job(tmp_path / "s", "a", VALUES["lce", 7, 1], first_stages=("bm25", "colbert"))
    assert experiments.load(tmp_path / "s").results["first_stage"].tolist() == ["bm25", "colbert"]


def test_a_config_key_in_which_jobs_of_equal_labels_differ_is_a_column(tmp_path: Path):
    for name, rate in (("a", 1e-4), ("b", 2e-4)):
        write_job(tmp_path / "s", name, VALUES["lce", 7, 1], config={"optimizer": {"lr": rate}})
    assert experiments.load(tmp_path / "s").results["optimizer.lr"].tolist() == [1e-4, 2e-4]


def test_per_query_has_a_row_a_job_query_and_measure(study: Study):
    rows = study.per_query
    assert len(rows) == 5 * 4
    one = rows[(rows["job"] == "lce-n7-s1") & (rows["query_id"] == "q2")].iloc[0]
    assert (one["loss"], one["seed"], one["first_stage"], one["measure"]) == ("lce", 1, "bm25", "RR@10")
    assert (one["value"], one["first_stage_value"]) == (0.75, 0.25)


def test_settings_average_seeds_and_have_an_interval_around_the_mean(study: Study):
    settings = study.settings.set_index(["loss", "negatives"])
    row = settings.loc[("lce", 7)]
    assert (row["mean"], row["seeds"], row["queries"], row["over"]) == (0.75, 2, 4, "queries and seeds")
    assert row["sd"] == pytest.approx(0.125 / 2**0.5)
    assert row["low"] < 0.75 < row["high"]
    alone = settings.loc[("bce", 7)]
    # 0.5, 0.25, 1, 0.25: standard error sqrt(0.125 / 4), 3.18245 its quantile of t with three degrees of freedom
    assert alone["high"] - alone["mean"] == pytest.approx(3.182446 * (0.125 / 4) ** 0.5, rel=1e-6)


def test_settings_have_the_differences_of_the_report(study: Study, folder: Path):
    results = findings_of(folder).results
    assert study.settings["difference"].tolist() == [result.comparison.mean for result in results if result.comparison]
    of_seeds = study.settings["p_holm"].dropna()
    assert of_seeds.tolist() == [result.p_holm for result in results if result.p_holm is not None]


def test_a_setting_of_one_seed_has_no_p_value(study: Study):
    settings = study.settings
    assert settings.loc[settings["seeds"] == 1, ["p", "p_holm"]].isna().all(axis=None)
    assert settings.loc[settings["seeds"] == 2, ["p", "p_holm"]].notna().all(axis=None)
    rows = study.compare({"loss": "lce"}, {"loss": "bce"}).set_index("over")
    assert rows["p"].isna().to_dict() == {"queries": True, "queries and seeds": False}
    assert set(study.settings["reference"]) == {"bm25"}


def test_a_comparison_has_a_row_for_each_pair_that_is_equal_in_all_other_labels(study: Study):
    rows = study.compare({"loss": "lce"}, {"loss": "bce"}).set_index("negatives")
    assert rows.loc[1, "difference"] == 0.1875
    assert rows.loc[7, "difference"] == 0.25
    assert (rows.loc[1, "wins"], rows.loc[1, "ties"], rows.loc[1, "losses"]) == (2, 2, 0)
    assert (rows["low"] < rows["difference"]).all()
    assert rows["over"].tolist() == ["queries", "queries and seeds"]


def test_the_average_over_pairs_is_one_row(study: Study):
    (row,) = study.compare({"loss": "lce"}, {"loss": "bce"}, average=True).to_dict("records")
    assert row["difference"] == pytest.approx((0.1875 + 0.25) / 2)


def test_where_narrows_both_sides(study: Study):
    rows = study.compare({"loss": "lce"}, {"loss": "bce"}, where={"negatives": 7})
    assert rows["difference"].tolist() == [0.25]


def test_without_another_setting_the_first_stage_is_compared_with_as_in_the_report(study: Study, folder: Path):
    (row,) = study.compare({"loss": "lce", "negatives": 7}).to_dict("records")
    (versus,) = (
        result.comparison
        for result in findings_of(folder).results
        if (result.setting.labels["loss"], result.setting.negatives) == ("lce", 7)
    )
    assert versus is not None
    assert (row["difference"], row["low"], row["high"], row["p"]) == (versus.mean, versus.low, versus.high, versus.p)
    assert row["difference"] == 0.3125


def test_settings_without_a_counterpart_are_said_to_be_left_out(tmp_path: Path):
    for loss, negatives, seed in (("lce", 7, 1), ("lce", 1, 1), ("bce", 7, 1)):
        labels = {"loss": loss, "negatives": negatives, "seed": seed}
        write_job(tmp_path / "s", f"{loss}-{negatives}", VALUES[loss, negatives, seed], labels=labels)
    with pytest.warns(UserWarning, match="left out: negatives 1"):
        rows = experiments.load(tmp_path / "s").compare({"loss": "lce"}, {"loss": "bce"})
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({"loss": "lce"}, {"negatives": 7}, "a and b must name the same labels, not loss and negatives"),
        ({"loss": "lce"}, {"loss": "hinge"}, "No finished cell has loss hinge"),
        ({"loss": "hinge"}, None, "no finished setting has {'loss': 'hinge'}"),
        ({"sauce": "bm25"}, None, "has the label 'sauce': the labels are"),
    ],
)
def test_a_comparison_of_nothing_says_what_is_missing(
    study: Study, a: dict[str, object], b: dict[str, object] | None, message: str
):
    with pytest.raises(ExperimentError, match=message):
        study.compare(a, b)


def test_a_measure_that_was_not_taken_is_refused(study: Study):
    with pytest.raises(ExperimentError, match="choose one of RR@10"):
        study.compare({"loss": "lce"}, {"loss": "bce"}, measure="AP")


def test_figures_are_those_of_the_report_by_name(study: Study):
    from matplotlib.figure import Figure

    figures = study.figures()
    assert any("negatives" in name for name in figures)
    name, figure = next(iter(figures.items()))
    assert isinstance(figure, Figure)
    assert study.figure(name) is figure
    with pytest.raises(ExperimentError, match="there is no figure 'nothing': choose from "):
        study.figure("nothing")


def test_several_studies_are_one_with_the_study_as_a_label(tmp_path: Path, folder: Path):
    write_job(tmp_path / "other", "x", VALUES["bce", 1, 1], labels={"loss": "hinge"})
    both = experiments.load(folder, tmp_path / "other")
    assert set(both.results["study"]) == {"my_grid", "other"}
    assert both.sources[0] == f"{folder}: 6 jobs, 5 finished"


def test_its_text_says_what_was_read(study: Study, folder: Path):
    assert repr(study) == f"<Study 'my_grid' by RR@10: {folder}: 6 jobs, 5 finished>"


def test_without_pandas_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ExperimentError, match=r"pip install 'rerank-ablations\[notebook\]'"):
        _ = experiments.load(folder).results


def test_nothing_to_load_is_refused():
    with pytest.raises(ExperimentError, match="name the folder of a study"):
        experiments.load()


def test_importing_the_package_imports_nothing_else():
    code = "import sys, experiments; print(*({'numpy', 'pandas', 'torch', 'wandb'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_values_are_those_of_the_files(study: Study):
    np.testing.assert_allclose(study.per_query.groupby("job")["value"].mean().loc["lce-n7-s1"], 0.8125)
