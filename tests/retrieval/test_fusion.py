"""Reciprocal rank fusion: scores by hand, ties, depths, what is cached, and what is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.jobs import composed
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_hash, scientific
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.jobs.components import make_components
from experiments.jobs.prerequisites import jobs_before
from experiments.retrieval.fusion import Fusion, fuse
from experiments.retrieval.own_passages import cut
from experiments.retrieval.retriever import Retriever, run_for

FIRST, SECOND = {0: [1, 2, 3]}, {0: [3, 1, 4]}
RANKING = st.permutations(range(6)).flatmap(lambda rows: st.integers(0, 6).map(lambda length: rows[:length]))
RANKINGS = st.lists(RANKING, min_size=1, max_size=3)


@dataclass
class Written:
    """A retriever whose rankings a test writes down."""

    name: str
    rankings: Mapping[int, Sequence[int]]

    def fingerprint(self) -> Mapping[str, Any]:
        return {"retriever": self.name, "rankings": {str(query): list(rows) for query, rows in self.rankings.items()}}

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        run = literal_run({query: rows for query, rows in self.rankings.items() if query in queries}, self.name)
        return cut(run, np.ones(len(run.passages.values), bool), depth)


def fused(
    *rankings: Mapping[int, Sequence[int]], queries: Sequence[int] = (0,), k: float = 60, depth: int = 10
) -> dict[int, list[tuple[int, float]]]:
    """Query -> fused passages with their scores."""
    runs = [literal_run(ranking, f"run {number}") for number, ranking in enumerate(rankings)]
    run = fuse("fusion", runs, np.array(queries), k, depth)
    return {query: list(zip(run.ranking(query).tolist(), run.scores[at].tolist(), strict=True))
            for at, query in enumerate(run.queries.tolist())}  # fmt: skip


def order(*rankings: Mapping[int, Sequence[int]], k: float = 60, depth: int = 10) -> list[int]:
    return [passage for passage, _ in fused(*rankings, k=k, depth=depth).get(0, [])]


def test_a_passage_scores_the_sum_of_its_reciprocal_ranks():
    # with k = 1 the ranks 1, 2, 3 give 1/2, 1/3, 1/4
    assert fused(FIRST, SECOND, k=1)[0] == [
        (1, pytest.approx(1 / 2 + 1 / 3)),
        (3, pytest.approx(1 / 4 + 1 / 2)),
        (2, pytest.approx(1 / 3)),
        (4, pytest.approx(1 / 4)),
    ]


def test_sixty_is_the_papers_constant():
    assert Fusion([Written("a", FIRST), Written("b", SECOND)]).k == 60
    assert fused(FIRST, SECOND)[0] == [
        (1, pytest.approx(0.0325225, abs=1e-7)),  # 1/61 + 1/62
        (3, pytest.approx(0.0322665, abs=1e-7)),  # 1/63 + 1/61
        (2, pytest.approx(0.0161290, abs=1e-7)),  # 1/62
        (4, pytest.approx(0.0158730, abs=1e-7)),  # 1/63
    ]


def test_k_weighs_one_high_rank_against_two_low_ones():
    # passage 1: 1 / (k + 1); passage 3: 2 / (k + 3), which is larger from k = 2 on
    assert order({0: [1, 2, 3]}, {0: [4, 5, 3]}, k=0)[0] == 1
    assert order({0: [1, 2, 3]}, {0: [4, 5, 3]}, k=60)[0] == 3


def test_equal_scores_go_to_the_lower_passage_row():
    assert order({0: [5, 2]}, {0: [2, 5]}) == [2, 5]
    assert order({0: [7]}, {0: [4]}, {0: [9]}) == [4, 7, 9]


def test_the_same_ranks_in_other_runs_are_exactly_equal():
    # 1/61 + 1/62 + 1/63 in each of its orders: added up as they come, the sums differ in the last digit
    runs = ({0: [0, 1, 2]}, {0: [1, 2, 0]}, {0: [2, 0, 1]})
    (one, two, three) = fused(*runs)[0]
    assert [one[0], two[0], three[0]] == [0, 1, 2]
    assert one[1] == two[1] == three[1]


def test_every_query_of_any_run_is_fused_by_itself():
    run = fused({0: [1], 2: [5, 6]}, {2: [6], 3: [4]}, queries=(0, 1, 2, 3))
    assert {query: [passage for passage, _ in ranked] for query, ranked in run.items()} == {0: [1], 2: [6, 5], 3: [4]}


def test_runs_of_nothing_fuse_to_nothing():
    assert fused({}, {}) == {}


@given(RANKINGS, st.sampled_from([0.5, 1, 60]))
@settings(deadline=None, max_examples=100)
def test_it_is_the_definition(rankings: list[list[int]], k: float):
    runs = [{0: rows} for rows in rankings]
    exact = {
        passage: sum(1 / (Fraction(k) + rows.index(passage) + 1) for rows in rankings if passage in rows)
        for passage in {passage for rows in rankings for passage in rows}
    }
    ranked = fused(*runs, k=k).get(0, [])
    assert [passage for passage, _ in ranked] == sorted(exact, key=lambda passage: (-exact[passage], passage))
    assert [score for _, score in ranked] == pytest.approx([float(exact[passage]) for passage, _ in ranked])


@given(RANKINGS, st.randoms())
@settings(deadline=None, max_examples=50)
def test_the_order_of_the_runs_changes_nothing(rankings: list[list[int]], random: Any):
    runs = [{0: rows} for rows in rankings]
    mixed = random.sample(runs, len(runs))
    assert fused(*runs) == fused(*mixed)


@given(RANKINGS, st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_a_shallow_run_is_the_head_of_a_deep_one(rankings: list[list[int]], depth: int):
    runs = [{0: rows} for rows in rankings]
    assert order(*runs, depth=depth) == order(*runs)[:depth]


@given(RANKINGS)
@settings(deadline=None, max_examples=50)
def test_a_run_fused_with_itself_keeps_its_order(rankings: list[list[int]]):
    assert order({0: rankings[0]}, {0: rankings[0]}) == list(rankings[0])


def test_each_run_is_fused_to_the_depth_of_the_fusion_whatever_is_asked_for(tmp_path: Path):
    of = [Written("a", {0: [1, 2, 3, 4]}), Written("b", {0: [5, 6, 4]})]
    collection, cache, queries = literal_collection(tmp_path), Cache(tmp_path), np.array([0])
    deep = run_for(Fusion(of, depth=4), collection, queries, 2, cache)
    assert deep.ranking(0).tolist() == [4, 1], "1/64 + 1/63 beats 1/61"
    shallow = run_for(Fusion(of, depth=2), collection, queries, 10, cache)
    assert shallow.ranking(0).tolist() == [1, 5, 2, 6], "passage 4 is beyond both"


def test_many_queries_are_fused_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("experiments.retrieval.fusion.QUERIES_AT_ONCE", 2)
    of = [Written("a", {0: [1, 2], 1: [3], 3: [5]}), Written("b", {0: [2], 3: [6, 5]})]
    run = Fusion(of).retrieve(literal_collection(tmp_path), np.arange(4), 10, Cache(tmp_path))
    assert {query: run.ranking(query).tolist() for query in run.queries.tolist()} == {0: [2, 1], 1: [3], 3: [5, 6]}


def test_the_fused_run_and_the_runs_it_reads_are_cached(tmp_path: Path):
    collection, queries = literal_collection(tmp_path), np.array([0])
    caches = Cache(tmp_path), Cache(tmp_path)
    for cache in caches:
        run_for(Fusion([Written("a", FIRST), Written("b", SECOND)]), collection, queries, 2, cache)
    assert [(cache.builds.get("run"), cache.hits.get("run")) for cache in caches] == [(3, None), (None, 1)]


def test_the_cache_distinguishes_constants_depths_and_fused_retrievers():
    a, b, other = Written("a", FIRST), Written("b", SECOND), Written("b", {0: [9]})
    fusions = [Fusion([a, b]), Fusion([a, b], k=1), Fusion([a, b], depth=10), Fusion([a, other])]
    assert len({repr(fusion.fingerprint()) for fusion in fusions}) == 4


def test_it_is_a_retriever():
    assert isinstance(Fusion([Written("a", FIRST), Written("b", SECOND)]), Retriever)


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        ([], {}, "retrievers.fusion.of names no retriever: it must name two or more"),
        (["bm25"], {}, "retrievers.fusion.of names bm25: it must name two or more, such as retrievers.fusion.of="),
        (["bm25", "bm25"], {}, "retrievers.fusion.of names a retriever twice: bm25, bm25"),
        (["a", "b"], {"k": -1}, "retrievers.fusion.k is -1: it must be at least 0"),
        (["a", "b"], {"k": float("inf")}, "retrievers.fusion.k is inf: it must be at least 0"),
        (["a", "b"], {"depth": 0}, "retrievers.fusion.depth is 0: it must be at least 1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(names: list[str], more: dict[str, Any], message: str):
    with pytest.raises(ExperimentError) as found:
        Fusion([Written(name, {}) for name in names], **more)
    assert message in str(found.value)


FUSION = ["retriever=[bm25,colbert,fusion]", "retrievers.fusion.of=[bm25,colbert]", "first_stage=[fusion]"]


def test_it_is_made_with_the_retrievers_that_it_names():
    parts = make_components(compose.check(composed(*FUSION, "retrievers.fusion.k=10")))
    assert parts.retrievers.keys() == {"bm25", "colbert", "fusion"}
    fusion = parts.retrievers["fusion"]
    assert ([retriever.name for retriever in fusion.of], fusion.k) == (["bm25", "colbert"], 10)


def test_a_fusion_may_be_fused():
    more = ["+retriever@retrievers.both=fusion", "retrievers.both.of=[fusion,bm25]", "first_stage=[both]"]
    parts = make_components(compose.check(composed(*FUSION[:2], *more)))
    assert parts.retrievers.keys() == {"bm25", "colbert", "fusion", "both"}


def test_the_retrievers_that_it_names_are_part_of_the_job_and_trained_first():
    config = compose.plain(composed(*FUSION))
    assert scientific(config)["retrievers"].keys() == {"bm25", "colbert", "fusion"}
    other = compose.plain(composed(*FUSION, "retrievers.colbert.query_length=16"))
    assert job_hash(config) != job_hash(other)
    assert jobs_before(compose.check(composed(*FUSION))).keys() == {"retrievers.colbert.job"}


def test_a_job_without_a_role_for_it_is_the_same_job():
    assert job_hash(compose.plain(composed(*FUSION[:2]))) == job_hash(compose.plain(composed()))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["retrievers.fusion.of=[bm25,splade]"], "retrievers.fusion.of is 'splade': it must be one of the composed"),
        (["retrievers.fusion.of=[bm25,fusion]"], "retrievers.fusion.of goes round in a circle: fusion -> fusion"),
        (["retrievers.fusion.of=bm25"], "retrievers.fusion.of names bm25: it must name two or more"),
        (
            ["retrievers.fusion.of=[bm25,colbert]", "retrievers.colbert.candidates_from=fusion"],
            "retrievers.colbert.candidates_from goes round in a circle: fusion -> colbert -> fusion",
        ),
        (
            ["+retriever@retrievers.judged=judged", "retrievers.fusion.of=[bm25,judged]"],
            "retrievers.fusion.of names judged, which is made from the judgements that measure it",
        ),
        ([], "retrievers.fusion.of must be given"),
    ],
)
def test_a_config_that_cannot_be_fused_names_the_key(overrides: list[str], message: str):
    with pytest.raises(ExperimentError) as found, compose.explained():
        make_components(compose.check(composed(FUSION[0], FUSION[2], *overrides)))
    assert message in str(found.value)
