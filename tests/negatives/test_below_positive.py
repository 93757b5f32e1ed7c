"""Negatives whose score in their source's run is below a share of the positive's, or within bounds."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from helpers.draws import sampler_of, scored_run
from helpers.tiny import literal_collection

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeFilter, NegativeRule
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.negatives.filters import Margin, ScoreBound
from experiments.negatives.sampler import NegativeSampler


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("below"), passages=40, queries=8)


def below_positive(collection: Collection, run: Run, relevant: Sequence[int], **more: object) -> NegativeSampler:
    rule = NegativeRule(count=2, depth=12, draw="top", short="replacement", **more)  # type: ignore[arg-type]
    return sampler_of(collection, rule, [run], {0: relevant, 1: [1]}, filters=[Margin(0.05, True, None)])


def test_the_best_below_95_percent_of_the_positives_score_are_drawn(collection: Collection):
    # 95 % of 20 is 19: passage 3 is at it, 2 above it
    scores = {0: {5: 22.0, 0: 20.0, 2: 19.1, 3: 19.0, 4: 12.0, 6: 3.0}, 1: {1: 8.0, 0: 7.7, 2: 7.0, 3: 1.0}}
    sampler = below_positive(collection, scored_run(scores), [0])
    assert sampler.draw(0, 0).tolist() == [3, 4]
    assert sampler.draw(1, 0).tolist() == [2, 3]


def test_a_query_whose_positive_was_not_retrieved_is_dropped_and_counted(collection: Collection):
    scores = {0: {5: 22.0, 2: 19.0}, 1: {1: 8.0, 2: 7.0}}
    sampler = below_positive(collection, scored_run(scores), [0], positives="retrieved")
    assert sampler.queries.tolist() == [1]
    assert (sampler.report.not_retrieved, sampler.report.examples["not_retrieved"]) == (1, "q0")


def test_with_all_positives_such_a_query_stays_unfiltered_and_counted(collection: Collection):
    scores = {0: {5: 22.0, 2: 19.0}, 1: {1: 8.0, 2: 7.0}}
    sampler = below_positive(collection, scored_run(scores), [0])
    assert sampler.draw(0, 0).tolist() == [5, 2]
    assert sampler.report.not_compared == 1


def test_a_query_with_nothing_below_its_positive_is_dropped_and_counted(collection: Collection):
    scores = {0: {5: 22.0, 0: 20.0}, 1: {1: 8.0, 2: 7.0}}
    sampler = below_positive(collection, scored_run(scores), [0], positives="retrieved")
    assert sampler.queries.tolist() == [1]
    assert sampler.report.no_candidates == 1


@pytest.mark.parametrize(("bound", "above", "left"), [(19.0, True, [3, 4]), (12.0, False, [5, 2, 3, 4])])
def test_bounds_of_the_score_in_the_candidates_run_are_kept_themselves(bound: float, above: bool, left: list[int]):
    run = scored_run({0: {5: 22.0, 2: 19.5, 3: 19.0, 4: 12.0}})
    candidates = np.array([5, 2, 3, 4])
    keep = ScoreBound(bound, above).keep(run, 0, np.array([0]), candidates)
    assert keep is not None
    assert candidates[keep].tolist() == left


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_score": math.nan}, "negatives.filter.min_score is nan: it must be null or a finite number"),
        ({"min_score": 3.0, "max_score": 2.0}, "min_score is 3.0, above max_score=2.0: no candidate has such a score"),
    ],
)
def test_bounds_that_cannot_be_name_the_key(settings: dict[str, float], message: str):
    with pytest.raises(ExperimentError, match=message):
        NegativeFilter(**settings)
