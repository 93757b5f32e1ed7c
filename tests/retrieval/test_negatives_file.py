"""A file of published negatives as a retriever: a source of negatives whose order is the file's."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import composed
from helpers.tiny import literal_collection

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.data.collection import Collection
from experiments.data.whole_collection import WholeCollection
from experiments.retrieval.every_passage import EveryPassage
from experiments.retrieval.negatives_file import NegativesFile
from experiments.retrieval.retriever import FromFiles, Retriever, contents_of, run_for

QUERIES = np.array([0, 1])


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return literal_collection(tmp_path / "data")


def written(path: Path, negatives: dict[str, list[str]]) -> str:
    rows = [{"qid": query, "pos": [], "neg": {"bm25": passages}} for query, passages in negatives.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_order_of_the_file_is_the_ranking_and_minus_the_rank_the_score(collection: Collection, tmp_path: Path):
    retriever = NegativesFile(written(tmp_path / "hard.jsonl", {"q1": ["p5", "p3"], "q0": ["p9"], "q7": ["x"]}))
    assert isinstance(retriever, Retriever)
    assert isinstance(retriever, FromFiles)
    run = run_for(retriever, collection, QUERIES, 10, Cache(tmp_path / "cache"))
    assert [run.ranking(query).tolist() for query in (0, 1)] == [[9], [5, 3]]
    assert run.scores[1].tolist() == [-1.0, -2.0]


def test_several_files_follow_each_other(collection: Collection, tmp_path: Path):
    first = written(tmp_path / "a.jsonl", {"q0": ["p9", "p8"]})
    second = written(tmp_path / "b.jsonl", {"q1": ["p2"], "q0": ["p8", "p7"]})
    run = run_for(NegativesFile([first, second]), collection, QUERIES, 3, Cache(tmp_path / "cache"))
    assert [run.ranking(query).tolist() for query in (0, 1)] == [[9, 8, 7], [2]]


def test_an_unknown_passage_is_named_with_file_and_line(collection: Collection, tmp_path: Path):
    path = written(tmp_path / "hard.jsonl", {"q0": ["p1"], "q1": ["p2", "p77"]})
    with pytest.raises(
        ExperimentError,
        match=r"hard.jsonl, line 2: passage 'p77' of the query 'q1' is not in the collection, as are 1 ids of 3",
    ):
        NegativesFile(path).retrieve(collection, QUERIES, 10, Cache(tmp_path / "cache"))


def test_a_query_without_negatives_is_an_error_or_has_none(collection: Collection, tmp_path: Path):
    path = written(tmp_path / "hard.jsonl", {"q0": ["p9"]})
    with pytest.raises(ExperimentError, match=r"1 of the 2 queries .* such as 'q1'; retrievers.mine.missing=empty"):
        NegativesFile(path, name="mine").retrieve(collection, QUERIES, 10, Cache(tmp_path / "cache"))
    run = NegativesFile(path, missing="empty").retrieve(collection, QUERIES, 10, Cache(tmp_path / "cache"))
    assert run.ranking(1).tolist() == []


def test_a_file_of_another_collection_is_refused(collection: Collection, tmp_path: Path):
    path = written(tmp_path / "hard.jsonl", {"1185869": ["16"]})
    with pytest.raises(ExperimentError, match=r"none of the 2 queries asked for has negatives, such as 'q0'"):
        NegativesFile(path).retrieve(collection, QUERIES, 10, Cache(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "nowhere.jsonl"}, "retrievers.negatives_file.path: there is no file nowhere.jsonl"),
        ({"path": []}, "retrievers.negatives_file.path is empty"),
        ({"path": __file__, "systems": []}, "retrievers.negatives_file.systems is empty"),
        ({"path": __file__, "format": "csv"}, "retrievers.negatives_file.format is 'csv': it must be one of auto"),
    ],
)
def test_settings_that_cannot_be_name_the_key(settings: dict[str, object], message: str):
    with pytest.raises(ExperimentError, match=message):
        NegativesFile(**settings)  # type: ignore[arg-type]


def test_the_content_decides_and_not_the_path(tmp_path: Path):
    one, same, other = (
        NegativesFile(written(tmp_path / f"{name}.jsonl", {"q0": [passage]}))
        for name, passage in (("one", "p1"), ("same", "p1"), ("other", "p2"))
    )
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert contents_of({"one": one}) == {"retrievers.one": one.content()}


def test_the_whole_collection_is_a_source_that_ranks_nothing(collection: Collection, tmp_path: Path):
    run = run_for(EveryPassage(), collection, QUERIES, 10, Cache(tmp_path / "cache"))
    assert isinstance(run, WholeCollection)
    assert (run.name, run.size, run.ranking(0).tolist()) == ("collection", 12, [])


@pytest.mark.parametrize("name", ["collection", "negatives_file"])
def test_such_a_source_is_no_first_stage(name: str):
    given = (f"retriever=[bm25,{name}]", f"first_stage=[{name}]")
    path = [] if name == "collection" else ["retrievers.negatives_file.path=x"]
    with pytest.raises(ExperimentError, match=rf"first_stage names {name}, which .*negatives\.source=bm25\+{name}"):
        compose.check(composed(*given, *path))
