"""Mixtures of sources: turns, fairness, what happens where a source runs dry; and the audit of what came from where."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeRule, sources_of
from experiments.data.batches.groups import Groups
from experiments.data.collection import Collection
from experiments.negatives.draw_log import write_audit
from experiments.negatives.draws import ranks_of
from experiments.negatives.mixing import Pool, most_turns, take_turns, turns_from
from experiments.negatives.sampler import NegativeSampler

FIRST, SECOND = list(range(1, 16)), list(range(20, 35))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return literal_collection(tmp_path_factory.mktemp("mixtures"), passages=40, queries=40)


def mixture(
    collection: Collection,
    rankings: Sequence[Sequence[int]],
    rule: NegativeRule,
    names: str = "ab",
    queries: int = 1,
    seed: int = 1,
) -> NegativeSampler:
    """One run for each letter of ``names``, in turns; a name that comes twice is the same run twice."""
    runs = {
        name: literal_run(dict.fromkeys(range(queries), ranking), name)
        for name, ranking in zip(dict.fromkeys(names), rankings, strict=True)
    }
    relevant = {query: np.array([0]) for query in range(queries)}
    return NegativeSampler(rule, [runs[name] for name in names], relevant, collection, seed)


def test_a_source_is_a_name_or_several_joined_by_plus():
    assert sources_of("bm25") == ("bm25",)
    assert sources_of("bm25+colbert") == ("bm25", "colbert")
    assert sources_of("bm25 + bm25 + colbert") == ("bm25", "bm25", "colbert")


@pytest.mark.parametrize("source", ["", "bm25+", "+", "a++b"])
def test_a_source_without_a_name_is_an_error(source: str):
    with pytest.raises(ExperimentError, match=r"negatives\.source is .*joined by \+, such as bm25\+colbert"):
        sources_of(source)


def test_the_room_of_a_mixture_is_that_of_its_different_sources():
    assert NegativeRule(count=20, depth=10, source="a+b").count == 20
    with pytest.raises(ExperimentError, match="leaves at most 10 candidates"):
        NegativeRule(count=20, depth=10, source="a+a")


def test_two_sources_take_turns(collection: Collection):
    sampler = mixture(collection, [FIRST, SECOND], NegativeRule(count=6, depth=20))
    passages, sources = sampler.drawn(0, 0)
    assert sources.tolist() in ([0, 1] * 3, [1, 0] * 3)
    assert [(passage >= 20) for passage in passages.tolist()] == [source == 1 for source in sources.tolist()]
    assert sampler.source == "a+b"


def test_a_name_that_stands_twice_has_two_turns(collection: Collection):
    sources = mixture(collection, [FIRST, SECOND], NegativeRule(count=6, depth=20), names="aab").drawn(0, 0)[1]
    assert Counter(sources.tolist()) == {0: 4, 1: 2}


def test_the_odd_slot_is_either_sources_about_as_often(collection: Collection):
    sampler = mixture(collection, [FIRST, SECOND], NegativeRule(count=1, depth=20))
    first = sum(sampler.drawn(0, epoch)[1].tolist() == [0] for epoch in range(2000))
    # 1000 expected, standard deviation 22: five of them
    assert abs(first - 1000) < 112


def test_each_source_draws_as_it_does_alone(collection: Collection):
    rule = NegativeRule(count=6, depth=20)
    drawn, sources = mixture(collection, [FIRST, SECOND], rule).drawn(0, 0)
    for source, ranking in enumerate((FIRST, SECOND)):
        alone = mixture(collection, [ranking], rule, names="a").draw(0, 0).tolist()
        assert drawn[sources == source].tolist() == alone[:3]


def test_a_source_mixed_with_itself_draws_what_it_draws_alone(collection: Collection):
    rule = NegativeRule(count=7, depth=20)
    alone, twice = (mixture(collection, [FIRST], rule, names=names) for names in ("a", "aa"))
    assert all(alone.draw(0, epoch).tolist() == twice.draw(0, epoch).tolist() for epoch in range(20))


def test_a_passage_that_both_have_is_drawn_once(collection: Collection):
    sampler = mixture(collection, [FIRST, [*FIRST[:10], *SECOND[:3]]], NegativeRule(count=12, depth=20))
    for epoch in range(50):
        assert len(set(sampler.draw(0, epoch).tolist())) == 12


def test_a_source_that_runs_dry_leaves_its_turns_to_the_others(collection: Collection):
    sampler = mixture(collection, [FIRST, [20, 21]], NegativeRule(count=7, depth=20))
    passages, sources = sampler.drawn(0, 0)
    assert Counter(sources.tolist()) == {0: 5, 1: 2}
    assert {20, 21} < set(passages.tolist())
    assert (sampler.report.ran_dry, sampler.report.examples) == (1, {"ran_dry": "q0"})


def test_what_a_dry_source_leaves_is_shared_in_proportion():
    # the first source has one candidate; the other two go on by turns
    members = np.array([[c == 0 for c in range(9)], [1 <= c < 5 for c in range(9)], [c >= 5 for c in range(9)]])
    sources = take_turns(Pool(np.arange(9), members), np.arange(9, dtype=np.uint64), turns_from(0, [0, 1, 2]), 8)[1]
    assert sources.tolist() == [0, 1, 2, 1, 2, 1, 2, 1]


def test_a_source_has_enough_candidates_if_they_serve_all_turns_that_it_can_have(collection: Collection):
    # of seven slots a source has at most four
    assert most_turns(0, [0, 1], 7) == 4
    assert most_turns(0, [0, 0, 1], 2) == 2
    assert most_turns(0, [0, 1, 0, 1], 2) == 1
    four, three = (mixture(collection, [FIRST, SECOND[:n]], NegativeRule(count=7, depth=20)) for n in (4, 3))
    assert (four.report.ran_dry, three.report.ran_dry) == (0, 1)


def test_turns_go_round_from_where_they_begin():
    assert list(islice(turns_from(1, [0, 0, 1]), 5)) == [0, 1, 0, 0, 1]


def test_skip_and_depth_are_those_of_each_source(collection: Collection):
    sampler = mixture(collection, [FIRST, SECOND], NegativeRule(count=2, skip=2, depth=5))
    assert sorted(sampler.pool(0).tolist()) == [3, 4, 5, 22, 23, 24]


def test_a_pool_is_kept_of_each_source(collection: Collection):
    pool = mixture(collection, [FIRST, SECOND], NegativeRule(count=4, depth=20, pool=3, source="a+b")).pool(0)
    assert sorted(passage < 20 for passage in pool.tolist()) == [False] * 3 + [True] * 3


def test_with_replacement_each_slot_draws_anew_from_the_source_whose_turn_it_is(collection: Collection):
    rule = NegativeRule(count=8, depth=20, replacement=True)
    passages, sources = mixture(collection, [[1, 2], SECOND], rule).drawn(0, 0)
    assert Counter(sources.tolist()) == {0: 4, 1: 4}
    assert set(passages[sources == 0].tolist()) <= {1, 2}


def test_with_replacement_an_empty_source_has_no_turns(collection: Collection):
    sampler = mixture(collection, [FIRST, [0]], NegativeRule(count=4, depth=20, replacement=True))
    assert sampler.drawn(0, 0)[1].tolist() == [0] * 4
    assert sampler.report.ran_dry == 1


def test_a_positive_that_one_source_retrieved_is_retrieved(collection: Collection):
    rule = NegativeRule(count=2, depth=5, positives="retrieved")
    assert mixture(collection, [FIRST, [0, *SECOND]], rule).queries.tolist() == [0]
    with pytest.raises(ExperimentError, match=r"no training query is left: source 'a\+b'"):
        mixture(collection, [FIRST, SECOND], rule)


def test_too_few_candidates_are_those_of_all_sources_together(collection: Collection):
    with pytest.raises(ExperimentError, match=r"of 'a\+b' \(query 'q0' has 4\)"):
        mixture(collection, [[1, 2, 3], [2, 3, 4]], NegativeRule(count=5, depth=20))
    sampler = mixture(collection, [[1, 2, 3], [2, 3, 4]], NegativeRule(count=9, depth=20, short="replacement"))
    drawn = sampler.draw(0, 0).tolist()
    assert len(drawn) == 9
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == [1, 2, 3, 4], "none twice before all came once"


@settings(max_examples=60, deadline=None)
@given(
    first=st.lists(st.integers(1, 39), unique=True, min_size=1, max_size=20),
    second=st.lists(st.integers(1, 39), unique=True, min_size=1, max_size=20),
    names=st.sampled_from(["ab", "ba", "aab", "abb"]),
    replacement=st.booleans(),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 1000),
)
def test_a_smaller_draw_from_a_mixture_is_the_beginning_of_a_larger_one(
    collection: Collection, first: list[int], second: list[int], names: str, replacement: bool, seed: int, epoch: int
):
    room = 31 if replacement else len(set(first) | set(second))
    rules = [
        NegativeRule(count=n, depth=20, replacement=replacement, source="a+b") for n in range(1, min(room, 31) + 1)
    ]
    samplers = [mixture(collection, [first, second], rule, names, seed=seed) for rule in rules]
    draws = [sampler.drawn(0, epoch) for sampler in samplers]
    assert all(
        large[kind][: len(small[kind])].tolist() == small[kind].tolist()
        for small, large in pairwise(draws)
        for kind in (0, 1)
    )
    passages, sources = draws[-1]
    has = [set(first), set(second)]
    assert all(passage in has[source] for passage, source in zip(passages.tolist(), sources.tolist(), strict=True))


def test_draws_of_one_source_are_what_they_always_were(collection: Collection):
    # The first and the last two as the first version of this sampler drew them, which had one source and no filters.
    short, replaced, pooled = (
        NegativeSampler(
            rule,
            [literal_run({0: list(range(12)), 1: [1, 2, 3, 4]})],
            {0: np.array([0]), 1: np.array([1])},
            collection,
            1,
        )
        for rule in (
            NegativeRule(count=7, depth=12, short="replacement"),
            NegativeRule(count=7, depth=12, replacement=True),
            NegativeRule(count=4, depth=12, pool=6, short="replacement"),
        )
    )
    assert short.draw(0, 0).tolist() == [2, 5, 11, 6, 7, 10, 9]
    assert short.draw(1, 1).tolist() == [2, 4, 3, 2, 4, 3, 3]
    assert replaced.draw(0, 1).tolist() == [3, 5, 10, 6, 9, 1, 4]
    assert pooled.draw(0, 0).tolist() == [5, 6, 7, 9]


# --- the audit


class TwoSteps:
    """Stands in for the stream of training groups: three queries a step."""

    queries_per_step = 3

    def __init__(self, sampler: NegativeSampler) -> None:
        self.sampler = sampler

    def groups(self, step: int) -> Groups:
        queries = np.arange(3)
        rows = [[0, *self.sampler.draw(query, step)] for query in queries.tolist()]
        return Groups(np.full(3, step), queries, np.array(rows))


def test_the_audit_says_how_many_came_from_which_source_and_from_which_rank(collection: Collection, tmp_path: Path):
    sampler = mixture(collection, [FIRST, SECOND], NegativeRule(count=4, depth=20), queries=3)
    audit = write_audit(TwoSteps(sampler), sampler, 2, collection, tmp_path / "drawn.tsv.gz")  # type: ignore[arg-type]
    assert audit["source"] == "a+b"
    assert {name: one["negatives_drawn"] for name, one in audit["by_source"].items()} == {"a": 12, "b": 12}
    assert audit["by_source"]["a"]["share"] == 0.5
    drawn = [sampler.drawn(query, epoch) for epoch in (0, 1) for query in range(3)]
    # passage p stands at rank p of the first run and at rank p - 19 of the second
    ranks = [
        [p if source == 0 else p - 19 for p in some[sources == source]] for source in (0, 1) for some, sources in drawn
    ]
    assert audit["by_source"]["a"]["rank_in_source"]["mean"] == pytest.approx(np.mean(np.concatenate(ranks[:6])))
    assert audit["rank_in_source"]["mean"] == pytest.approx(np.mean(np.concatenate(ranks)))
    assert audit["exceptions"]["ran_dry"] == 0


def test_a_source_that_nothing_came_from_has_no_ranks(collection: Collection, tmp_path: Path):
    sampler = mixture(collection, [FIRST, [0]], NegativeRule(count=4, depth=20), queries=3)
    audit = write_audit(TwoSteps(sampler), sampler, 1, collection, tmp_path / "drawn.tsv.gz")  # type: ignore[arg-type]
    assert audit["by_source"]["b"] == {"negatives_drawn": 0, "share": 0.0, "rank_in_source": None}


def test_ranks_count_from_one():
    assert ranks_of(literal_run({3: [7, 5, 9]}), 3, np.array([9, 7])).tolist() == [3, 1]
