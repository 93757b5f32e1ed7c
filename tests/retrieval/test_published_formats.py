"""The files that the field publishes, a few lines of each as they are published, read as negatives or as a first stage.

The collection has MS MARCO's kind of ids: passages 0 to 5, queries 10 and 20.
"""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import ROOT
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data import teacher_formats
from experiments.data.collection import Collection, open_collection
from experiments.retrieval.negatives_file import NegativesFile
from experiments.retrieval.run_file import RunFile

SKY, BOOK = "why is the sky blue", "1984"
TEXTS = [f"this is the text of passage {i}" for i in range(6)]
ALL = np.array([0, 1])

TOP1000 = f"10\t3\t{SKY}\t{TEXTS[3]}\n20\t2\t{BOOK}\t{TEXTS[2]}\n10\t1\t{SKY}\t{TEXTS[1]}\n"
EXAMPLES = "[10, [0, 9.5], [3, 1.5], [4, -2.25]]\n[20, [1, 8.0], [5, 0.5]]\n[10, [0, 9.5], [3, 1.5], [2, 0.75]]\n"


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    passages = [(str(i), text) for i, text in enumerate(TEXTS)]
    source = LiteralSource(passages, [("10", SKY), ("20", BOOK)], {"train": [("10", "0", 1)], "test": [("20", "1", 1)]})
    return open_collection(source, Cache(tmp_path / "store"))


def written(folder: Path, name: str, content: str) -> str:
    with (gzip.open if name.endswith(".gz") else open)(folder / name, "wt", encoding="utf-8") as file:
        file.write(content)
    return str(folder / name)


def negatives(collection: Collection, folder: Path, path: str, depth: int = 5, **settings: str) -> dict[int, list[int]]:
    """The passage rows of each query's negatives."""
    run = NegativesFile(path, **settings).retrieve(collection, ALL, depth, Cache(folder / "cache"))  # type: ignore[arg-type]
    return {int(query): run.ranking(query).tolist() for query in run.queries}


@pytest.mark.parametrize(
    ("name", "content", "scores"),
    [
        ("run.msmarco-passage.bm25.tsv", "10\t3\t1\n10\t1\t2\n20\t2\t1\n", [-1.0, -2.0]),
        (
            "run.bm25.trec.gz",
            "10 Q0 3 1 12.5 Anserini\n10 Q0 1 2 11.0 Anserini\n20 Q0 2 1 3.0 Anserini\n",
            [12.5, 11.0],
        ),
        ("run.tct_colbert-v2-hnp.bf.tsv", "10\t3\t1\n10\t1\t2\n20\t2\t1\n", [-1.0, -2.0]),
        ("colbertv2.ranking.tsv", "10\t3\t1\t25.5\n10\t1\t2\t24.5\n20\t2\t1\t3.25\n", [25.5, 24.5]),
        (
            "rankzephyr.run",
            "10 0 3 1 100.0 rankzephyr\n10 0 1 2 99.0 rankzephyr\n20 0 2 1 100.0 rankzephyr\n",
            [100, 99],
        ),
    ],
)
def test_published_runs_need_no_setting(
    tmp_path: Path, collection: Collection, name: str, content: str, scores: list[float]
):
    run = RunFile(written(tmp_path, name, content)).retrieve(collection, ALL, 2, Cache(tmp_path / "cache"))
    assert run.ranking(0).tolist() == [3, 1]
    assert run.ranking(1).tolist() == [2]
    assert run.scores[0].tolist() == scores


@pytest.mark.parametrize("format", ["auto", "top1000"])
@pytest.mark.parametrize("name", ["top1000.dev", "top1000.dev.tsv.gz"])
def test_the_official_candidates_are_all_used_in_no_order(
    tmp_path: Path, collection: Collection, name: str, format: str, caplog: pytest.LogCaptureFixture
):
    """Equal scores are ordered as everywhere, by descending id; the lines of a query lie anywhere in the file."""
    run = RunFile(written(tmp_path, name, TOP1000), format).retrieve(collection, ALL, 2, Cache(tmp_path / "cache"))
    assert run.ranking(0).tolist() == [3, 1]
    assert run.ranking(1).tolist() == [2], "a query's text may be a number"
    assert "the order of its passages means nothing" in caplog.text


def test_the_official_candidates_are_not_cut(tmp_path: Path, collection: Collection):
    retriever = RunFile(written(tmp_path, "top1000.dev", TOP1000))
    with pytest.raises(ExperimentError, match=r"has candidates without scores, up to 2 a query, and so no best 1"):
        retriever.retrieve(collection, ALL, 1, Cache(tmp_path / "cache"))


def test_candidates_without_a_text_are_named(tmp_path: Path, collection: Collection):
    retriever = RunFile(written(tmp_path, "top1000.dev", TOP1000 + "20\t4\t1984\n"))
    with pytest.raises(ExperimentError, match=r"line 4: query, passage, text of the query, text of the passage"):
        retriever.retrieve(collection, ALL, 5, Cache(tmp_path / "cache"))


def test_candidates_teach_nothing(tmp_path: Path):
    path = Path(written(tmp_path, "top1000.dev", TOP1000))
    with pytest.raises(ExperimentError, match=r"line 1: candidates without scores .* teach nothing"):
        teacher_formats.read(path, "auto", "score", "loss.teacher_file")


@pytest.mark.parametrize("name", ["qidpidtriples.train.full.2.tsv", "qidpidtriples.train.full.2.tsv.gz"])
def test_triples_of_ids(tmp_path: Path, collection: Collection, name: str):
    path = written(tmp_path, name, "10\t0\t3\n20\t1\t5\n10\t0\t4\n")
    assert negatives(collection, tmp_path, path) == {0: [3, 4], 1: [5]}


