"""Readers of local files: what they yield, and that what is wrong is named by file and line."""

import gzip
from pathlib import Path

import pytest

from experiments.common.errors import ExperimentError
from experiments.data.readers.beir import BeirFolder
from experiments.data.readers.msmarco import MsMarcoFolder


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "p1", "title": "Boron", "text": "a metalloid"}\n\n{"_id": "p2", "title": "", "text": "no title"}\n'
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "what is boron"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t2\n")
    return tmp_path


def test_beir_joins_title_and_text(beir: Path):
    assert list(BeirFolder(str(beir)).passages()) == [("p1", "Boron a metalloid"), ("p2", "no title")]


def test_beir_leaves_titles_out_if_asked(beir: Path):
    assert next(BeirFolder(str(beir), title=False).passages()) == ("p1", "a metalloid")


def test_beir_reads_queries_and_qrels_with_a_header(beir: Path):
    source = BeirFolder(str(beir))
    assert list(source.queries()) == [("q1", "what is boron")]
    assert {split: list(rows) for split, rows in source.qrels().items()} == {"test": [("q1", "p1", 2)]}


def test_beir_reads_gzip_and_trec_qrels_beside_the_corpus(beir: Path):
    (beir / "corpus.jsonl.gz").write_bytes(gzip.compress((beir / "corpus.jsonl").read_bytes()))
    (beir / "corpus.jsonl").unlink()
    (beir / "qrels.dev.txt").write_text("q1 0 p2 1\n")
    source = BeirFolder(str(beir))
    assert len(list(source.passages())) == 2
    assert list(source.qrels()["dev"]) == [("q1", "p2", 1)]


def test_beir_takes_another_file_for_a_split(beir: Path):
    (beir / "qrels.dl19.txt").write_text("q1 0 p2 3\n")
    assert list(BeirFolder(str(beir), splits={"test": "dl19"}).qrels()["test"]) == [("q1", "p2", 3)]


def test_the_fingerprint_changes_with_a_file(beir: Path):
    before = BeirFolder(str(beir)).fingerprint()
    (beir / "corpus.jsonl").write_text('{"_id": "p1", "title": "", "text": "other"}\n')
    assert BeirFolder(str(beir)).fingerprint() != before


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("corpus.jsonl", '{"_id": "p1", "text": "x"}\n{"_id": "p2"\n', r"corpus\.jsonl, line 2: not JSON"),
        ("corpus.jsonl", '{"_id": 7, "text": "x"}\n', r"corpus\.jsonl, line 1: '_id' and 'text' must be there"),
        ("corpus.jsonl", '["p1"]\n', r"corpus\.jsonl, line 1: a JSON object is expected, not list"),
        ("queries.jsonl", '{"_id": "q1"}\n', r"queries\.jsonl, line 1: '_id' and 'text'"),
        ("qrels/test.tsv", "q1\tp1\n", r"test\.tsv, line 1: .*is expected, not"),
        ("qrels/test.tsv", "q1 0 p1 1\nq1 0 p2 high\n", r"test\.tsv, line 2: the grade 'high' is not a whole number"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(beir: Path, file: str, content: str, message: str):
    (beir / file).write_text(content)
    source = BeirFolder(str(beir))
    with pytest.raises(ExperimentError, match=message):
        [list(rows) for rows in (source.passages(), source.queries(), *source.qrels().values())]


def test_a_broken_gzip_is_named(beir: Path):
    (beir / "corpus.jsonl.gz").write_bytes(gzip.compress(b'{"_id": "p1", "text": "x"}\n' * 500)[:-20])
    (beir / "corpus.jsonl").unlink()
    with pytest.raises(ExperimentError, match=r"corpus\.jsonl\.gz, after line .*cannot be read"):
        list(BeirFolder(str(beir)).passages())


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(beir: Path, missing: str):
    (beir / missing).unlink()
    with pytest.raises(ExperimentError, match=missing.split("/")[0]):
        BeirFolder(str(beir))


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"there is no folder .*nowhere: set data\.path"):
        BeirFolder(str(tmp_path / "nowhere"))


@pytest.fixture
def msmarco(tmp_path: Path) -> Path:
    (tmp_path / "collection.tsv").write_text("0\tthe first\n1\twith a\ttab\n")
    (tmp_path / "queries.train.tsv").write_text("10\tfirst?\n")
    (tmp_path / "queries.dev.small.tsv.gz").write_bytes(gzip.compress(b"11\ttab?\n"))
    (tmp_path / "qrels.train.tsv").write_text("10\t0\t0\t1\n")
    (tmp_path / "qrels.dev.small.tsv").write_text("11\t0\t1\t1\n")
    return tmp_path


def test_msmarco_reads_its_tsv_files(msmarco: Path):
    source = MsMarcoFolder(str(msmarco), {"train": "train", "test": "dev.small"})
    assert list(source.passages()) == [("0", "the first"), ("1", "with a\ttab")]
    assert list(source.queries()) == [("10", "first?"), ("11", "tab?")]
    assert {split: list(rows) for split, rows in source.qrels().items()} == {
        "train": [("10", "0", 1)],
        "test": [("11", "1", 1)],
    }


def test_msmarco_names_a_line_without_a_tab(msmarco: Path):
    (msmarco / "collection.tsv").write_text("0\tthe first\n1 the second\n")
    with pytest.raises(ExperimentError, match=r"collection\.tsv, line 2: 2 tab-separated fields"):
        list(MsMarcoFolder(str(msmarco), {"test": "dev.small"}).passages())
