"""The tables of a study's page: published beside measured, all results, claims."""

from pathlib import Path

import pytest
import yaml
from experiments.reporting.page.claims import claim_rows
from experiments.reporting.page.published import grids_of, notes_of
from experiments.reporting.page.results import listing_of
from helpers.findings import TABLE, small_findings
from helpers.page import Page
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.findings import findings_of
from experiments.reporting.page.page import page_of


def test_a_published_cell_stands_beside_the_measured_one_with_difference_and_status(tmp_path: Path):
    (grid,) = grids_of(small_findings(tmp_path / "s"))
    assert (grid.title, grid.stubs, grid.columns) == ("BM25 re-ranked, apidocs", ("loss",), ("n 7", "n 31"))
    bce, lce = grid.rows
    # BCE reaches (0.5 + 1 + 0.25 + 0) / 4, LCE (1 + 0.25 + 1 + 0) / 4
    assert bce[0] == ("bce",)
    assert [(one.published, one.measured, one.compared) for one in bce[1]] == [
        ("0.450", "0.438", "-0.013, within"),
        ("", "", ""),
    ]
    assert [(one.published, one.measured, one.compared, one.status) for one in lce[1]] == [
        ("0.500†", "0.562", "+0.062, outside", "outside"),
        ("0.600", "", "", "not measured"),
    ]


def test_values_of_other_data_are_greyed_and_not_compared(tmp_path: Path):
    findings = small_findings(tmp_path / "s", table=TABLE | {"data": "msmarco"})
    cells = [cell for _, row in grids_of(findings)[0].rows for cell in row if cell.measured]
    assert {(cell.compared, cell.status) for cell in cells} == {("other data", "other data")}
    assert any("only the order of the cells is" in note for note in notes_of(findings))


def test_an_unknown_published_value_is_said_to_be_unknown(tmp_path: Path):
    table = TABLE | {"published": [{"loss": "bce", "negatives": 7, "value": None}]}
    (grid,) = grids_of(small_findings(tmp_path / "s", table=table))
    assert grid.rows[0][1][0].published == "unknown"


def test_a_stand_in_takes_the_place_of_what_it_stands_for_and_is_named(tmp_path: Path):
    write_job(tmp_path / "s", "a", FIRST_STAGE, labels={"source": "colbert"})
    table = TABLE | {
        "rows": ["source"],
        "stand_ins": {"colbert": "tct_colbert"},
        "claims": [],
        "published": [
            {"source": "tct_colbert", "negatives": 7, "value": 0.4},
            {"source": "tct_colbert", "negatives": 31, "value": 0.5},
        ],
    }
    (tmp_path / "s" / "table.yaml").write_text(yaml.safe_dump(table))
    (grid,) = grids_of(findings_of(tmp_path / "s"))
    ((names, cells),) = grid.rows
    assert names == ("ColBERT (for TCT-ColBERT)",)
    assert [(one.published, one.measured) for one in cells] == [("0.400", "0.438"), ("0.500", "")]


def test_first_stages_that_no_row_or_column_names_have_a_grid_each(tmp_path: Path):
    write_job(tmp_path / "s", "a", FIRST_STAGE, first_stages=("bm25", "colbert"))
    (tmp_path / "s" / "table.yaml").write_text(yaml.safe_dump({"title": "t", "source": "s"}))
    assert [grid.title for grid in grids_of(findings_of(tmp_path / "s"))] == [
        "BM25 re-ranked, apidocs",
        "ColBERT re-ranked, apidocs",
    ]


def test_a_label_that_varies_and_that_the_table_does_not_name_becomes_a_row_label(tmp_path: Path):
    for name, source in (("a", "bm25"), ("b", "colbert")):
        write_job(tmp_path / "s", name, FIRST_STAGE, labels={"source": source})
    (tmp_path / "s" / "table.yaml").write_text(yaml.safe_dump({"title": "t", "source": "s"}))
    (grid,) = grids_of(findings_of(tmp_path / "s"))
    assert grid.stubs[:2] == ("loss", "source")
    assert [names[:2] for names, _ in grid.rows] == [("lce", "BM25"), ("lce", "ColBERT")]


def test_the_listing_has_a_row_a_cell_under_the_first_stage_itself(tmp_path: Path):
    listing = listing_of(small_findings(tmp_path / "s"))
    assert [column.name for column in listing.columns] == [
        *("loss", "n", "RR@10", "sd", "seeds", "vs BM25", "95 % interval", "p (Holm)"),
        *("win / tie / loss", "detectable", "pairs", "seconds"),
    ]
    own, bce, lce = listing.rows
    assert own.own
    assert [entry.text for entry in own.entries[:3]] == ["BM25 alone", "", "0.438"]
    assert [entry.text for entry in bce.entries[:6]] == ["bce", "7", "0.438", "-", "1", " 0.000"]
    # LCE against BM25: +0.5, 0, 0, 0
    assert (lce.entries[5].text, lce.entries[8].text) == ("+0.125", "1 / 3 / 0")
    assert lce.entries[5].order == pytest.approx(0.125)
    assert all(len(row.entries) == len(listing.columns) for row in listing.rows)


def test_an_interval_over_queries_only_is_marked(tmp_path: Path):
    listing = listing_of(small_findings(tmp_path / "s"))
    assert listing.rows[1].entries[6].text.endswith(" ‡")
    assert any(sentence.startswith("‡ One seed") for sentence in listing.caption)


def test_the_reference_cell_is_named_and_not_compared_with_itself(tmp_path: Path):
    listing = listing_of(small_findings(tmp_path / "s", table=TABLE | {"reference": {"loss": "bce"}}))
    assert listing.columns[5].name == "vs loss bce"
    assert listing.rows[1].entries[5].text == "reference"


def test_a_claim_stands_with_its_verdict_in_words_and_what_it_rests_on(tmp_path: Path):
    findings = small_findings(tmp_path / "s")
    (claim,) = claim_rows(findings)
    assert (claim.says, claim.source) == ("LCE beats BCE", "Published: Section 4.")
    assert claim.state == findings.verdicts[0].state
    assert claim.estimate.startswith("+0.125 [")
    assert f"{claim.estimate}{claim.needs}" == findings.verdicts[0].needs
    assert [(pair.difference, pair.counts) for pair in claim.pairs] == [("+0.125", "2 / 1 / 1")]
    assert claim.state in Page(page_of(findings, ())).words


def test_a_claim_of_our_own_is_told_from_one_of_the_source(tmp_path: Path):
    claim = {name: value for name, value in TABLE["claims"][0].items() if name != "published"}
    (row,) = claim_rows(small_findings(tmp_path / "s", table=TABLE | {"claims": [claim]}))
    assert row.source == "Our own; the source does not say so."