@pytest.mark.parametrize("format", ["auto", "text_triples"])
def test_triples_of_texts_are_found_by_text(tmp_path: Path, collection: Collection, format: str):
    rows = [(SKY, 0, 3), (BOOK, 1, 5), (SKY, 0, 4), (SKY, 0, 3), ("a query of another split", 0, 1)]
    content = "".join(f"{query}\t{TEXTS[positive]}\t{TEXTS[negative]}\n" for query, positive, negative in rows)
    path = written(tmp_path, "triples.train.small.tsv", content)
    assert negatives(collection, tmp_path, path, format=format) == {0: [3, 4], 1: [5]}
    assert negatives(collection, tmp_path, path, 1, format=format) == {0: [3], 1: [5]}


def test_a_text_that_no_passage_has_is_named(tmp_path: Path, collection: Collection):
    content = f"{SKY}\t{TEXTS[0]}\t{TEXTS[3]}\n{SKY}\t{TEXTS[0]}\tthe text of some other collection\n"
    path = written(tmp_path, "triples.train.small.tsv", content)
    with pytest.raises(ExperimentError, match=r"small.tsv, line 2: no passage .* 'the text of some other collection'"):
        negatives(collection, tmp_path, path, missing="empty")


def test_a_line_without_three_texts_is_named(tmp_path: Path, collection: Collection):
    path = written(tmp_path, "triples.train.small.tsv", f"{SKY}\t{TEXTS[0]}\t{TEXTS[3]}\n{SKY}\t{TEXTS[0]}\n")
    with pytest.raises(ExperimentError, match=r"line 2: three texts \(query, positive, negative\)"):
        negatives(collection, tmp_path, path)


def test_hard_negatives_of_sentence_transformers(tmp_path: Path, collection: Collection):
    """Two systems take turns by rank."""
    content = (
        '{"qid": 10, "pos": [0], "neg": {"bm25": [3, 4], "tas-b": [5]}}\n'
        '{"qid": 20, "pos": [1], "neg": {"bm25": [2]}}\n'
    )
    path = written(tmp_path, "msmarco-hard-negatives.jsonl.gz", content)
    assert negatives(collection, tmp_path, path) == {0: [3, 5, 4], 1: [2]}


@pytest.mark.parametrize(
    ("name", "content"), [("examples.json", EXAMPLES), ("triples.jsonl", "[10, 0, 3]\n[20, 1, 5]\n[10, 0, 4, 2]\n")]
)
def test_colberts_examples_list_a_positive_and_its_negatives(
    tmp_path: Path, collection: Collection, name: str, content: str
):
    """Repeats of a query add to its list."""
    assert negatives(collection, tmp_path, written(tmp_path, name, content)) == {0: [3, 4, 2], 1: [5]}


def test_the_scores_of_colberts_examples_teach(tmp_path: Path):
    found = teacher_formats.read(Path(written(tmp_path, "examples.json", EXAMPLES)), "auto", "score", "format")
    pairs = [
        (found.query_ids[query].as_py(), found.passage_ids[passage].as_py(), float(value))
        for query, passage, value in zip(found.queries_L, found.passages_L, found.values_L, strict=True)
    ]
    assert pairs[:4] == [("10", "0", 9.5), ("10", "3", 1.5), ("10", "4", -2.25), ("20", "1", 8.0)]
    assert len(pairs) == 8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[10, [0, 9.5], [3]]", r"line 1: \[query, passage, passage \.\.\.\] or .* is expected"),
        ("[10]", r"line 1: \[query, passage, passage \.\.\.\]"),
        ("[10, 0, null]", r"line 1: a passage is None, no id"),
        ("[10, 0,", r"line 1: not JSON"),
    ],
)
def test_examples_that_cannot_be_read_are_named(tmp_path: Path, collection: Collection, line: str, message: str):
    with pytest.raises(ExperimentError, match=message):
        negatives(collection, tmp_path, written(tmp_path, "examples.json", line + "\n"))


def test_examples_without_scores_do_not_teach(tmp_path: Path):
    path = Path(written(tmp_path, "triples.jsonl", "[10, 0, 3]\n"))
    with pytest.raises(ExperimentError, match=r"line 1: the score None is not a finite number"):
        teacher_formats.read(path, "colbert", "score", "format")


# The catalogue fixes its folder when it is imported, so that this runs in a process of its own.
OF_THE_CATALOGUE = """
import sys
from pathlib import Path
import numpy as np
from helpers.tiny import literal_collection
from experiments.common.cache import Cache
from experiments.retrieval.negatives_file import NegativesFile
home = Path(sys.argv[1])
retriever = NegativesFile("ir_datasets:msmarco-passage/train/triples-small", missing="empty")
run = retriever.retrieve(literal_collection(home), np.array([0, 1]), 10, Cache(home))
print({int(query): run.ranking(query).tolist() for query in run.queries}, retriever.content())
"""


def test_triples_of_the_catalogue(tmp_path: Path):
    """ir_datasets keeps the small triples of texts as ids, in this file, once it has fetched and mapped them."""
    place = tmp_path / "msmarco-passage" / "train" / "small.triples.qidpid.tsv"
    place.parent.mkdir(parents=True)
    place.write_text("q0\tp0\tp3\nq9\tp1\tp2\nq0\tp0\tp1\n")
    environment = {
        "IR_DATASETS_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
    }  # fmt: skip
    command = [sys.executable, "-c", OF_THE_CATALOGUE, str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{0: [3, 1]} msmarco-passage/train/triples-small@")


def test_a_data_set_without_triples_is_refused():
    with pytest.raises(ExperimentError, match=r"retrievers.negatives_file.path: 'beir/scifact' has no docpairs"):
        NegativesFile("ir_datasets:beir/scifact")
