"""The report of an audit of negatives: the table, the listed pairs and the picture."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from helpers.audited import PASSAGES, answers_of_twins, audit, audit_input, scores
from rich.console import Console

from experiments.negatives.false_negative_audit import SIGNS, AuditInput, Cell, FalseNegativeAudit
from experiments.reporting.names import source_name
from experiments.reporting.plots.false_negatives import audit_figure
from experiments.reporting.plots.figure import save_figures
from experiments.reporting.tables.false_negatives import (
    HEADS,
    audit_files,
    audit_markdown,
    audit_table,
    cell_rows,
    pair_rows,
    print_audit,
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> AuditInput:
    return audit_input(tmp_path_factory.mktemp("audit"))


def printed(found: FalseNegativeAudit) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_audit(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_shares_in_per_cent_and_the_interval_of_the_last(given: AuditInput):
    found = audit(given, count=1, sources=["colbert"])
    table = audit_table(found)
    assert table.columns == (
        "source", "depth", "distinct", "same %", "near %", "judged %", "twin %", "any %", "95 % interval",
    )  # fmt: skip
    assert table.rows == (("ColBERT", "2", "2", "0.00", "0.00", "0.00", "0.00", "0.00", "[0.00, 0.00]"),)


def test_scores_bring_two_columns(given: AuditInput):
    found = audit(given, score=scores, scorer="x")
    table = audit_table(found)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["above %"], row["any %"], row["gap"]) == ("25.00", "100.00", "-0.12")


def test_the_caption_names_the_threshold_the_scorer_and_what_was_left_out(given: AuditInput):
    said = audit_table(audit(given, score=scores, scorer="a model", margin=0.1)).caption
    assert "2 negatives for each of 2 queries" in said
    assert "of 0.5 or more to a positive" in said
    assert "above the best-scored positive minus 0.1, by a model" in said
    assert "another training query that asks the same in other function words" in said
    assert "left out" not in said


def test_the_caption_names_the_threshold_of_twins_where_it_is_not_the_strictest(given: AuditInput):
    assert (
        "function words apart (Jaccard of word pairs, 0.8 or more)" in audit_table(audit(given, twin_query=0.8)).caption
    )


def test_a_mixture_is_written_as_a_sum():
    assert source_name("bm25+colbert") == "BM25 + ColBERT"


def test_the_terminal_shows_the_table_and_the_worst_pairs_uncut(given: AuditInput):
    text = printed(audit(given))
    assert "[50.00, 100.00]" in text
    assert "1. exact duplicate, near duplicate; similarity to the positive 1.00; rank 1 of BM25" in text
    assert PASSAGES[1] in text


def test_rows_and_csv_have_every_count_and_interval_unrounded(given: AuditInput):
    found = audit(given, score=scores, scorer="x")
    columns, (row,) = cell_rows(found)
    assert len(columns) == len(row) == 33
    (read,) = csv.DictReader(io.StringIO(audit_files(found)["negatives.csv"]))
    assert (read["source"], read["above_positive"], read["suspicious_share"]) == ("bm25", "1", "1.0")
    assert float(read["score_gap"]) == pytest.approx(-0.125)


def test_rows_of_pairs_have_all_their_fields(given: AuditInput):
    columns, (first, _) = pair_rows(audit(given))
    one = dict(zip(columns, first, strict=True))
    assert (one["query_id"], one["signs"], one["rank"]) == ("q0", "exact_duplicate, near_duplicate", 1)
    assert (first[0], one["twin"]) == ("how to copy a file ?", None)


def test_markdown_has_the_table_and_the_texts_as_code(given: AuditInput):
    text = audit_markdown(audit(given))
    assert "| BM25 | 2 | 4 | 25.00 | 50.00 | 25.00 | 0.00 | 75.00 | [50.00, 100.00] |" in text
    assert "   - negative: `Copy a file to a folder`" in text
    assert "   - negative: ``` delete `old` files ```" in text, "a text with backticks is fenced by more of them"


def test_a_twin_is_listed_between_query_and_positive(given: AuditInput):
    text = audit_markdown(audit(answers_of_twins(given)))
    assert "   - query: `how to copy a file ?`\n   - twin: `How to copy the file`\n   - positive: " in text
    assert "twin query; similarity to the positive 0.00; rank 2 of BM25" in text


def test_a_report_is_three_files_of_text_and_a_figure(given: AuditInput):
    texts = audit_files(audit(given))
    assert list(texts) == ["negatives.md", "negatives.csv", "negatives_worst.csv"]
    assert all(texts.values())
    assert audit_figure(audit(given)).name == "suspicious_by_depth"


def test_every_sign_of_an_audit_has_a_column():
    assert tuple(HEADS) == SIGNS


def test_the_picture_has_a_line_for_each_source_with_its_shares(given: AuditInput):
    figure = audit_figure(audit(given, count=1, sources=["bm25", "colbert"], depths=[1, 2])).figure
    (axes,) = figure.axes
    bm25, colbert = (line for line in axes.lines if line.get_marker() in ("o", "s"))
    assert list(np.asarray(bm25.get_ydata(), float)[:1]) == [100.0]
    assert list(np.asarray(colbert.get_ydata(), float)) == [0.0, 0.0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]
    assert {text.get_text() for text in axes.texts} == {"BM25", "ColBERT"}


def test_all_text_lies_within_the_picture(given: AuditInput):
    found = audit(given, score=scores, scorer="x", sources=["bm25", "bm25+colbert"], depths=[2, 3])
    figure = audit_figure(found).figure
    figure.draw_without_rendering()
    canvas = figure.bbox
    (axes,) = figure.axes
    for text in (*figure.texts, *axes.texts, axes.yaxis.label, axes.xaxis.label):
        box = text.get_window_extent()
        assert canvas.x0 <= box.x0 <= box.x1 <= canvas.x1, text.get_text()
        assert canvas.y0 <= box.y0 <= box.y1 <= canvas.y1, text.get_text()


def test_depths_that_stand_close_share_no_tick(given: AuditInput):
    cell = audit(given).cells[0]
    depths = (10, 100, 101, 1000)
    cells = tuple(Cell(**{**vars(cell), "depth": depth}) for depth in depths)
    figure = audit_figure(FalseNegativeAudit(**{**vars(audit(given)), "cells": cells})).figure
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["10", "100", "1,000"]


def test_the_same_audit_gives_the_same_bytes(given: AuditInput, tmp_path: Path):
    once = [path.read_bytes() for path in save_figures([audit_figure(audit(given))], tmp_path)]
    assert [path.read_bytes() for path in save_figures([audit_figure(audit(given))], tmp_path)] == once
