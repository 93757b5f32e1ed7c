"""The audit of negatives: what is counted, in which cells, which pairs come first."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.audited import PASSAGES, answers_of_twins, audit, audit_input, scores
from helpers.tiny import literal_run

from experiments.common.errors import ExperimentError
from experiments.config import Audit
from experiments.data.ragged import Ragged
from experiments.evaluation.significance import paired_bootstrap
from experiments.negatives.false_negative_audit import AuditInput, share_interval
from experiments.negatives.filters import NearDuplicates
from experiments.negatives.twin_queries import TwinQueries, query_shingles


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> AuditInput:
    return audit_input(tmp_path_factory.mktemp("audit"))


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


@pytest.mark.parametrize("key", ["near_duplicate", "twin_query"])
@pytest.mark.parametrize("value", [0.0, 1.1, float("nan")])
def test_a_similarity_out_of_range_names_the_key(key: str, value: float):
    with pytest.raises(ExperimentError, match=rf"audit\.{key} is {value}: it must be above 0 and at most 1"):
        Audit(**{key: value})
