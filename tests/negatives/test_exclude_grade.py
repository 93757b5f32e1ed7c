"""What is never drawn as a negative, apart from what is a positive: ``negatives.exclude_grade`` and ``data.min_grade``.

Ten passages share a word with every query. For each training query one passage is judged 2, one 1 and one 0.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import composed, tiny_overrides
from helpers.tiny import literal_collection, literal_run, write_tiny_bert

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Experiment, compose
from experiments.config.negatives import NegativeRule
from experiments.data.collection import open_collection
from experiments.jobs.audit_negatives import audit
from experiments.jobs.components import make_components
from experiments.jobs.prepare import prepare
from experiments.models.training_setup import TrainingInputs
from experiments.negatives.sampler import NegativeSampler

PASSAGES = [f"number {i} of the passages" for i in range(10)]
GRADES = {  # query -> passage -> grade
    "q0": {"p0": 2, "p1": 1, "p2": 0},
    "q1": {"p3": 2, "p4": 1, "p5": 0},
    "q2": {"p0": 1, "p6": 2, "p7": -1},
    "q3": {"p8": 2},  # test
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "graded"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"p{i}", "title": "", "text": text} for i, text in enumerate(PASSAGES)]
    queries = [{"_id": query, "text": f"which passages are of number {query[1]} ?"} for query in GRADES]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, names in (("train", ["q0", "q1"]), ("dev", ["q2"]), ("test", ["q3"])):
        lines = [f"{query}\t{passage}\t{grade}" for query in names for passage, grade in GRADES[query].items()]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    write_tiny_bert(folder.parent / "bert", PASSAGES)
    return folder


def experiment_of(tmp_path: Path, graded: Path, *more: str) -> Experiment:
    return compose.check(composed(*tiny_overrides(tmp_path, graded, graded.parent / "bert", *more)))


def prepared_of(tmp_path: Path, graded: Path, *more: str) -> TrainingInputs:
    experiment = experiment_of(tmp_path, graded, *more)
    parts, store = make_components(experiment), Cache(experiment.cache)
    return prepare(experiment, open_collection(parts.source, store), parts, store)


def pool(prepared: TrainingInputs, query: str) -> set[str]:
    """The ids of the passages that a query's negatives are drawn from."""
    row = int(prepared.collection.queries.rows([query], "test")[0])
    return set(prepared.collection.passages.ids(prepared.sampler.pool(row)))


def every(*but: str) -> set[str]:
    return {f"p{i}" for i in range(10)} - set(but)


@pytest.mark.parametrize(
    ("overrides", "left"),
    [
        (["data.min_grade=1"], every("p0", "p1")),
        (["data.min_grade=2"], every("p0", "p1")),
        (["data.min_grade=2", "negatives.exclude_grade=2"], every("p0")),
        (["data.min_grade=2", "negatives.exclude_grade=0"], every("p0", "p1", "p2")),
    ],
)
def test_passages_judged_above_0_are_never_drawn_whatever_is_a_positive(
    tmp_path: Path, graded: Path, overrides: Sequence[str], left: set[str]
):
    prepared = prepared_of(tmp_path, graded, *overrides)
    assert pool(prepared, "q0") == left
    positives = {prepared.sampler.positive(0, epoch) for epoch in range(4)}
    assert positives == ({0} if "data.min_grade=2" in overrides else {0, 1})


def test_a_grade_above_that_of_the_positives_is_refused(tmp_path: Path, graded: Path):
    with pytest.raises(ExperimentError, match=r"negatives\.exclude_grade is 2, above data\.min_grade=1"):
        experiment_of(tmp_path, graded, "negatives.exclude_grade=2")


def test_in_a_batch_they_are_masked_as_the_answers_are(tmp_path: Path, graded: Path):
    more = ["model=colbert", "model.dimension=16", "data.min_grade=2"]
    experiment = experiment_of(tmp_path, graded, *more)
    batcher = experiment.model.build(prepared_of(tmp_path, graded, *more)).data.groups.batcher
    relevant = batcher.relevant  # type: ignore[attr-defined]
    assert {row: passages.tolist() for row, passages in relevant.items()} == {0: [0, 1], 1: [3, 4]}


