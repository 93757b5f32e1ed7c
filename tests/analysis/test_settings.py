"""Which jobs are averaged, what they are compared with, and which cannot stand in one table."""

from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import FIRST_STAGE, write_job, write_unfinished_job

from experiments.analysis.load import read_study
from experiments.analysis.settings import ResultGroup, group_results
from experiments.common.errors import ExperimentError

# FIRST_STAGE is q1 0.5, q2 0.25, q3 1.0, q4 0.0: mean 0.4375.
BETTER = {"q1": 1.0, "q2": 0.5, "q3": 1.0, "q4": 0.5}  # mean 0.75
SAME = dict(FIRST_STAGE)


def blocks(study: Path, measure: str = "RR@10") -> list[ResultGroup]:
    return group_results(read_study(study), measure)


def test_jobs_that_are_equal_up_to_the_seed_are_one_cell(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 2})
    write_job(tmp_path, "b", SAME, labels={"seed": 1})
    (cell,) = blocks(tmp_path)[0].settings
    assert cell.seeds == (1, 2)
    assert cell.mean == pytest.approx((0.75 + 0.4375) / 2)


def test_each_seed_has_a_row_of_values_in_the_order_of_the_seeds(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 2})
    write_job(tmp_path, "b", SAME, labels={"seed": 1})
    (cell,) = blocks(tmp_path)[0].settings
    np.testing.assert_allclose(cell.values_SQ, [list(SAME.values()), list(BETTER.values())])


def test_the_spread_over_seeds_is_that_of_their_means(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1})
    write_job(tmp_path, "b", SAME, labels={"seed": 2})
    # Two values 0.3125 apart have the sample standard deviation 0.3125 / sqrt 2.
    assert blocks(tmp_path)[0].settings[0].sd == pytest.approx(0.3125 / 2**0.5)


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    assert blocks(tmp_path)[0].settings[0].sd is None


def test_queries_are_aligned_by_their_id_not_by_their_line(tmp_path: Path) -> None:
    write_job(tmp_path, "a", SAME, labels={"seed": 1})
    write_job(tmp_path, "b", dict(reversed(SAME.items())), labels={"seed": 2})
    one, other = blocks(tmp_path)[0].settings[0].values_SQ
    np.testing.assert_array_equal(one, other)


def test_cells_stand_by_loss_and_then_by_the_number_of_negatives_as_a_number(tmp_path: Path) -> None:
    for loss, negatives in (("lce", 15), ("lce", 7), ("bce", 31), ("bce", 3)):
        write_job(tmp_path, f"{loss}-{negatives}", BETTER, labels={"loss": loss, "negatives": negatives})
    cells = blocks(tmp_path)[0].settings
    places = [(cell.labels["loss"], cell.negatives) for cell in cells]
    assert places == [("bce", 3), ("bce", 31), ("lce", 7), ("lce", 15)]


def test_labels_that_vary_are_axes_and_the_others_constants(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"source": "bm25"})
    write_job(tmp_path, "b", BETTER, labels={"source": "colbert"})
    (block,) = blocks(tmp_path)
    assert block.axes == ("source",)
    assert block.constants == {"backbone": "bert-tiny"}


def test_a_setting_that_no_label_shows_is_never_averaged_over(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, config={"optimizer": {"lr": 1e-4}}, labels={"seed": 1})
    write_job(tmp_path, "b", BETTER, config={"optimizer": {"lr": 2e-4}}, labels={"seed": 2})
    (block,) = blocks(tmp_path)
    assert block.axes == ("optimizer.lr",)
    assert [cell.labels["optimizer.lr"] for cell in block.settings] == [1e-4, 2e-4]


def test_a_config_key_that_follows_from_the_labels_is_no_axis(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"loss": "bce"}, config={"loss": {"name": "bce", "pos_weight": 7}})
    write_job(tmp_path, "b", BETTER, labels={"loss": "lce"})
    assert blocks(tmp_path)[0].axes == ()


def test_seeds_and_what_is_not_scientific_are_no_axes(tmp_path: Path) -> None:
    for seed in (1, 2):
        config = {"sampler": {"seed": seed}, "cache": f"cache-{seed}", "compute": {"threads": seed}}
        write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed}, config=config)
    (block,) = blocks(tmp_path)
    assert block.axes == ()
    assert block.seed_counts == (2,)


def test_what_a_job_re_ranks_is_no_axis(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1})
    write_job(tmp_path, "b", BETTER, labels={"seed": 2}, first_stages=("bm25", "colbert"))
    bm25, colbert = blocks(tmp_path)
    assert [cell.seeds for cell in bm25.settings] == [(1, 2)]
    assert [cell.seeds for cell in colbert.settings] == [(2,)]


