"""Files of collections as they are found: ids with blanks, byte order marks, headers, comments, grades."""

import gzip
import json
import logging
from pathlib import Path

import pytest
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.data.readers import lines
from experiments.data.readers.beir import BeirFolder
from experiments.data.readers.msmarco import MsMarcoFolder


def judged(tmp_path: Path, content: str) -> list[tuple[str, str, int]]:
    path = tmp_path / "qrels.tsv"
    path.write_text(content, encoding="utf-8")
    return list(lines.qrels(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("query-id\tcorpus-id\tscore\nq 1\t1 7\t1\n", [("q 1", "1 7", 1)]),
        ("q 1\t0\t1 7\t2\n", [("q 1", "1 7", 2)]),
        ("\ufeffquery-id\tcorpus-id\tscore\nq1\tp1\t1\n", [("q1", "p1", 1)]),
        ("\ufeffq1 0 p1 1\n", [("q1", "p1", 1)]),
        ("qid docid relevance\r\nq1 p1 1\r\n", [("q1", "p1", 1)]),
        ("query_id\titeration\tdoc_id\tlabel\nq1\t0\tp1\t1\n", [("q1", "p1", 1)]),
        ("# judged by two people\nq1 0 p1 1\n#\n# q1 0 p2 1\n", [("q1", "p1", 1)]),
        ("#q1 0 #p1 1\n", [("#q1", "#p1", 1)]),
        ("q1\tp1\t1.0\nq1\tp2\t0.\nq1\tp3\t-2.0\n", [("q1", "p1", 1), ("q1", "p2", 0), ("q1", "p3", -2)]),
        ("q1\tp1\t+3\n", [("q1", "p1", 3)]),
        ("q1 0 p1\t1\n", [("q1", "p1", 1)]),
        ("q1\u00a0x 0 p1 1\n", [("q1\u00a0x", "p1", 1)]),
    ],
)  # fmt: skip
def test_qrels_in_any_dialect(tmp_path: Path, content: str, expected: list[tuple[str, str, int]]):
    assert judged(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q 1 0 1 7 1\n", r"line 1: .*'q 1 0 1 7 1'; separate fields by tabs if ids have blanks"),
        ("q1\tp1\t0.5\n", "line 1: the grade '0.5' is not a whole number"),
        ("q1\tp1\t1_0\n", "line 1: the grade '1_0' is not a whole number"),
        ("q1 p1 score\nq1 p2 score\n", "line 2: the grade 'score' is not a whole number"),
        (f"q1\tp1\t{2**31}\n", "line 1: the grade 2147483648 does not fit into 32 bits"),
        ("q1\t\t1\n", "line 1: 'query 0 passage grade' or 'query passage grade' is expected"),
    ],
)
def test_a_line_that_is_no_judgement_is_named(tmp_path: Path, content: str, message: str):
    with pytest.raises(ExperimentError, match=message):
        judged(tmp_path, content)


def beir(folder: Path, corpus: list[dict], queries: list[dict], qrels: str, mark: str = "") -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        text = mark + "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(mark + "query-id\tcorpus-id\tscore\n" + qrels, encoding="utf-8")
    return folder


def test_beir_judges_the_passage_whose_id_has_a_blank_and_not_its_last_word(tmp_path: Path):
    corpus = [{"_id": "doc 7", "text": "right"}, {"_id": "7", "text": "wrong"}]
    folder = beir(tmp_path / "data", corpus, [{"_id": "q 1", "text": "which"}], "q 1\tdoc 7\t1\n", mark="\ufeff")
    collection = open_collection(BeirFolder(str(folder)), Cache(tmp_path))
    assert {query: rows.tolist() for query, rows in collection.qrels("test").relevant().items()} == {0: [0]}


def test_trec_qrels_may_name_ids_as_run_files_do(tmp_path: Path):
    corpus = [{"_id": "doc 7", "text": "right"}, {"_id": "7", "text": "wrong"}]
    folder = beir(tmp_path / "data", corpus, [{"_id": "q1", "text": "which"}], "q1\tdoc%207\t1\n")
    for missing in ("error", "empty"):
        collection = open_collection(BeirFolder(str(folder), missing=missing), Cache(tmp_path))
        assert {query: rows.tolist() for query, rows in collection.qrels("test").relevant().items()} == {0: [0]}
        assert len(collection.passages) == 2


def msmarco(folder: Path, collection: str, queries: str, qrels: str = "q1\t0\tp1\t1\n") -> MsMarcoFolder:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("collection.tsv", collection), ("queries.t.tsv", queries), ("qrels.t.tsv", qrels)):
        (folder / name).write_bytes(content.encode())
    return MsMarcoFolder(str(folder), {"train": None, "test": "t"})


@pytest.mark.parametrize(("passages", "queries"), [("id\ttext", "qid\tquery"), ("pid\tpassage", "query-id\tText")])
def test_a_header_is_no_passage_and_no_query(tmp_path: Path, passages: str, queries: str, caplog):
    source = msmarco(tmp_path, f"\ufeff{passages}\r\np1\tone\r\nid\ttext\r\n", f"{queries}\nq1\twhat\n")
    with caplog.at_level(logging.INFO):
        assert list(source.passages()) == [("p1", "one"), ("id", "text")]
    assert "is taken for a header" in caplog.text
    assert list(source.queries()) == [("q1", "what")]


def test_a_carriage_return_within_a_text_ends_no_line(tmp_path: Path):
    source = msmarco(tmp_path, "p1\tone\rmore\np2\ttwo\n", "q1\twhat\n")
    assert list(source.passages()) == [("p1", "one\rmore"), ("p2", "two")]


