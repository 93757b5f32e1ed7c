"""The audit of negatives: what is counted, in which cells, which pairs come first; the table and the picture."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource, literal_run
from rich.console import Console

from experiments.data.collection import open_collection
from experiments.data.ragged import Ragged
from experiments.errors import ExperimentError
from experiments.evaluation.significance import paired_bootstrap
from experiments.negatives.filters import NearDuplicates
from experiments.negatives.near_duplicates import passage_shingles
from experiments.negatives.rule import NegativeRule
from experiments.negatives.twin_queries import TwinQueries, query_shingles
from experiments.store import Store
from experiments.studies.false_negatives import (
    AuditInput,
    Cell,
    FalseNegativeAudit,
    audit_negatives,
    share_interval,
)
from experiments.studies.false_negatives_plot import audit_figure, draw_audit
from experiments.studies.false_negatives_table import (
    caption,
    cell_rows,
    csv_text,
    header,
    markdown,
    pair_rows,
    print_audit,
    rows,
    source_name,
    write_report,
)

PASSAGES = [
    "copy a file to a folder",  # 0, the positive of query 0
    "Copy  a file to a folder",  # 1, the same text but for case and white space
    "copy a file to a disk",  # 2, three of five shingles: 0.6 alike
    "move a file",  # 3, one shingle, shared with none
    "list all users",  # 4, the positive of query 1
    "print the date | time",  # 5
    "delete `old` files",  # 6, judged with grade 1 for query 1, not enough for a positive
    "count words",  # 7, the positive of query 2
]
JUDGED = {0: {0: 2}, 1: {4: 2, 6: 1}}
FAR = {0: [1, 2, 3, 5, 7, 0], 1: [6, 5, 7, 3, 2, 4]}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> AuditInput:
    store = Store(tmp_path_factory.mktemp("audit") / "store")
    passages = [(f"p{i}", text) for i, text in enumerate(PASSAGES)]
    queries = [("q0", "how to copy a file ?"), ("q1", "who is logged in ?"), ("q2", "How to copy the file")]
    qrels = {"train": [("q0", "p0", 2), ("q1", "p4", 2), ("q1", "p6", 1), ("q2", "p7", 1)]}
    collection = open_collection(LiteralSource(passages, queries, qrels), store)
    runs = {"bm25": literal_run(FAR, "bm25"), "colbert": literal_run({0: [3, 5, 7], 1: [5, 7, 3]}, "colbert")}
    relevant = {0: np.array([0]), 1: np.array([4])}
    # query 2 is not looked at, but trained on: it asks what query 0 asks
    twins = TwinQueries.of(collection, relevant | {2: np.array([7])})
    return AuditInput(collection, relevant, JUDGED, runs, passage_shingles(collection, store), twins)


def audit(given: AuditInput, count: int = 2, **more) -> FalseNegativeAudit:
    settings = {"sources": ["bm25"], "depths": [2], "near_duplicate": 0.5, "twin_query": 1.0} | more
    return audit_negatives(given, NegativeRule(count=count), **settings)


def test_every_sign_is_counted_and_a_negative_with_two_is_suspicious_once(given: AuditInput):
    # the first two of each ranking are all drawn: 1 (same, near) and 2 (near); 6 (judged) and 5
    (cell,) = audit(given).cells
    assert cell.counts == {
        "exact_duplicate": 1, "near_duplicate": 2, "judged_relevant": 1, "twin_query": 0, "suspicious": 3,
    }  # fmt: skip
    assert (cell.queries, cell.left_out, cell.drawn, cell.distinct) == (2, 0, 4, 4)


def test_shares_are_of_a_querys_negatives_averaged_over_queries(given: AuditInput):
    (cell,) = audit(given).cells
    assert {sign: share.mean for sign, share in cell.shares.items()} == {
        "exact_duplicate": 0.25, "near_duplicate": 0.5, "judged_relevant": 0.25, "twin_query": 0.0, "suspicious": 0.75,
    }  # fmt: skip


def test_the_interval_is_the_bootstraps_over_queries():
    # 200 queries of four negatives: 150 with none suspicious, 30 with one, 20 with all
    sign_QN = np.zeros((200, 4), bool)
    sign_QN[:30, 0] = True
    sign_QN[180:] = True
    ours, general = share_interval(sign_QN), paired_bootstrap(sign_QN.mean(axis=1))
    assert ours.mean == general.mean == (30 / 4 + 20) / 200
    assert (ours.low, ours.high) == pytest.approx((general.low, general.high), abs=0.003)


def test_a_share_that_never_varies_has_an_interval_of_no_width():
    interval = share_interval(np.ones((5, 3), bool))
    assert (interval.mean, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_the_threshold_of_similarity_is_the_callers(given: AuditInput):
    (cell,) = audit(given, near_duplicate=0.9).cells
    assert cell.counts["near_duplicate"] == 1, "passage 2 is 0.6 alike, no more"


def test_there_is_a_cell_for_every_source_and_depth(given: AuditInput):
    cells = audit(given, count=1, sources=["bm25", "colbert", "bm25+colbert"], depths=[1, 3]).cells
    assert [(cell.source, cell.depth) for cell in cells] == [
        ("bm25", 1), ("bm25", 3), ("colbert", 1), ("colbert", 3), ("bm25+colbert", 1), ("bm25+colbert", 3),
    ]  # fmt: skip
    assert cells[2].counts["suspicious"] == 0, "colbert's top passages are 3 and 5"


def test_queries_with_too_few_candidates_are_left_out_and_counted(given: AuditInput):
    runs = {"bm25": literal_run({0: [1, 2, 3], 1: [6]})}
    (cell,) = audit(replace(given, runs=runs)).cells
    assert (cell.queries, cell.left_out) == (1, 1)


def test_filters_of_the_rule_are_those_that_training_would_use(given: AuditInput):
    asked: list[tuple[int, list[str]]] = []

    def filters(rule, runs):
        asked.append((rule.depth, [run.name for run in runs]))
        return [NearDuplicates(given.shingles, 0.5)]

    (cell,) = audit(given, depths=[4], filters=filters).cells
    assert cell.counts["near_duplicate"] == 0
    assert asked == [(4, ["bm25"])]


def scores(queries, passages):
    """The positives 0 and 4 are scored 1; passage 5 is scored 3, every other 0.5."""
    special = {0: 1.0, 4: 1.0, 5: 3.0}
    return np.array([special.get(int(passage), 0.5) for passage in passages], np.float32)


def test_with_scores_what_stands_above_the_positive_is_suspicious_and_the_gap_is_measured(given: AuditInput):
    (cell,) = audit(given, score=scores, scorer="some model").cells
    assert cell.counts["above_positive"] == 1
    assert cell.counts["suspicious"] == 4
    assert cell.score_gap is not None
    # 1 less 0.5, three times, and 1 less 3
    assert cell.score_gap.mean == pytest.approx((0.5 + 0.5 + 0.5 - 2.0) / 4)


def test_the_margin_is_that_of_the_filter(given: AuditInput):
    counts = [
        audit(given, score=scores, scorer="x", margin=margin).cells[0].counts["above_positive"]
        for margin in (-2.5, -1.9, 0.5, 0.6)
    ]
    assert counts == [0, 1, 1, 4]


def test_without_scores_nothing_is_said_of_them(given: AuditInput):
    found = audit(given)
    assert "above_positive" not in found.cells[0].counts
    assert found.cells[0].score_gap is None
    assert found.worst[0].negative_score is None


def test_the_worst_pair_bears_the_most_signs_and_each_query_has_one(given: AuditInput):
    first, second = audit(given).worst
    assert (first.query_id, first.negative_id, first.signs) == ("q0", "p1", ("exact_duplicate", "near_duplicate"))
    assert (first.query, first.positive, first.negative) == ("how to copy a file ?", PASSAGES[0], PASSAGES[1])
    assert (first.similarity, first.source, first.rank) == (1.0, "bm25", 1)
    assert (second.query_id, second.negative_id, second.signs) == ("q1", "p6", ("judged_relevant",))


def answers_of_twins(given: AuditInput) -> AuditInput:
    """Query 0's only candidates are passage 7, which its twin is answered by, and 2, which is a near-duplicate."""
    return replace(given, runs={"bm25": literal_run({0: [2, 7], 1: [5, 7]}, "bm25")})


