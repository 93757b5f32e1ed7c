"""Lists in run order: the first passages of a ranking as a group, with their labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeFilter, NegativeRule
from experiments.data.batches.groups import Groups, TrainingGroups
from experiments.data.collection import Collection, Qrels
from experiments.data.labels import Labels
from experiments.data.ragged import Ragged
from experiments.negatives.draw_log import write_audit
from experiments.negatives.run_lists import RunLists
from experiments.negatives.sampler import NegativeSampler

NO_FILTER = NegativeFilter(copies=False)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("lists"), passages=120, queries=4)


def rule_of(count: int, **more: object) -> NegativeRule:
    return NegativeRule(count=count, depth=200, draw="run_order", filter=NO_FILTER, **more)  # type: ignore[arg-type]


def lists_of(
    collection: Collection,
    rule: NegativeRule,
    rankings: Mapping[int, Sequence[int]],
    relevant: Mapping[int, Sequence[int]],
) -> RunLists:
    positives = {query: np.array(rows) for query, rows in relevant.items()}
    return RunLists(rule, literal_run(rankings), positives, collection, seed=1)


def test_a_list_is_the_head_of_the_ranking_with_positives_where_they_are(collection: Collection):
    lists = lists_of(collection, rule_of(3), {0: [7, 3, 9, 5, 1], 1: [2, 8, 4, 6]}, {0: [3, 5], 1: [2]})
    assert [lists.group(query, 0).tolist() for query in (0, 1)] == [[7, 3, 9, 5], [2, 8, 4, 6]]
    assert lists.group(0, 9).tolist() == [7, 3, 9, 5]
    assert (lists.queries.tolist(), lists.count, lists.report.examples) == ([0, 1], 3, {})


def test_a_list_of_a_hundred(collection: Collection):
    lists = lists_of(collection, rule_of(99), {0: range(119, -1, -1)}, {0: [40]})
    assert lists.group(0, 0).tolist() == list(range(119, 19, -1))


def test_a_list_without_a_positive_is_an_error_that_names_the_ways_out(collection: Collection):
    with pytest.raises(
        ExperimentError,
        match=r"first 3 passages of the run 'first' have no positive for 1 of 2 .*'q1': set negatives\.without_pos",
    ):
        lists_of(collection, rule_of(2), {0: [7, 3, 9], 1: [2, 8, 4, 6]}, {0: [3], 1: [6]})


def test_a_positive_can_be_put_at_the_end(collection: Collection):
    rankings = {0: [7, 3, 9], 1: [2, 8, 4, 6]}
    lists = lists_of(collection, rule_of(2, without_positive="add"), rankings, {0: [3], 1: [6, 50]})
    assert lists.group(0, 0).tolist() == [7, 3, 9]
    ends = [lists.group(1, epoch).tolist() for epoch in range(4)]
    assert [end[:2] for end in ends] == [[2, 8]] * 4
    assert sorted(end[2] for end in ends) == [6, 6, 50, 50], "several positives take turns"
    assert (lists.report.positive_added, lists.report.examples) == (1, {"positive_added": "q1"})


def test_lists_without_a_positive_can_be_kept_and_are_counted(collection: Collection):
    lists = lists_of(collection, rule_of(2, without_positive="keep"), {0: [7, 3, 9]}, {0: [50]})
    assert lists.group(0, 0).tolist() == [7, 3, 9]
    assert lists.report.without_positive == 1


def test_a_short_ranking_is_an_error_or_dropped(collection: Collection):
    rankings, relevant = {0: [7, 3, 9], 1: [2]}, {0: [3], 1: [2]}
    with pytest.raises(ExperimentError, match=r"fewer than 3 passages for 1 of 2 .*'q1': lower negatives\.count, or"):
        lists_of(collection, rule_of(2), rankings, relevant)
    lists = lists_of(collection, rule_of(2, short="drop"), rankings, relevant)
    assert (lists.queries.tolist(), lists.report.dropped_short) == ([0], 1)
    with pytest.raises(ExperimentError, match=r"no training query is left: the run 'first' has 9 passages for none"):
        lists_of(collection, rule_of(8, short="drop"), rankings, relevant)


def test_labels_are_the_grades_of_the_positives():
    qrels = Qrels(np.array([4, 6]), Ragged.of([[1, 3, 9], [3]], np.int64), Ragged.of([[2, 1, 3], [1]], np.int32))
    labels = Labels({4: np.array([1, 9])}, qrels)  # 3 is judged below data.min_grade=2
    assert labels.of(4, np.array([9, 3, 5, 1])).tolist() == [3.0, 0.0, 0.0, 2.0]
    assert labels.of(4, np.array([5, 3])).tolist() == [0.0, 0.0]


class Lengths:
    """Stands in for a batcher."""

    def tokens(self, groups: Groups) -> int:
        return groups.passages_QN.size


def groups_of(sampler: RunLists | NegativeSampler, labels: Labels | None) -> TrainingGroups:
    return TrainingGroups(sampler, 2, Lengths(), labels)  # type: ignore[arg-type]


def test_groups_carry_the_labels_of_their_passages(collection: Collection):
    lists = lists_of(collection, rule_of(2), {0: [7, 3, 9], 1: [2, 8, 4]}, {0: [3, 9], 1: [2]})
    qrels = Qrels(np.array([0, 1]), Ragged.of([[3, 9], [2]], np.int64), Ragged.of([[1, 1], [2]], np.int32))
    groups = groups_of(lists, Labels(lists.positives, qrels)).groups(0)
    by_query = dict(zip(groups.queries_Q.tolist(), groups.labels_QN.tolist(), strict=True))
    assert by_query == {0: [0.0, 1.0, 1.0], 1: [2.0, 0.0, 0.0]}


def test_the_log_lists_positives_and_negatives_in_the_order_of_the_run(collection: Collection, tmp_path: Path):
    import gzip

    lists = lists_of(collection, rule_of(3), {0: [7, 3, 9, 5], 1: [2, 8, 4, 6]}, {0: [3, 5], 1: [2]})
    qrels = Qrels(np.array([0, 1]), Ragged.of([[3, 5], [2]], np.int64), Ragged.of([[1, 1], [1]], np.int32))
    groups = groups_of(lists, Labels(lists.positives, qrels))
    audit = write_audit(groups, lists, 1, collection, tmp_path / "negatives.tsv.gz")
    with gzip.open(tmp_path / "negatives.tsv.gz", "rt") as file:
        rows = sorted(line.rstrip("\n").split("\t") for line in file)
    assert rows == [
        ["0", "q0", "p3 p5", "p7 p9"],
        ["0", "q1", "p2", "p8 p4 p6"],
        ["epoch", "query", "positive", "negatives"],
    ]
    assert (audit["draw"], audit["negatives_drawn"]) == ("run_order", 5)
    # p7 and p9 are of ranks 1 and 3; p8, p4, p6 of 2, 3 and 4
    assert audit["rank_in_source"]["mean"] == pytest.approx((1 + 3 + 2 + 3 + 4) / 5)


def test_labels_of_sampled_groups_are_of_the_positive_at_index_0(collection: Collection):
    positives = {0: np.array([3])}
    sampler = NegativeSampler(NegativeRule(count=2, depth=9), [literal_run({0: [7, 3, 9]})], positives, collection, 1)
    qrels = Qrels(np.array([0]), Ragged.of([[3]], np.int64), Ragged.of([[2]], np.int32))
    groups = groups_of(sampler, Labels(sampler.positives, qrels)).groups(0)
    assert groups.labels_QN is not None
    assert groups.labels_QN.tolist() == [[2.0, 0.0, 0.0]] * 2
    assert groups_of(sampler, None).groups(0).labels_QN is None


def test_a_rule_of_lists_draws_nothing(collection: Collection):
    with pytest.raises(ExperimentError, match=r"negatives\.draw=run_order takes lists as they are and draws nothing"):
        NegativeSampler(rule_of(2), [literal_run({0: [7, 3, 9]})], {0: np.array([3])}, collection, 1)


@settings(max_examples=40, deadline=None)
@given(
    ranking=st.permutations(range(12)),
    positives=st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True),
    count=st.integers(1, 11),
    epoch=st.integers(0, 9),
)
def test_a_list_has_distinct_passages_a_positive_and_the_order_of_the_run(
    collection: Collection, ranking: list[int], positives: list[int], count: int, epoch: int
):
    lists = lists_of(collection, rule_of(count, without_positive="add"), {0: ranking}, {0: positives})
    passages = lists.group(0, epoch).tolist()
    assert len(set(passages)) == count + 1
    assert set(passages) & set(positives)
    assert passages[:-1] == ranking[:count]
    if set(ranking[: count + 1]) & set(positives):
        assert passages == ranking[: count + 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 100}, "negatives.count is 100: a list in run order has 2 to 100 passages, one more than"),
        ({"skip": 2}, "negatives.skip=2 has no effect on lists in run order: set it to 0"),
        ({"pool": 10}, "negatives.pool=10 has no effect on lists in run order: set it to null"),
        ({"positives": "retrieved"}, "negatives.positives=retrieved has no effect on lists in run order"),
        ({"filter": NegativeFilter()}, "negatives.filter.copies=True has no effect on lists .*: set it to false"),
        ({"short": "replacement"}, "a list in run order repeats no passage; set it to error or drop"),
        ({"source": "bm25+colbert"}, "has several orders: a list in run order has one source"),
        ({"depth": 7}, "negatives.depth is 7: lists of 8 passages need it to be at least as much"),
        ({"replacement": True}, "negatives.replacement=true"),
        ({"without_positive": "ignore"}, "without_positive is 'ignore': it must be one of error, add, keep"),
    ],
)
def test_a_setting_that_lists_would_ignore_is_refused(settings: dict[str, object], message: str):
    with pytest.raises(ExperimentError, match=message):
        NegativeRule(**{"draw": "run_order", "filter": NO_FILTER, **settings})  # type: ignore[arg-type]


def test_larger_groups_than_31_negatives_are_lists():
    with pytest.raises(
        ExperimentError, match="a group has 1 to 31 negatives; lists of up to 100 passages have negatives=from_run"
    ):
        NegativeRule(count=32)
    with pytest.raises(ExperimentError, match=r"without_positive=add has no effect with negatives\.draw=uniform"):
        NegativeRule(without_positive="add")
