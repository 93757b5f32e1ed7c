"""What a report says of a study: cells beside published values, what they are compared with, and what is missing."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.study_folder import FIRST_STAGE, write_job, write_unfinished_job

from experiments.analysis.findings import findings_of
from experiments.common.errors import ExperimentError
from experiments.reporting.tables.published import claims_table, order_agreement, published_table

BETTER = {query: value + 0.25 for query, value in FIRST_STAGE.items()}  # mean 0.6875
BEST = dict.fromkeys(FIRST_STAGE, 0.75)
PAPER: dict[str, Any] = {
    "title": "Negatives",
    "source": "A paper, Table 3",
    "data": "apidocs",
    "rows": ["source"],
    "columns": ["negatives"],
    "mark": "primary",
    "tolerance": 0.005,
    "published": [
        {"source": "bm25", "negatives": 1, "value": 0.44},
        {"source": "bm25", "negatives": 7, "value": 0.70},
        {"source": "bm25", "negatives": 31, "value": None},
    ],
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_job(tmp_path / "s", "a", FIRST_STAGE, labels={"negatives": 1})
    write_job(tmp_path / "s", "b", BETTER, labels={"negatives": 7})
    declare(tmp_path / "s", PAPER)
    return tmp_path / "s"


def declare(study: Path, table: dict[str, Any]) -> None:
    (study / "table.yaml").write_text(yaml.safe_dump(table))


def test_a_measured_cell_is_within_or_outside_the_tolerance_of_the_published_one(study: Path):
    one, seven = findings_of(study).results
    assert (one.published.value, one.mean, one.status) == (0.44, 0.4375, "within")
    assert (seven.published.value, seven.mean, seven.status) == (0.70, 0.6875, "outside")


def test_a_published_cell_that_nothing_was_measured_of_is_missing(study: Path):
    assert [dict(one.where) for one in findings_of(study).missing] == [{"source": "bm25", "negatives": 31}]


def test_values_of_other_data_stand_side_by_side_but_are_not_compared(study: Path):
    declare(study, PAPER | {"data": "msmarco-passage"})
    findings = findings_of(study)
    assert {result.status for result in findings.results} == {"other data"}
    table = published_table(findings)
    assert table is not None
    assert [row[2:] for row in table.rows] == [
        ("0.440", "0.438", "-", "-", "other data"),
        ("0.700", "0.688", "-", "-", "other data"),
        ("unknown", "-", "-", "-", "not measured"),
    ]
    assert (
        "for msmarco-passage, or for what a stand-in replaces here. The values cannot be compared, the order"
        in table.caption
    )


def test_what_stands_in_for_a_published_cell_is_named_as_it_is(study: Path):
    cells = [{"source": "tct_colbert", "negatives": 1, "value": 0.44}]
    declare(study, PAPER | {"published": cells, "stand_ins": {"bm25": "tct_colbert"}})
    findings = findings_of(study)
    assert [result.status for result in findings.results] == ["other data", ""]
    assert published_table(findings).rows == (
        ("BM25 (for TCT-ColBERT)", "1", "0.440", "0.438", "-", "-", "other data"),
    )


def test_within_the_same_data_differences_to_the_published_values_are_given(study: Path):
    rows = published_table(findings_of(study)).rows
    assert [row[:2] for row in rows] == [("BM25", "1"), ("BM25", "7"), ("BM25", "31")]
    assert rows[0][2:] == ("0.440", "0.438", "-", "-0.003", "within")
    assert rows[1][2:] == ("0.700", "0.688", "-", "-0.012", "outside")


def test_a_second_hand_value_is_marked(study: Path):
    cells = [{"source": "bm25", "negatives": 1, "value": 0.44, "mark": "second-hand"}]
    declare(study, PAPER | {"published": cells})
    assert published_table(findings_of(study)).rows[0][2] == "0.440 (second-hand)"


def test_the_order_of_cells_is_compared_by_kendall_s_tau(study: Path):
    assert order_agreement(findings_of(study)) is None  # two known cells have no order to speak of
    write_job(study, "c", BEST, labels={"negatives": 31})
    cells = [{"source": "bm25", "negatives": n, "value": v} for n, v in ((1, 0.3), (7, 0.5), (31, 0.4))]
    declare(study, PAPER | {"published": cells})
    # measured .4375 < .6875 < .75; published: two of three pairs in the same order, one in the other: (2 - 1) / 3
    assert order_agreement(findings_of(study)) == "Order of the 3 settings: Kendall's tau +0.33 (p 1.000)."


def test_without_a_reference_cells_are_compared_with_the_first_stage(study: Path):
    findings = findings_of(study)
    assert findings.reference == {("apidocs", "bm25"): "bm25"}
    assert [result.comparison.mean for result in findings.results] == [0.0, 0.25]


def test_a_reference_is_compared_with_nothing_and_others_with_it(study: Path):
    declare(study, PAPER | {"reference": {"negatives": 7}})
    findings = findings_of(study)
    assert findings.reference == {("apidocs", "bm25"): "negatives 7"}
    one, seven = findings.results
    assert seven.comparison is None
    assert one.comparison.mean == -0.25


def test_a_reference_that_fits_several_settings_is_the_one_with_the_other_labels_of_the_compared(study: Path):
    write_job(study, "c", BEST, labels={"negatives": 1, "loss": "bce"})
    write_job(study, "d", FIRST_STAGE, labels={"negatives": 7, "loss": "bce"})
    declare(study, PAPER | {"reference": {"negatives": 7}})
    findings = findings_of(study)
    assert findings.reference == {("apidocs", "bm25"): "negatives 7"}
    compared = {tuple(map(result.setting.labels.get, ("loss", "negatives"))): result for result in findings.results}
    assert compared["lce", 1].comparison.mean == -0.25
    assert compared["bce", 1].comparison.mean == 0.3125
    assert compared["lce", 7].comparison is compared["bce", 7].comparison is None


def test_a_reference_that_fits_several_settings_at_other_labels_wants_a_further_label(study: Path):
    write_job(study, "c", BEST, labels={"negatives": 7, "source": "colbert"})
    write_job(study, "d", BEST, labels={"negatives": 1, "source": "judged"})
    declare(study, PAPER | {"reference": {"negatives": 7}})
    with pytest.raises(ExperimentError, match=r"table.reference \{'negatives': 7\} fits 2 settings.*name source in it"):
        findings_of(study)


def test_p_values_are_corrected_for_all_comparisons_over_seeds_of_the_study(study: Path):
    write_job(study, "c", {**FIRST_STAGE, "q4": 0.4}, labels={"negatives": 31})
    assert [result.p_holm for result in findings_of(study).results] == [None, None, None]  # one seed each
    write_job(study, "d", FIRST_STAGE, labels={"negatives": 1, "seed": 2})
    write_job(study, "e", BETTER, labels={"negatives": 7, "seed": 2})
    write_job(study, "f", {**FIRST_STAGE, "q4": 0.4}, labels={"negatives": 31, "seed": 2})
    results = findings_of(study).results
    p = [result.comparison.p for result in results]
    assert [result.p_holm for result in results] == pytest.approx([1.0, 3 * p[1], max(2 * p[2], 3 * p[1])])


def test_claims_get_a_verdict(study: Path):
    claim = {"says": "More negatives help", "kind": "rises", "over": "negatives"}
    declare(study, PAPER | {"claims": [claim]})
    write_job(study, "a2", FIRST_STAGE, labels={"negatives": 1, "seed": 2})
    write_job(study, "b2", BETTER, labels={"negatives": 7, "seed": 2})
    (verdict,) = findings_of(study).verdicts
    assert verdict.state == "supported"
    table = claims_table([verdict])
    assert table is not None
    assert table.rows[0][:2] == ("More negatives help", "supported")


def test_failed_jobs_are_among_the_jobs(study: Path):
    write_unfinished_job(study, "z", "failed", "no space left")
    assert [job.state for job in findings_of(study).jobs] == ["finished", "finished", "failed"]


def test_the_table_s_measure_is_the_study_s(tmp_path: Path):
    write_job(tmp_path / "s", "a", FIRST_STAGE, measure="RR@100")
    declare(tmp_path / "s", {"title": "t", "source": "s", "measure": "RR@100"})
    assert findings_of(tmp_path / "s").measure == "RR@100"


def test_without_a_table_or_its_measure_the_jobs_first_measure_heads_all(tmp_path: Path):
    write_job(tmp_path / "s", "a", FIRST_STAGE, measure="nDCG@5")
    assert findings_of(tmp_path / "s").measure == "nDCG@5"
    declare(tmp_path / "s", {"title": "t", "source": "s"})
    assert findings_of(tmp_path / "s").measure == "nDCG@5"


def test_a_mistake_in_the_table_names_file_and_key(study: Path):
    declare(study, PAPER | {"colour": "red"})
    with pytest.raises(ExperimentError, match=r"table\.yaml: there is no key table\.colour"):
        findings_of(study)