def test_what_answers_a_twin_of_the_query_is_suspicious(given: AuditInput):
    (cell,) = audit(answers_of_twins(given)).cells
    assert cell.counts["twin_query"] == 1, "7 answers a twin of query 0, but none of query 1"
    assert cell.counts["suspicious"] == 2
    assert cell.shares["twin_query"].mean == 0.25


def test_the_threshold_of_twins_is_the_callers(given: AuditInput):
    # <s> how, how copy, copy file, file </s> against <s> copy, copy file, file </s>
    twins = TwinQueries(
        np.arange(3),
        query_shingles(["how to copy a file", "", "copy a file"]),
        np.array([7]),
        Ragged.of([[2]], np.int64),
    )
    for threshold, count in ((2 / 5, 1), (0.41, 0)):
        (cell,) = audit(replace(answers_of_twins(given), twins=twins), twin_query=threshold).cells
        assert cell.counts["twin_query"] == count


def test_a_twin_is_worse_than_any_similarity_and_is_shown_as_the_reason(given: AuditInput):
    (first,) = audit(answers_of_twins(given), score=scores_of_similar, scorer="x", worst=1).worst
    assert (first.query_id, first.negative_id, first.signs) == ("q0", "p7", ("twin_query",))
    assert (first.query, first.twin, first.similarity) == ("how to copy a file ?", "How to copy the file", 0.0)