def test_an_audit_draws_what_a_training_would_draw(tmp_path: Path, graded: Path):
    more = ["data.min_grade=2", "audit.depths=[20]", "audit.near_duplicate=1.0"]
    counts = []
    for grade in (1, 2):
        experiment = experiment_of(tmp_path, graded, *more, f"negatives.exclude_grade={grade}", "negatives.count=7")
        found = audit(experiment, ["bm25"], make_components(experiment))
        counts.append((found.cells[0].counts["judged_relevant"], found.cells[0].drawn))
    assert counts[0] == (0, 14)
    assert counts[1][0] > 0, "7 of 9 candidates are drawn, one of which is judged 1"


def test_a_sampler_without_further_exclusions_leaves_out_the_positives_alone(tmp_path: Path):
    collection, run = literal_collection(tmp_path), literal_run({0: [0, 1, 2, 3]})
    rule, relevant = NegativeRule(count=2, depth=4), {0: np.array([0])}
    assert NegativeSampler(rule, [run], relevant, collection, 1).pool(0).tolist() == [1, 2, 3]
    excluded = {0: np.array([0, 2])}
    assert NegativeSampler(rule, [run], relevant, collection, 1, excluded=excluded).pool(0).tolist() == [1, 3]


def test_judged_negatives_are_drawn_alone_and_beside_those_of_a_retriever(tmp_path: Path, graded: Path):
    both = ["retriever=[bm25,judged]", "negatives.count=1"]
    alone = prepared_of(tmp_path, graded, *both, "negatives.source=judged")
    assert (pool(alone, "q0"), pool(alone, "q1")) == ({"p2"}, {"p5"})
    mixed = prepared_of(tmp_path, graded, *both, "negatives.source=bm25+judged")
    assert mixed.sampler.sources == ("bm25", "judged")
    assert pool(mixed, "q0") == every("p0", "p1")
    partly = prepared_of(
        tmp_path, graded, *both, "negatives.source=judged", "data.min_grade=2", "negatives.exclude_grade=2"
    )
    assert pool(partly, "q0") == {"p1", "p2"}


def test_with_folds_the_judgements_of_whichever_split_holds_a_query_are_read(tmp_path: Path, graded: Path):
    more = ["retriever=[bm25,judged]", "negatives.source=judged", "negatives.count=1", "negatives.short=drop"]
    more += ["data.split.of=null", "data.split.train=2", "data.split.dev=1", "data.split.test=1"]
    prepared = prepared_of(tmp_path, graded, *more)
    collection = prepared.collection
    trained = set(collection.queries.ids(prepared.splits["train"].queries))
    judged = {"q0": {"p2"}, "q1": {"p5"}, "q2": {"p7"}, "q3": set()}
    for row in prepared.sampler.queries.tolist():
        assert pool(prepared, collection.queries.id(row)) == judged[collection.queries.id(row)]
    assert set(collection.queries.ids(prepared.sampler.queries)) == trained - {"q3"}


def test_a_query_without_judged_negatives_is_short_of_candidates(tmp_path: Path, graded: Path):
    more = ["retriever=[bm25,judged]", "negatives.source=judged", "negatives.count=2"]
    with pytest.raises(ExperimentError, match=r"2 of 2 training queries have fewer than negatives\.count=2 usable"):
        prepared_of(tmp_path, graded, *more)
    prepared = prepared_of(tmp_path, graded, *more, "negatives.short=replacement")
    assert prepared.sampler.report.replaced_short == 2


@pytest.mark.parametrize(
    "overrides",
    [
        ["retriever=[bm25,judged]", "first_stage=[judged]"],
        ["retriever=[bm25,judged,colbert]", "retrievers.colbert.candidates_from=judged"],
    ],
)
def test_a_ranking_made_from_the_judgements_is_no_first_stage(tmp_path: Path, graded: Path, overrides: list[str]):
    with pytest.raises(ExperimentError, match=r"(first_stage|candidates_from) names judged, which is made from"):
        experiment_of(tmp_path, graded, *overrides)