def test_a_config_that_is_no_jobs_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = write_job(tmp_path, "a", BETTER)
    (folder / "config.yaml").write_text("loss: {name: lce}\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"a/config.yaml is not the config of a job: '\w+' is missing"):
        blocks(tmp_path)


def test_there_is_a_block_for_each_first_stage_and_data_set(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, first_stages=("bm25", "colbert"))
    other = {"z1": 0.5, "z2": 0.0}
    write_job(tmp_path, "b", other, first_stage_values=other, labels={"data": "medquad"})
    assert [(block.data, block.first_stage) for block in blocks(tmp_path)] == [
        ("apidocs", "bm25"),
        ("apidocs", "colbert"),
        ("medquad", "bm25"),
    ]


def test_ties_are_added_up_over_jobs(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1}, ties=2)
    write_job(tmp_path, "b", BETTER, labels={"seed": 2}, ties=3)
    assert blocks(tmp_path)[0].ties == 5


def test_compute_is_averaged_over_seeds_and_missing_if_a_seed_lacks_it(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER, labels={"seed": 1}, compute={"seconds": 10, "flops": 5})
    write_job(tmp_path, "b", BETTER, labels={"seed": 2}, compute={"seconds": 30})
    (cell,) = blocks(tmp_path)[0].settings
    assert cell.compute("seconds") == 20
    assert cell.compute("flops") is None


def test_jobs_that_have_not_finished_are_in_no_block(tmp_path: Path) -> None:
    write_unfinished_job(tmp_path, "a", "running")
    assert blocks(tmp_path) == []


def test_different_test_queries_are_an_error_that_names_the_jobs(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    write_job(tmp_path, "b", {"q1": 1.0, "q2": 0.5}, labels={"negatives": 3})
    complaint = r"jobs a and b .* different test queries of bm25 \(4 and 2; 'q3' is in one only\)"
    with pytest.raises(ExperimentError, match=complaint):
        blocks(tmp_path)


def test_different_runs_under_one_name_are_an_error_that_names_the_jobs(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    write_job(tmp_path, "b", BETTER, first_stage_values=FIRST_STAGE | {"q4": 0.1}, labels={"negatives": 3})
    with pytest.raises(ExperimentError, match="jobs a and b re-rank different runs under the name bm25"):
        blocks(tmp_path)


def test_one_setting_with_one_seed_twice_is_an_error_that_names_the_jobs(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    write_job(tmp_path, "b", BETTER)
    with pytest.raises(ExperimentError, match="jobs a and b are the same setting with the same seed"):
        blocks(tmp_path)


def test_a_measure_that_was_not_taken_is_an_error_that_names_those_that_were(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    with pytest.raises(ExperimentError, match="job a has no P@1 for bm25: choose one of RR@10"):
        blocks(tmp_path, "P@1")


def test_a_list_in_which_jobs_differ_is_a_label_of_its_words(tmp_path: Path):
    values = {"q1": 1.0, "q2": 0.0, "q3": 1.0, "q4": 0.0}
    for name, layers in (("lce-n7-bm25-s1-aaaaaaaa", [1, 2]), ("lce-n7-bm25-s1-bbbbbbbb", [2])):
        write_job(tmp_path, name, values, config={"probe": {"layers": layers}})
    (block,) = group_results(read_study(tmp_path), "RR@10")
    assert [cell.labels["probe.layers"] for cell in block.settings] == ["1, 2", "2"]


def test_a_setting_has_the_labels_of_its_jobs_and_the_first_stage(tmp_path: Path):
    write_job(tmp_path, "b", BETTER, labels={"seed": 2})
    write_job(tmp_path, "a", FIRST_STAGE, labels={"seed": 1})
    (found,) = blocks(tmp_path)[0].settings
    assert found.labels == {
        "loss": "lce", "negatives": 7, "source": "bm25", "data": "apidocs", "backbone": "bert-tiny",
        "first_stage": "bm25",
    }  # fmt: skip
    assert (found.seeds, found.models, found.measure) == ((1, 2), ("a", "b"), "RR@10")
    assert found.query_ids == ("q1", "q2", "q3", "q4")
    np.testing.assert_array_equal(found.values_SQ, [[0.5, 0.25, 1.0, 0.0], [1.0, 0.5, 1.0, 0.5]])


def test_a_config_key_in_which_settings_differ_is_a_label(tmp_path: Path):
    for name, rate in (("a", 1e-4), ("b", 2e-4)):
        write_job(tmp_path, name, BETTER, config={"optimizer": {"lr": rate}})
    assert [one.labels["optimizer.lr"] for block in blocks(tmp_path) for one in block.settings] == [1e-4, 2e-4]


def test_a_model_has_a_result_on_each_first_stage(tmp_path: Path):
    write_job(tmp_path, "a", BETTER, first_stages=("bm25", "colbert"))
    assert [one.labels["first_stage"] for block in blocks(tmp_path) for one in block.settings] == ["bm25", "colbert"]