def test_the_same_text_is_worse_than_a_twin(given: AuditInput):
    runs = {"bm25": literal_run({0: [7, 1], 1: [5, 3]}, "bm25")}
    first = audit(replace(given, runs=runs)).worst[0]
    assert (first.negative_id, first.twin) == ("p1", None)


def scores_of_similar(queries, passages):
    """Passage 2, a near-duplicate, is scored above the positive: it bears two signs."""
    return np.array([2.0 if passage == 2 else 1.0 for passage in passages], np.float32)


def test_no_more_pairs_than_asked_for_and_none_without_a_sign(given: AuditInput):
    assert len(audit(given, worst=1).worst) == 1
    assert audit(given, sources=["colbert"]).worst == ()


def test_scores_of_a_pair_are_those_of_the_negative_and_of_the_best_positive(given: AuditInput):
    pair = audit(given, score=scores, scorer="x", worst=9).worst[1]
    assert pair.query_id == "q1"
    assert (pair.negative_id, pair.negative_score, pair.positive_score) == ("p6", 0.5, 1.0)


def test_a_pair_is_listed_with_the_source_that_drew_it_first_and_its_rank_there(given: AuditInput):
    unjudged = replace(given, judged={})
    settings = {"count": 3, "depths": [3], "score": scores, "scorer": "x"}
    for sources, place in ((["colbert", "bm25"], ("p5", "colbert", 1)), (["bm25", "colbert"], ("p5", "bm25", 2))):
        found = audit(unjudged, sources=sources, **settings).worst
        assert [(pair.negative_id, pair.source, pair.rank) for pair in found] == [("p1", "bm25", 1), place]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sources": ["splade"]}, "no run of 'splade' to audit; there are bm25, colbert"),
        ({"sources": []}, "at least one source and one depth"),
        ({"depths": [0]}, "negatives.depth is 0"),
    ],
)
def test_what_cannot_be_audited_is_an_error(given: AuditInput, settings: dict[str, list[str]], message: str):
    with pytest.raises(ExperimentError, match=message):
        audit(given, **settings)


# --- the report


