"""Damaged files of collections, runs, scores and negatives: each kind that fuzzing found, by a literal line."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from experiments.common.errors import ExperimentError
from experiments.data import run_formats, teacher_formats
from experiments.data.negatives_formats import read_negatives
from experiments.data.readers import lines


def _run(path: Path, layout: str) -> Any:
    return run_formats.read(path, layout)


def _teacher(path: Path, layout: str) -> Any:
    return teacher_formats.read(path, layout, "score", "loss.teacher_file")


def _negatives(path: Path, layout: str) -> Any:
    return read_negatives(path, {"q1": 0}, 10, layout)


RUN, TEACHER, NEGATIVES = _run, _teacher, _negatives


@pytest.mark.parametrize(
    ("read", "layout", "content", "message"),
    [
        (
            RUN,
            "msmarco",
            b"q1\tp1\t16777217\n",
            "line 1: the rank 16777217 is above 16,777,216; if a score, set format=scores",
        ),
        (RUN, "msmarco", b"q1\tp1\t" + b"7" * 5000, "line 1: the rank '7777"),
        (RUN, "msmarco", b"q1\tp\x001\t1\n", "line 1: a NUL byte, which no text file holds: the file is damaged"),
        (RUN, "scores", b"q\x1a1 p1 1.5\n", "line 1: the id 'q\\\\x1a1' has a control character: the file is damaged"),
        (RUN, "scores", b"q1 p1 \x1e1.5\n", "line 1: the score '\\\\x1e1.5' is not a number"),
        (RUN, "trec", b"q1 Q0 p1 1 2.5 t\nq1 Q0 p2 2 1.5 ", "line 2: 'query Q0 passage rank score name' is expected"),
        (RUN, "scores", b"q1 p1 1_000\n", "line 1: the score '1_000' is not a number"),
        (RUN, "scores", "q1 p1 \uff11\uff12\n".encode(), "line 1: the score '\uff11\uff12' is not a number"),
        (
            RUN,
            "trec",
            b"q1 Q0 p1 1 2.5 " + b"[" * 1_000_000 + b"\nq1 p2\n",
            "line 2: 'query Q0 passage rank score name' is",
        ),
        (TEACHER, "jsonl", b"[" * 100_000, "line 1: not JSON (its values are nested"),
        (
            TEACHER,
            "jsonl",
            b'{"query_id": "q", "passage_id": "p", "score": 1' + b"0" * 400 + b"}",
            "is not a finite number",
        ),
        (TEACHER, "jsonl", b'{"query_id": "q", "passage_id": "p", "score": NaN}', "NaN is no number of JSON"),
        (TEACHER, "jsonl", rb'{"query_id": "q\ud800", "passage_id": "p", "score": 1}', "has half of a character in it"),
        (TEACHER, "colbert", rb'["q", ["doc\ud800", 1.5]]', "line 1: 'doc\\\\ud800' has half of a character in it"),
        (TEACHER, "hofstaetter", b"1.5\t1\tq\x01\tp1\tp2\n", "line 1: the id 'q\\\\x01' has a control character"),
        (
            NEGATIVES,
            "triples",
            b"q1 p1 p2\nq1\tp1\t\n",
            "line 2: three ids \\(query, positive, negative\\) are expected",
        ),
        (
            NEGATIVES,
            "triples",
            b"q1\tp1\tp2\nq1\tp1\t\n",
            "line 2: three ids \\(query, positive, negative\\) are expected",
        ),
        (NEGATIVES, "triples", b"q1\tp1\tp\x022\n", "line 1: the id 'p\\\\x022' has a control character"),
        (NEGATIVES, "sentence_transformers", b"", "the file of negatives is empty"),
        (
            NEGATIVES,
            "sentence_transformers",
            b'{"qid": "", "pos": [], "neg": {"a": ["p"]}}',
            "line 1: '' is no id of a query",
        ),
        (
            NEGATIVES,
            "sentence_transformers",
            b'{"qid": "q1", "neg": {"a": [""]}}',
            "line 1: a negative has an empty id",
        ),
    ],
)
def test_a_damage_is_refused_in_one_line(
    tmp_path: Path, read: Callable[[Path, str], Any], layout: str, content: bytes, message: str
):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ExperimentError, match=message.replace("(its", "\\(its")) as found:
        read(tmp_path / "x", layout)
    assert len(str(found.value)) <= 500


@pytest.mark.parametrize("read", [partial(_run, layout="msmarco"), partial(_run, layout="auto")])
def test_blanks_of_any_script_around_an_id_are_no_part_of_it(tmp_path: Path, read: Callable[[Path], Any]):
    (tmp_path / "x").write_bytes("7\tp1\t1\n7\u2028\tp2\t2\n".encode())
    run = read(tmp_path / "x")
    assert run.query_ids.to_pylist() == ["7"]
    assert run.passage_ids.take(run.passages).to_pylist() == ["p1", "p2"]


def test_a_byte_order_mark_is_no_part_of_the_first_id(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfq1 Q0 p1 1 2.5 tag\n")
    assert run_formats.read(tmp_path / "x", "trec").query_ids.to_pylist() == ["q1"]


def test_a_message_shows_the_beginning_of_a_huge_line(tmp_path: Path):
    (tmp_path / "qrels.tsv").write_text("q1\tp1\t1" + "x" * 3_000_000)
    with pytest.raises(ExperimentError, match=r"line 1: the grade '1xxx.* \.\.\. is not a whole number$") as found:
        list(lines.qrels(tmp_path / "qrels.tsv"))
    assert len(str(found.value)) < 400
