"""Published values next to measured ones, and claims with what they rest on."""

import io
from pathlib import Path
from typing import Any

import yaml
from helpers.findings import TABLE, small_findings
from helpers.page import Page
from helpers.study_folder import FIRST_STAGE, write_job
from rich.console import Console

from experiments.analysis.findings import findings_of
from experiments.reporting.page.page import page_of
from experiments.reporting.summary import latex, markdown, print_findings
from experiments.reporting.tables.published import claims_table, pair_table, published_table
from experiments.reporting.tables.table import Table


def published(study: Path, **settings: Any) -> Table:
    table = published_table(small_findings(study, **settings))
    assert table is not None
    return table


def test_a_published_value_has_the_measured_one_the_difference_and_the_status(tmp_path: Path):
    table = published(tmp_path / "s")
    assert table.columns == ("loss", "n", "published", "measured", "sd", "difference", "status")
    # BCE reaches (0.5 + 1 + 0.25 + 0) / 4, LCE (1 + 0.25 + 1 + 0) / 4
    assert table.rows == (
        ("bce", "7", "0.450", "0.438", "-", "-0.013", "within"),
        ("lce", "7", "0.500 (second-hand)", "0.562", "-", "+0.062", "outside"),
        ("lce", "31", "0.600", "-", "-", "-", "not measured"),
    )


def test_a_second_hand_value_is_marked_in_every_form_of_the_report(tmp_path: Path):
    findings = small_findings(tmp_path / "s")
    terminal = io.StringIO()
    print_findings(findings, Console(file=terminal, width=200))
    for text in (terminal.getvalue(), markdown(findings), latex(findings), Page(page_of(findings, ())).words):
        assert "0.500 (second-hand)" in text
        assert "Second-hand: read in another text than the authors' own." in " ".join(text.split())


def test_values_of_other_data_are_not_compared(tmp_path: Path):
    table = published(tmp_path / "s", table=TABLE | {"data": "msmarco"})
    assert [row[-2:] for row in table.rows[:2]] == [("-", "other data")] * 2
    assert "the order of the settings can" in table.caption


def test_an_unknown_published_value_is_said_to_be_unknown(tmp_path: Path):
    table = TABLE | {"published": [{"loss": "bce", "negatives": 7, "value": None}]}
    assert published(tmp_path / "s", table=table).rows == (("bce", "7", "unknown", "0.438", "-", "-", "unknown"),)


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
    found = published_table(findings_of(tmp_path / "s"))
    assert found is not None
    assert [row[:4] for row in found.rows] == [
        ("ColBERT (for TCT-ColBERT)", "7", "0.400", "0.438"),
        ("TCT-ColBERT", "31", "0.500", "-"),
    ]
    assert "ColBERT stands in for TCT-ColBERT." in found.notes


def test_a_value_that_was_measured_on_several_first_stages_has_a_row_for_each(tmp_path: Path):
    write_job(tmp_path / "s", "a", FIRST_STAGE, first_stages=("bm25", "colbert"))
    values = [{"loss": "lce", "negatives": 7, "value": 0.4}]
    (tmp_path / "s" / "table.yaml").write_text(yaml.safe_dump(TABLE | {"published": values, "claims": []}))
    found = published_table(findings_of(tmp_path / "s"))
    assert found is not None
    assert found.columns[:3] == ("loss", "n", "first stage")
    assert [row[2] for row in found.rows] == ["BM25", "ColBERT"]


def test_a_study_of_ones_own_says_nothing_of_published_values(tmp_path: Path):
    findings = small_findings(tmp_path / "s", table=None)
    assert published_table(findings) is None
    for text in (markdown(findings), latex(findings)):
        assert "published" not in text.lower()


def test_a_claim_has_its_verdict_who_says_so_and_what_it_rests_on(tmp_path: Path):
    findings = small_findings(tmp_path / "s")
    (verdict,) = findings.verdicts
    table = claims_table(findings.verdicts)
    assert table is not None
    assert table.rows == (("LCE beats BCE", verdict.state, verdict.needs, "Section 4"),)
    assert verdict.needs.startswith("+0.125 [")
    (pair,) = pair_table(verdict).rows
    assert (pair[1], pair[4]) == ("+0.125", "2/1/1")
    words = Page(page_of(findings, ())).words
    assert verdict.needs in words
    assert "LCE beats BCE: 1 comparison" in words


def test_a_claim_of_our_own_is_told_from_one_of_the_source(tmp_path: Path):
    claim = {name: value for name, value in TABLE["claims"][0].items() if name != "published"}
    table = claims_table(small_findings(tmp_path / "s", table=TABLE | {"claims": [claim]}).verdicts)
    assert table is not None
    assert table.rows[0][-1] == "our own; the source does not say so"
