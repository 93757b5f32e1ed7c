"""Measures worked out by hand, with ties, missing queries and several relevant passages."""

import math

import numpy as np
import pytest
from helpers.tiny import literal_run

from experiments.common.errors import ExperimentError
from experiments.evaluation.measure_names import resolve
from experiments.evaluation.measures import evaluate, rerank


def rr10(rankings, relevance) -> list[float]:
    return evaluate(literal_run(rankings), relevance, ["RR@10"]).per_query["RR@10"].tolist()


def test_reciprocal_rank_of_the_first_relevant_passage():
    assert rr10({0: [5, 6, 7]}, {0: {7: 1}}) == [pytest.approx(1 / 3)]
    assert rr10({0: [5, 6, 7]}, {0: {7: 1, 6: 1}}) == [0.5]


def test_a_relevant_passage_beyond_rank_ten_counts_nothing():
    ranking = list(range(100, 112))
    assert rr10({0: ranking}, {0: {109: 1}}) == [pytest.approx(0.1)]
    assert rr10({0: ranking}, {0: {110: 1}}) == [0.0]


def test_a_query_that_the_run_does_not_have_counts_zero():
    result = evaluate(literal_run({0: [1]}), {0: {1: 1}, 3: {1: 1}}, ["RR@10"])
    assert result.queries.tolist() == [0, 3]
    assert result.per_query["RR@10"].tolist() == [1.0, 0.0]
    assert result.mean == {"RR@10": 0.5}


def test_a_grade_below_the_measures_threshold_is_not_relevant():
    result = evaluate(literal_run({0: [1, 2]}), {0: {1: 1, 2: 3}}, ["RR(rel=2)@10", "RR@10"])
    assert result.mean == {"RR(rel=2)@10": 0.5, "RR@10": 1.0}


@pytest.mark.parametrize(("alias", "value"), [("MRR@10", 0.25), ("MAP", 0.5 * (1 / 4 + 2 / 5))])
def test_an_alias_has_the_value_of_its_measure(alias: str, value: float):
    # relevant: ranks 4 and 5
    found = evaluate(literal_run({0: [9, 8, 7, 1, 2]}), {0: {1: 1, 2: 1}}, [alias, "nDCG@10"])
    assert found.mean[alias] == pytest.approx(value)


def test_two_names_of_one_measure_are_refused_rather_than_scored_zero():
    with pytest.raises(ExperimentError, match="RR@10 and MRR@10 are one measure"):
        evaluate(literal_run({0: [1]}), {0: {1: 1}}, ["RR@10", "MRR@10"])


def test_measures_resolved_for_grade_2_leave_grade_1_out():
    # query 0: grade 1 at rank 1, grade 2 at rank 2; query 1: grade 1 alone; query 2: grade 3 at rank 1
    run = literal_run({0: [5, 6], 1: [5], 2: [7, 8]})
    judged = {0: {5: 1, 6: 2}, 1: {5: 1}, 2: {7: 3, 8: 1}}
    found = evaluate(run, judged, resolve(["RR@10", "R@2", "AP", "Hits@1"], 2)).per_query
    assert {name: values.tolist() for name, values in found.items()} == {
        "RR(rel=2)@10": [0.5, 0.0, 1.0],
        "R(rel=2)@2": [1.0, 0.0, 1.0],
        "AP(rel=2)": [0.5, 0.0, 1.0],
        "Hits(rel=2)@1": [0.0, 0.0, 1.0],
    }


def test_no_query_at_all_is_an_error_and_no_mean():
    with pytest.raises(ExperimentError, match="there is no judged query to compute RR@10 on"):
        evaluate(literal_run({0: [1]}), {}, ["RR@10"])


def test_ndcg_by_hand():
    # gains 1 at rank 2 and 3 at rank 3; ideal: 3 at rank 1, 1 at rank 2
    found = evaluate(literal_run({0: [9, 1, 2]}), {0: {1: 1, 2: 3}}, ["nDCG@10"]).mean["nDCG@10"]
    assert found == pytest.approx((1 / math.log2(3) + 3 / math.log2(4)) / (3 + 1 / math.log2(3)))


def test_ids_do_not_break_ties_in_either_direction():
    # one score for all: the first stage's order stands, whether the relevant passage has a small or a large id
    for ranking in ([3, 1, 2], [1, 3, 2], [2, 3, 1]):
        run, ties = rerank(literal_run({0: ranking}), np.zeros(3, np.float32), "constant")
        assert run.ranking(0).tolist() == ranking
        assert ties == 2
        for measure in ("RR@10", "RR"):
            assert evaluate(run, {0: {3: 1}}, [measure]).mean[measure] == 1 / (ranking.index(3) + 1)


def test_reranking_sorts_within_each_query_and_counts_ties_within_it_only():
    first = literal_run({0: [1, 2, 3], 4: [1, 2]})
    run, ties = rerank(first, np.array([0.5, 2.0, 0.5, 0.5, 0.5], np.float32), "model")
    assert run.ranking(0).tolist() == [2, 1, 3]
    assert run.ranking(4).tolist() == [1, 2]
    assert ties == 2


def test_a_score_that_is_not_finite_is_an_error_not_a_rank():
    with pytest.raises(ExperimentError, match="1 of 2 pairs no finite score"):
        rerank(literal_run({0: [1, 2]}), np.array([np.nan, 1.0], np.float32), "model")


def test_an_unknown_measure_is_named():
    with pytest.raises(ExperimentError, match="does not know 'MRR_at_10'"):
        evaluate(literal_run({0: [1]}), {0: {1: 1}}, ["MRR_at_10"])
