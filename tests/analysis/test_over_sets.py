"""Settings compared over several test sets, by hand, and by the example of Demšar 2006."""

from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import write_job

from experiments.analysis.load import read_study
from experiments.analysis.over_sets import OverSets, friedman, nemenyi, over_sets
from experiments.analysis.settings import group_results

QUERIES = ("q1", "q2", "q3", "q4")
MEANS = {  # loss -> data -> the mean that all four queries have
    "lce": {"dl19": 0.8, "dl20": 0.7, "news": 0.6},
    "bce": {"dl19": 0.6, "dl20": 0.5, "news": 0.6},
    "hinge": {"dl19": 0.7, "dl20": 0.3, "news": 0.2},
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for loss, by_data in MEANS.items():
        for data, mean in by_data.items():
            for seed in (1, 2):
                labels = {"loss": loss, "data": data, "seed": seed, "trained_on": "apidocs"}
                values = dict.fromkeys(QUERIES, mean)
                write_job(tmp_path / "s", f"{loss}-{data}-{seed}", values, labels=labels, config={"test_set": data})
    return tmp_path / "s"


def compared(study: Path) -> OverSets:
    (one,) = over_sets(group_results(read_study(study)))
    return one


def test_means_are_averaged_over_seeds_and_settings_stand_on_the_same_sets(study: Path):
    found = compared(study)
    assert found.sets == ("dl19", "dl20", "news")
    by_loss = {labels["loss"]: row.tolist() for labels, row in zip(found.labels, found.means_SD, strict=True)}
    assert by_loss == {loss: list(means.values()) for loss, means in MEANS.items()}


def test_ranks_are_averaged_over_sets_and_equal_settings_share_theirs(study: Path):
    found = compared(study)
    ranks = {labels["loss"]: rank for labels, rank in zip(found.labels, found.ranks_S, strict=True)}
    assert ranks == pytest.approx({"lce": (1 + 1 + 1.5) / 3, "bce": (3 + 2 + 1.5) / 3, "hinge": (2 + 3 + 3) / 3})


def test_a_difference_has_student_s_interval_over_the_sets(study: Path):
    found = compared(study)
    assert found.labels[found.best]["loss"] == "lce"
    (bce,) = (row for row, labels in enumerate(found.labels) if labels["loss"] == "bce")
    interval = found.difference_to_best(bce)
    # differences -.2, -.2, 0: mean -.1333, sd .11547, standard error .06667, t(2, 97.5 %) = 4.30265
    assert interval.mean == pytest.approx(-0.13333, abs=1e-5)
    assert (interval.low, interval.high) == pytest.approx((-0.42018, 0.15351), abs=1e-5)


def test_the_data_of_the_training_is_no_test_set(study: Path):
    for loss in MEANS:
        write_job(study, f"{loss}-own", dict.fromkeys(QUERIES, 0.9), labels={"loss": loss, "data": "apidocs"})
    assert compared(study).sets == ("dl19", "dl20", "news")


def test_a_setting_that_lacks_a_set_is_left_out(study: Path):
    write_job(
        study, "gbce", dict.fromkeys(QUERIES, 0.9), labels={"loss": "gbce", "data": "dl19", "trained_on": "apidocs"},
        config={"test_set": "dl19"},
    )  # fmt: skip
    assert {labels["loss"] for labels in compared(study).labels} == set(MEANS)


def test_first_stages_of_a_set_count_as_one_set(tmp_path: Path):
    for loss, mean in (("lce", 0.5), ("bce", 0.25)):
        for data in ("dl19", "dl20"):
            write_job(
                tmp_path / "s", f"{loss}-{data}", dict.fromkeys(QUERIES, mean), first_stages=("bm25", "colbert"),
                labels={"loss": loss, "data": data}, config={"test_set": data},
            )  # fmt: skip
    found = compared(tmp_path / "s")
    assert found.means_SD.shape == (2, 2)
    assert found.friedman_p is None


def test_one_set_or_one_setting_is_no_comparison(tmp_path: Path):
    write_job(tmp_path / "s", "a", dict.fromkeys(QUERIES, 0.5), labels={"data": "dl19"}, config={"test_set": "dl19"})
    write_job(tmp_path / "s", "b", dict.fromkeys(QUERIES, 0.5), labels={"data": "dl20"}, config={"test_set": "dl20"})
    assert over_sets(group_results(read_study(tmp_path / "s"))) == []


def test_the_critical_difference_of_demsar_s_example():
    """Section 3.2.3: four classifiers on 14 data sets."""
    assert nemenyi(4, 14) == pytest.approx(1.25, abs=0.005)


def test_friedman_s_test_by_hand():
    """Ranks 1, 2, 3 on each of four sets: chi-squared 12 x 4 / (3 x 4) ((1 + 4 + 9) - 3 x 16 / 4) = 8, two degrees."""
    means_SD = np.array([[0.9] * 4, [0.6, 0.5, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4]])
    assert friedman(means_SD) == pytest.approx(np.exp(-8 / 2))  # the upper tail of chi-squared with two degrees


def test_settings_that_tie_everywhere_are_equal():
    assert friedman(np.full((3, 4), 0.5)) == 1.0