def printed(found: FalseNegativeAudit) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_audit(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_shares_in_per_cent_and_the_interval_of_the_last(given: AuditInput):
    found = audit(given, count=1, sources=["colbert"])
    assert header(found) == [
        "source", "depth", "distinct", "same %", "near %", "judged %", "twin %", "any %", "95 % interval",
    ]  # fmt: skip
    assert rows(found) == [["ColBERT", "2", "2", "0.00", "0.00", "0.00", "0.00", "0.00", "[0.00, 0.00]"]]


def test_scores_bring_two_columns(given: AuditInput):
    found = audit(given, score=scores, scorer="x")
    row = dict(zip(header(found), rows(found)[0], strict=True))
    assert (row["above %"], row["any %"], row["gap"]) == ("25.00", "100.00", "-0.12")


def test_the_caption_names_the_threshold_the_scorer_and_what_was_left_out(given: AuditInput):
    said = caption(audit(given, score=scores, scorer="a model", margin=0.1))
    assert "2 negatives for each of 2 queries" in said
    assert "of 0.5 or more to a positive" in said
    assert "above the best-scored positive less 0.1, by a model" in said
    assert "another training query that asks the same in other function words" in said
    assert "left out" not in said


def test_the_caption_names_the_threshold_of_twins_where_it_is_not_the_strictest(given: AuditInput):
    assert "function words apart (Jaccard of word pairs, 0.8 or more)" in caption(audit(given, twin_query=0.8))


def test_a_mixture_is_written_as_a_sum():
    assert source_name("bm25+colbert") == "BM25 + ColBERT"


def test_the_terminal_shows_the_table_and_the_worst_pairs_uncut(given: AuditInput):
    text = printed(audit(given))
    assert "[50.00, 100.00]" in text
    assert "1. exact duplicate, near duplicate; similarity 1.00; rank 1 of BM25" in text
    assert PASSAGES[1] in text


def test_rows_and_csv_have_every_count_and_interval_unrounded(given: AuditInput):
    found = audit(given, score=scores, scorer="x")
    columns, (row,) = cell_rows(found)
    assert len(columns) == len(row) == 33
    (read,) = csv.DictReader(io.StringIO(csv_text(cell_rows(found))))
    assert (read["source"], read["above_positive"], read["suspicious_share"]) == ("bm25", "1", "1.0")
    assert float(read["score_gap"]) == pytest.approx(-0.125)


def test_rows_of_pairs_have_all_their_fields(given: AuditInput):
    columns, (first, _) = pair_rows(audit(given))
    one = dict(zip(columns, first, strict=True))
    assert (one["query_id"], one["signs"], one["rank"]) == ("q0", "exact_duplicate, near_duplicate", 1)
    assert (first[0], one["twin"]) == ("how to copy a file ?", None)


def test_markdown_has_the_table_and_the_texts_as_code(given: AuditInput):
    text = markdown(audit(given))
    assert "| BM25 | 2 | 4 | 25.00 | 50.00 | 25.00 | 0.00 | 75.00 | [50.00, 100.00] |" in text
    assert "   - negative: `Copy a file to a folder`" in text
    assert "   - negative: ``` delete `old` files ```" in text, "a text with backticks is fenced by more of them"


def test_a_twin_is_listed_between_query_and_positive(given: AuditInput):
    text = markdown(audit(answers_of_twins(given)))
    assert "   - query: `how to copy a file ?`\n   - twin: `How to copy the file`\n   - positive: " in text
    assert "twin query; similarity 0.00; rank 2 of BM25" in text


def test_a_report_is_five_files(given: AuditInput, tmp_path: Path):
    paths = write_report(audit(given), tmp_path)
    assert [path.name for path in paths] == [
        "negatives.md", "negatives.csv", "negatives_worst.csv", "suspicious_by_depth.png", "suspicious_by_depth.svg",
    ]  # fmt: skip
    assert all(path.stat().st_size for path in paths)


def test_the_picture_has_a_line_for_each_source_with_its_shares(given: AuditInput):
    figure = audit_figure(audit(given, count=1, sources=["bm25", "colbert"], depths=[1, 2]))
    (axes,) = figure.axes
    bm25, colbert = (line for line in axes.lines if line.get_marker() in ("o", "s"))
    assert list(np.asarray(bm25.get_ydata(), float)[:1]) == [100.0]
    assert list(np.asarray(colbert.get_ydata(), float)) == [0.0, 0.0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]
    assert {text.get_text() for text in axes.texts} == {"BM25", "ColBERT"}


def test_all_text_lies_within_the_picture(given: AuditInput):
    found = audit(given, score=scores, scorer="x", sources=["bm25", "bm25+colbert"], depths=[2, 3])
    figure = audit_figure(found)
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
    figure = audit_figure(FalseNegativeAudit(**{**vars(audit(given)), "cells": cells}))
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["10", "100", "1,000"]


def test_the_same_audit_gives_the_same_bytes(given: AuditInput, tmp_path: Path):
    once = [path.read_bytes() for path in draw_audit(audit(given), tmp_path)]
    assert [path.read_bytes() for path in draw_audit(audit(given), tmp_path)] == once
