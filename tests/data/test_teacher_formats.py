"""Files of a teacher's scores: each format of the field on literal lines, and what is said of a malformed one."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.common.errors import ExperimentError
from experiments.data.teacher_formats import detect, read

KEY = "loss.teacher_file"
PAIRS = [("q1", "p1", 3.5), ("q1", "p2", -1.0), ("q2", "p1", 0.25)]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    (gzip.open if name.endswith(".gz") else open)(path, "wb").write(text.encode())
    return path


def pairs_of(path: Path, format: str = "auto", value: str = "score") -> list[tuple[str, str, float]]:
    scored = read(path, format, value, KEY)
    queries, passages = scored.query_ids.to_pylist(), scored.passage_ids.to_pylist()
    columns = (scored.queries_L.tolist(), scored.passages_L.tolist(), scored.values_L.tolist())
    return [(queries[query], passages[passage], value) for query, passage, value in zip(*columns, strict=True)]


TABS = "q1\tp1\t3.5\nq1\tp2\t-1\nq2\tp1\t0.25\n"
BY_NAME = [{"query_id": query, "passage_id": passage, "score": score} for query, passage, score in PAIRS]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scores.tsv", TABS),
        ("scores.tsv.gz", TABS),
        ("scores.txt", "q1 p1 3.5\nq1  p2 -1\nq2 p1 0.25\n"),
        ("windows.tsv", "\ufeff" + TABS.replace("\n", "\r\n")),
        ("named.tsv", "query_id\tpassage_id\tscore\n" + TABS),
        ("other_order.tsv", "score\tqid\tlabel\tpid\n3.5\tq1\t1\tp1\n-1\tq1\t0\tp2\n0.25\tq2\t0\tp1\n"),
        ("remarked.tsv", "# of a teacher\n" + TABS),
        ("no_text.tsv", "qid\tpid\tscore\ttext\nq1\tp1\t3.5\t\nq1\tp2\t-1\ta b\nq2\tp1\t0.25\t\n"),
        ("no_text_remarked.tsv", "qid\tpid\tscore\ttext\nq1\tp1\t3.5\t\n# x\nq1\tp2\t-1\ta b\nq2\tp1\t0.25\t\n"),
        ("scores.jsonl", "".join(json.dumps(row) + "\n" for row in BY_NAME)),
        ("scores.jsonl.gz", "".join(json.dumps(row) + "\n" for row in BY_NAME)),
        ("with_texts.jsonl", "".join(json.dumps({**row, "query": "what is it?"}) + "\n" for row in BY_NAME)),
    ],
)
def test_pairs_of_a_text_file(tmp_path: Path, name: str, text: str):
    assert pairs_of(write(tmp_path, name, text)) == PAIRS


def test_ids_that_are_numbers_in_json_are_texts(tmp_path: Path):
    assert pairs_of(write(tmp_path, "a.jsonl", '{"qid": 7, "pid": 12, "score": 1}\n')) == [("7", "12", 1.0)]


def test_ids_with_blanks_between_tabs(tmp_path: Path):
    assert pairs_of(write(tmp_path, "a.tsv", "the query\ta passage\t1.5\n")) == [("the query", "a passage", 1.5)]


@pytest.mark.parametrize("ids", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_pairs_of_parquet(tmp_path: Path, ids: Any):
    columns = [
        pa.array(column, kind) for column, kind in zip(zip(*PAIRS, strict=True), (ids, ids, pa.float64()), strict=True)
    ]
    pq.write_table(
        pa.table(dict(zip(("query_id", "passage_id", "score"), columns, strict=True))), tmp_path / "a.parquet"
    )
    assert pairs_of(tmp_path / "a.parquet") == PAIRS


def test_whole_numbers_are_ids_in_parquet(tmp_path: Path):
    table = pa.table({"qid": pa.array([7]), "pid": pa.array([12], pa.int32()), "score": pa.array([2], pa.int8())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert pairs_of(tmp_path / "a.parquet") == [("7", "12", 2.0)]


@pytest.mark.parametrize("name", ["triples.tsv", "triples.tsv.gz"])
def test_hofstaetters_triples_are_two_pairs_each(tmp_path: Path, name: str):
    text = "3.5\t-1.0\tq1\tp1\tp2\n0.25\t-7e-1\tq2\tp1\tp3\n"
    expected = [("q1", "p1", 3.5), ("q2", "p1", 0.25), ("q1", "p2", -1.0), ("q2", "p3", pytest.approx(-0.7))]
    assert pairs_of(write(tmp_path, name, text)) == expected


def test_hard_negatives_of_sentence_transformers(tmp_path: Path):
    row = {
        "qid": 1,
        "pos": [{"pid": 10, "ce-score": 9.5}],
        "neg": {
            "bm25": [{"pid": 11, "ce-score": -1.5}],
            "tas-b": [{"pid": 12, "ce-score": 0.5}, {"pid": 11, "ce-score": -1.5}],
        },
    }
    found = pairs_of(write(tmp_path, "msmarco-hard-negatives.jsonl.gz", json.dumps(row) + "\n"))
    assert found == [("1", "10", 9.5), ("1", "11", -1.5), ("1", "12", 0.5), ("1", "11", -1.5)]


RUN = "q1 Q0 p1 1 100 rank\nq1 Q0 p2 2 99 rank\nq2 Q0 p3 1 100 rank\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("score", [("q1", "p1", 100.0), ("q1", "p2", 99.0), ("q2", "p3", 100.0)]),
        ("rank", [("q1", "p1", -1.0), ("q1", "p2", -2.0), ("q2", "p3", -1.0)]),
    ],
)
@pytest.mark.parametrize("name", ["a.run", "a.run.gz"])
def test_of_a_run_the_value_is_the_score_or_minus_the_rank(tmp_path: Path, name: str, value: str, expected: list[Any]):
    assert pairs_of(write(tmp_path, name, RUN), value=value) == expected


def test_ranks_are_those_of_the_scores_whatever_the_order_of_the_lines(tmp_path: Path):
    path = write(tmp_path, "a.run", "q1 Q0 p1 1 1.5 x\nq1 Q0 p2 2 8.0 x\nq1 Q0 p3 3 4.0 x\n")
    assert sorted(pairs_of(path, value="rank")) == [("q1", "p1", -3.0), ("q1", "p2", -1.0), ("q1", "p3", -2.0)]


def test_ranks_of_ms_marcos_format_and_of_scores(tmp_path: Path):
    ranks = write(tmp_path, "ranks.tsv", "q1\tp1\t2\nq1\tp2\t1\n")
    assert sorted(pairs_of(ranks)) == sorted(pairs_of(ranks, value="rank")) == [("q1", "p1", -2.0), ("q1", "p2", -1.0)]
    assert pairs_of(write(tmp_path, "scores.tsv", "q1\tp1\t0.5\nq1\tp2\t0.7\n"), value="rank")[0] == ("q1", "p2", -1.0)


def test_no_format_but_a_run_has_ranks(tmp_path: Path):
    path = write(tmp_path, "a.jsonl", json.dumps(BY_NAME[0]) + "\n")
    with pytest.raises(
        ExperimentError, match=r"teacher_file\.value=rank needs a run .* is read as jsonl: set .*=score"
    ):
        read(path, "auto", "rank", KEY)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", TABS + "q3\tp1\n", r"a\.tsv, line 4: query, passage, score are expected, not 'q3\\tp1'"),
        ("a.tsv", TABS + "q3\tp1\thigh\n", r"a\.tsv, line 4: the score 'high' is not a number"),
        ("a.tsv", TABS + "q3\tp1\tnan\n", r"a\.tsv, line 4: the score 'nan' is not a finite number of 32 bits"),
        ("a.tsv", "q3\tp1\t0.5\nq3\tp2\t1e60\n", r"a\.tsv, line 2: the score '1e60' is not a finite number of 32 bits"),
        ("a.tsv", TABS + "q3\t\t0.5\n", r"a\.tsv, line 4: query, passage, score are expected"),
        ("a.tsv", "3\t-1\tq1\tp1\tp2\n3\tinf\tq1\tp1\tp3\n", r"a\.tsv, line 2: the score 'inf' is not a finite number"),
        ("a.tsv", "3\t-1\tq1\tp1\tp2\n3\t0\tq1\tp1\n", r"line 2: score of the positive, score of the negative, query"),
        (
            "a.jsonl",
            '{"query": "q1", "passage": "p1"}\n',
            r"a\.jsonl, line 1: keys query, passage and score .*, not query",
        ),
        (
            "a.txt",
            "qid rank pid score\nq1 1\f2 p1 3\n",
            r"a\.txt, line 2: query, unused 1, passage, score are expected",
        ),
        ("a.jsonl", '{"qid": null, "pid": 1, "score": 1}\n', r"line 1: qid is None, no id"),
        ("a.jsonl", '{"qid": 1, "pid": 2, "score": NaN}\n', r"line 1: not JSON .NaN is no number of JSON"),
        ("a.jsonl", '{"qid": 1, "pid": 2, "score": 1}\n{"qid"\n', r"a\.jsonl, line 2: not JSON"),
        (
            "a.jsonl",
            '{"qid": 1, "pos": [3], "neg": {"bm25": [4]}}\n',
            r"line 1: a passage of pos is 3, without pid and ce-",
        ),
        (
            "a.jsonl",
            '{"qid": 1, "pos": [], "neg": [4]}\n',
            r"line 1: neg must map each system to its passages, not be list",
        ),
        ("a.jsonl", '{"qid": 1, "pos": [], "neg": {}}\n', "the file of scores is empty"),
        ("a.tsv", "\n", r"a\.tsv: the file of scores is empty"),
        ("a.tsv", "query_id\tpassage_id\tscore\n", r"a\.tsv: the file of scores is empty"),
        ("a.tsv", "a line of text\n", r"a\.tsv, line 1: .* is expected, or .*set loss\.teacher_file\.format to"),
        ("a.run", RUN + RUN[:20] + "\n", r"a\.run, line 4: passage 'p1' is listed twice for the query 'q1'"),
        ("a.tsv.gz", None, r"a\.tsv\.gz, after line 0: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_line(tmp_path: Path, name: str, text: str | None, message: str):
    path = tmp_path / name
    path.write_bytes(b"no gzip") if text is None else write(tmp_path, name, text)
    with pytest.raises(ExperimentError, match=message):
        read(path, "auto", "score", KEY)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"query": ["q"], "score": [1.0]}, r"columns query, passage and score .* are expected, not query, score"),
        ({"query": ["q"], "passage": ["p"], "score": ["high"]}, r"the column score has string, not numbers"),
        ({"query": [["q"]], "passage": ["p"], "score": [1.0]}, r"the column query has list<.*>, not ids"),
        ({"query": ["q", None], "passage": ["p", "p"], "score": [1.0, 1.0]}, r"a\.parquet, row 2: query is missing"),
        ({"query": ["q", "r"], "passage": ["p", "p"], "score": [1.0, float("inf")]}, r"row 2: the score inf is not a"),
    ],
)
def test_what_is_wrong_in_parquet_is_said_with_its_row(tmp_path: Path, columns: dict[str, Any], message: str):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ExperimentError, match=message):
        read(tmp_path / "a.parquet", "auto", "score", KEY)


def test_a_broken_parquet_file_is_named(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ExperimentError, match=r"a\.parquet: cannot be read as parquet"):
        read(tmp_path / "a.parquet", "auto", "score", KEY)


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (TABS, "scores"),
        (RUN, "trec"),
        ("q1\tp1\t1\n", "msmarco"),
        ("3\t-1\tq1\tp1\tp2\n", "hofstaetter"),
        (json.dumps(BY_NAME[0]), "jsonl"),
        ('{"qid": 1, "pos": [], "neg": {}}', "hard_negatives"),
    ],
)
def test_the_format_is_told_from_the_first_line(tmp_path: Path, text: str, format: str):
    assert detect(write(tmp_path, "a", text), KEY) == format


def test_a_format_that_is_named_is_not_guessed(tmp_path: Path):
    assert pairs_of(write(tmp_path, "a.tsv", "q1\tp1\t1\nq1\tp2\t5\n"), format="scores") == [
        ("q1", "p1", 1.0),
        ("q1", "p2", 5.0),
    ]