def collection_of(tmp_path: Path, **changes) -> Collection:
    rows = {
        "passage_rows": [("p1", "one"), ("p2", "two")],
        "query_rows": [("q1", "what")],
        "judgements": {"test": [("q1", "p1", 1)]},
    }
    return open_collection(LiteralSource(**{**rows, **changes}), Cache(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passage_rows": [("p1", "one"), ("", "two")]}, "passage id '' is empty"),
        ({"passage_rows": [("p1", "one"), (" p2", "two")]}, "passage id ' p2' is empty, begins or ends with a blank"),
        ({"passage_rows": [("p1", "one"), ("p\t2", "two")]}, r"passage id 'p\\t2' .* or holds a tab"),
        ({"passage_rows": [("p1", "one"), ("p2\u3000", "two")]}, r"passage id 'p2\\u3000'"),
        ({"query_rows": [("q1", "what"), ("q\x00", "who")]}, r"query id 'q\\x00' .* another control character"),
        ({"query_rows": [("q1", "what"), ("q\n2", "who")]}, r"query id 'q\\n2'"),
        (
            {"passage_rows": [("p1", "one"), ("a b", "two"), ("a%20b", "three")]},
            "passage id 'a b' is written 'a%20b' in run files, which is another passage's id",
        ),
        ({"passage_rows": [("p1", ""), ("p2", " \n")]}, r"every passage text \(2\) is empty"),
        ({"query_rows": [("q1", " ")]}, r"every query text \(1\) is empty"),
        ({"judgements": {"test": [("q1", "p1", 2**31)]}}, "the grade 2147483648, which does not fit into 32 bits"),
        ({"judgements": {"test": [("q1", "p1", -(2**40))]}}, "which does not fit into 32 bits"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        collection_of(tmp_path, **changes)


def test_half_of_a_surrogate_pair_is_refused_and_a_whole_one_is_a_character(tmp_path: Path):
    queries, qrels = [{"_id": "q1", "text": "what"}], "q1\tp1\t1\n"
    good = beir(tmp_path / "good", [{"_id": "p1", "text": "\U0001f600"}], queries, qrels)  # json.dumps writes a pair
    assert "\\ud83d\\ude00" in (good / "corpus.jsonl").read_text()
    assert open_collection(BeirFolder(str(good)), Cache(tmp_path)).passages.text(0) == "\U0001f600"
    bad = beir(tmp_path / "bad", [{"_id": "p1", "text": "one"}, {"_id": "p2", "text": "half \ud83d"}], queries, qrels)
    with pytest.raises(ExperimentError, match=r"corpus.jsonl, line 2: 'half \\ud83d' has half of a character"):
        open_collection(BeirFolder(str(bad)), Cache(tmp_path))


def test_awkward_ids_and_texts_that_can_be_held_are(tmp_path: Path):
    ids = ["p1", "a b", "c%20d", "#1", "\u00fc \u00a0x", "50%"]
    collection = collection_of(tmp_path, passage_rows=[(name, f"text\x00 {name}") for name in ids])
    assert collection.passages.ids(range(6)) == ids
    assert collection.passages.rows(ids, "a test").tolist() == list(range(6))
    assert collection.passages.text(1) == "text\x00 a b"


POOL = "q1\t0\tp1\t1\nq1\t0\tp9\t2\n"


def readers(folder: Path, missing: str) -> list[BeirFolder | MsMarcoFolder]:
    """A pool's qrels that judge the passage p9, whose text is not there, in each layout."""
    if not folder.exists():
        beir(folder / "beir", [{"_id": "p1", "text": "one"}], [{"_id": "q1", "text": "what"}], "q1\tp1\t1\nq1\tp9\t2\n")
        msmarco(folder / "msmarco", "p1\tone\n", "q1\twhat\n", POOL)
    return [
        BeirFolder(str(folder / "beir"), missing=missing),
        MsMarcoFolder(str(folder / "msmarco"), {"test": "t"}, missing=missing),
    ]


@pytest.mark.parametrize("reader", [0, 1], ids=["beir", "msmarco"])
def test_qrels_of_a_pool_name_the_key_that_accepts_them(tmp_path: Path, reader: int):
    with pytest.raises(ExperimentError, match=r"such as 'p9': .*, or set data\.source\.missing=empty, which lets them"):
        open_collection(readers(tmp_path / "data", "error")[reader], Cache(tmp_path))
    collection = open_collection(readers(tmp_path / "data", "empty")[reader], Cache(tmp_path))
    assert collection.passages.ids([0, 1]) == ["p1", "p9"]
    assert collection.passages.text(1) == ""


def test_a_reader_without_the_key_does_not_name_it(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"check that the files belong together$"):
        collection_of(tmp_path, judgements={"test": [("q1", "p9", 1)]})


def test_beir_refuses_a_title_that_is_no_text(tmp_path: Path):
    folder = beir(tmp_path / "d", [{"_id": "p1", "title": 7, "text": "x"}], [{"_id": "q1", "text": "x"}], "q1\tp1\t1\n")
    with pytest.raises(ExperimentError, match=r"corpus\.jsonl, line 1: 'title' must be a string"):
        list(BeirFolder(str(folder)).passages())


def test_a_gzipped_file_may_have_a_mark_too(tmp_path: Path):
    (tmp_path / "qrels.tsv.gz").write_bytes(gzip.compress("\ufeffq1 0 p1 1\n".encode()))
    assert list(lines.qrels(tmp_path / "qrels.tsv.gz")) == [("q1", "p1", 1)]
