"""What a message of a reader or retriever says to type is typed, and helps."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import composed

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.data.collection import Collection, open_collection
from experiments.data.run import Run
from experiments.jobs.components import make_components
from experiments.retrieval.retriever import run_for

REMEDY = re.compile(r"(?:data|retrievers)\.[\w.]+=[^\s,;:)]+")
CORPUS = '{"_id": "p0", "text": "copper wire"}\n{"_id": "p1", "text": "red copper"}\n'
QUERIES = '{"_id": "q0", "text": "copper"}\n{"_id": "q1", "text": "red copper"}\n'
TEST = "q0\tp0\t1\nq1\tp1\t1\n"


def beir(folder: Path, **qrels: str) -> list[str]:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(CORPUS)
    (folder / "queries.jsonl").write_text(QUERIES)
    for name, content in qrels.items():
        (folder / "qrels" / f"{name}.tsv").write_text(content)
    return ["data=beir", f"data.path={folder}"]


def msmarco(folder: Path, qrels: str) -> list[str]:
    folder.mkdir(parents=True)
    (folder / "collection.tsv").write_text("p0\tcopper wire\np1\tred copper\n")
    for middle in ("train", "dev.small"):
        (folder / f"queries.{middle}.tsv").write_text("q0\tcopper\n" if middle == "train" else "q1\tred\n")
        (folder / f"qrels.{middle}.tsv").write_text("q0\t0\tp0\t1\n" if middle == "train" else qrels)
    return ["data=msmarco", f"data.path={folder}"]


def opened(overrides: list[str], folder: Path) -> Collection:
    experiment = compose.check(composed(*overrides))
    store = Cache(folder / "cache")
    return open_collection(compose.source_of(experiment), store, experiment.data.ignore_identical_ids)


def retrieved(overrides: list[str], folder: Path) -> Run:
    overrides = [*overrides, "retriever=[bm25,run_file]", "first_stage=[run_file]"]
    experiment = compose.check(composed(*overrides))
    parts = make_components(experiment)
    return run_for(parts.retrievers["run_file"], opened(overrides, folder), np.arange(2), 10, Cache(folder / "cache"))


def run_file(folder: Path, content: str) -> list[str]:
    base = beir(folder / "data", test=TEST)
    (folder / "some.run").write_text(content)
    (folder / "test.run").write_text("q0 Q0 p0 1 1 x\nq1 Q0 p1 1 1 x\n")
    return [*base, f"retrievers.run_file.path={folder / 'some.run'}"]


CASES: dict[str, Callable[[Path], tuple[list[str], Callable[[list[str], Path], object]]]] = {
    "no qrels of a split's name": lambda f: (beir(f / "data", test0=TEST), opened),
    "judged passages without text, beir": lambda f: (beir(f / "data", test=TEST + "q0\tp9\t1\n"), opened),
    "judged passages without text, msmarco": lambda f: (msmarco(f / "data", "q1\t0\tp9\t1\n"), opened),
    "queries without a line": lambda f: (run_file(f, "q0 Q0 p0 1 1 x\n"), retrieved),
    "the run of another split": lambda f: (run_file(f, "q7 Q0 p0 1 1 x\n"), retrieved),
    "whole numbers": lambda f: (run_file(f, "q0\tp0\t7\nq1\tp1\t7\n"), retrieved),
    "whole numbers and fractions": lambda f: (run_file(f, "q0\tp0\t7\nq1\tp1\t1.5\n"), retrieved),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_a_message_says_to_type_helps(case: str, tmp_path: Path):
    overrides, use = CASES[case](tmp_path)
    with pytest.raises(ExperimentError) as found:
        use(overrides, tmp_path)
    remedies = REMEDY.findall(str(found.value))
    assert remedies, f"no remedy in {found.value}"
    for remedy in remedies:
        typed = remedy.replace("NAME", "test0").replace("[train.run", f"[{tmp_path / 'test.run'}")
        if typed.startswith("retrievers.run_file.path="):
            typed = f"retrievers.run_file.path=[{tmp_path / 'some.run'},{tmp_path / 'test.run'}]"
        use([*overrides, typed], tmp_path)


def test_a_split_may_be_named_by_its_key_alone(tmp_path: Path):
    overrides = [*beir(tmp_path / "data", test0=TEST, train="q0\tp0\t1\n"), "data.source.splits.test=test0"]
    assert opened(overrides, tmp_path).splits == ("train", "test")
    with pytest.raises(ExperimentError, match=r"no qrels/nowhere\.tsv .*: check data\.source\.splits\.test=nowhere"):
        opened([*overrides[:-1], "data.source.splits.test=nowhere"], tmp_path)
    with pytest.raises(ExperimentError, match=r"no queries\.nowhere\.tsv .*: check data\.source\.splits\.dev=nowhere"):
        opened([*msmarco(tmp_path / "tsv", "q1\t0\tp1\t1\n"), "data.source.splits.dev=nowhere"], tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data=msmarco", "data.path=.", "data.source.splits={train: null, test: null}"],
            "set data.source.splits.test",
        ),
        (["data=ir_datasets", "data.source.splits={train: null, test: null}"], "set data.source.splits.test to an id"),
        (["data=beir", "data.path=.", "data.source.missing=drop"], "data.source.missing is 'drop'"),
    ],
)
def test_splits_and_missing_are_named_as_they_are_typed(overrides: list[str], message: str):
    experiment = compose.check(composed(*overrides))
    with pytest.raises(ExperimentError, match=re.escape(message)):
        compose.source_of(experiment)


@pytest.mark.parametrize("data", ["beir", "msmarco", "ir_datasets", "msmarco_passage", "msmarco_document"])
def test_every_reader_of_files_has_the_key_missing(data: str):
    needs = {"ir_datasets": ["data.source.splits.train=a", "data.source.splits.test=b"]}.get(data, [])
    overrides = [f"data={data}", "data.source.missing=empty", *needs]
    overrides += ["data.path=x"] if data in ("beir", "msmarco") else []
    assert compose.check(composed(*overrides)).data.source["missing"] == "empty"


@pytest.mark.skipif(find_spec("faiss") is not None, reason="faiss is installed")
def test_without_faiss_the_exact_search_is_named_by_its_key():
    overrides = ["retriever=[bm25,dense]", "first_stage=[dense]", "retrievers.dense.checkpoint=a/b"]
    experiment = compose.check(composed(*overrides, "retrievers.dense.index=faiss"))
    with pytest.raises(ExperimentError) as found:
        make_components(experiment)
    assert REMEDY.findall(str(found.value))[-1] == "retrievers.dense.index=exact"
    make_components(compose.check(composed(*overrides, "retrievers.dense.index=exact")))
