"""Settings over test sets side by side: the best first, average, rank, difference."""

from pathlib import Path

from helpers.study_folder import write_job

from experiments.analysis.load import read_study
from experiments.analysis.settings import group_results
from experiments.reporting.tables.over_sets import over_sets_tables


def study_of(tmp_path: Path, means: dict[str, tuple[float, ...]]) -> Path:
    for loss, by_set in means.items():
        for data, mean in zip(("dl19", "dl20", "news"), by_set, strict=False):
            labels = {"loss": loss, "data": data, "trained_on": "apidocs"}
            values = dict.fromkeys(("q1", "q2"), mean)
            write_job(
                tmp_path / "s", f"{loss}-{data}", values, labels=labels, config={"test_set": data},
                first_stage_values=dict.fromkeys(("q1", "q2"), 0.1),
            )  # fmt: skip
    return tmp_path / "s"


def test_rows_are_settings_with_the_best_first_and_columns_the_sets(tmp_path: Path):
    study = study_of(tmp_path, {"bce": (0.5, 0.25), "lce": (0.75, 0.75)})
    (table,) = over_sets_tables(group_results(read_study(study)))
    assert table.title == "MRR@10 over 2 test sets"
    assert table.columns == ("loss", "dl19", "dl20", "average", "rank", "vs best")
    assert table.rows == (
        ("lce", "0.750", "0.750", "0.750", "1.00", "best"),
        ("bce", "0.500", "0.250", "0.375", "2.00", "-0.375 [-1.963, +1.213]"),  # -.25, -.5: t(1) 12.706 x .125
    )
    assert table.caption.endswith("Friedman's test needs three settings on three sets.")


def test_three_settings_on_three_sets_are_tested(tmp_path: Path):
    study = study_of(tmp_path, {"bce": (0.5, 0.5, 0.5), "lce": (0.75, 0.75, 0.75), "hinge": (0.25, 0.25, 0.25)})
    (table,) = over_sets_tables(group_results(read_study(study)))
    # chi-squared 12 x 3 / (3 x 4) (14 - 12) = 6, p = exp(-3); q(3) = 2.343, x sqrt(3 x 4 / 18)
    assert "Friedman's test of equal settings: p 0.050." in table.caption
    assert "more than 1.91 apart (Nemenyi)" in table.caption
