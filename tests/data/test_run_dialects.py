"""Run files as they are found: scores or ranks, comments, names and ids with blanks, a byte order mark."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource, literal_collection

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.data.ids import escaped, unescaped
from experiments.data.run import Run, read_trec, run_in_order, write_trec
from experiments.retrieval.run_file import RunFile


def read(tmp_path: Path, content: str, collection: Collection | None = None, **settings: str) -> dict[int, list[int]]:
    """The rankings of queries 0 and 2 of a file."""
    path = tmp_path / "some.run"
    path.write_text(content, encoding="utf-8")
    run = RunFile(str(path), **settings).retrieve(
        collection or literal_collection(tmp_path), np.array([0, 2]), 10, Cache(tmp_path)
    )
    return {int(query): run.ranking(int(query)).tolist() for query in run.queries}


SCORES = "q0\tp1\t7\nq0\tp3\t12\nq2\tp5\t3\n"
FALLING = "q0\tp3\t2\nq0\tp1\t1\nq2\tp5\t1\n"
GAPS = "q0\tp3\t1\nq0\tp1\t3\nq2\tp5\t1\n"


@pytest.mark.parametrize("content", [SCORES, FALLING, GAPS], ids=["scores", "falling", "gaps"])
def test_whole_numbers_that_do_not_look_like_ranks_are_not_guessed_at(tmp_path: Path, content: str):
    with pytest.raises(ExperimentError, match=r"set retrievers\.run_file\.format=scores if .*run_file\.format=msmarco"):
        read(tmp_path, content)


def test_the_remedy_for_whole_numbers_works_as_typed(tmp_path: Path):
    assert read(tmp_path, SCORES, format="scores") == {0: [3, 1], 2: [5]}
    assert read(tmp_path, SCORES, format="msmarco") == {0: [1, 3], 2: [5]}
    assert read(tmp_path, FALLING, format="scores") == {0: [3, 1], 2: [5]}


@pytest.mark.parametrize(
    "content",
    [
        "q0\tp3\t1\nq0\tp1\t2\nq2\tp5\t1\n",
        "q0\tp3\t0\nq0\tp1\t1\nq2\tp5\t0\n",
        "q0\tp3\t1\nq2\tp5\t1\nq0\tp1\t2\n",
        "q0\tp3\t4\t9.5\nq0\tp1\t9\t7\nq2\tp5\t2\t1\n",  # the scores fall with the ranks, whatever their gaps
        "q0\tp3\t9.5\nq0\tp1\t7.25\nq2\tp5\t3\n",  # fractions are no ranks
        "q0 p1 -7\nq0 p3 -2.5\nq2 p5 1\n",
    ],
    ids=["from 1", "from 0", "mixed queries", "scores beside", "fractions", "negative"],
)
def test_what_can_be_told_is_told(tmp_path: Path, content: str):
    assert read(tmp_path, content) == {0: [3, 1], 2: [5]}


def test_a_later_line_that_is_no_rank_says_what_to_type(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"line 2: the rank '1\.5' .* set retrievers\.run_file\.format=scores"):
        read(tmp_path, "q0\tp3\t2\nq0\tp1\t1.5\n")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffq0 Q0 p3 1 9.5 x\nq0 Q0 p1 2 7 x\nq2 Q0 p5 1 1 x\n",
        "\ufeffq0\tp3\t1\nq0\tp1\t2\nq2\tp5\t1\n",
        "# made by a tool\nq0 Q0 p3 1 9.5 x\n#and by hand\nq0 Q0 p1 2 7 x\nq2 Q0 p5 1 1 x\n",
        "q0 Q0 p3 1 9.5 my own run\nq0 Q0 p1 2 7 my own run\r\nq2 Q0 p5 1 1 my own run\n",
        "q0\tQ0\tp3\t1\t9.5\tmy run\nq0\tQ0\tp1\t2\t7\tmy run\nq2\tQ0\tp5\t1\t1\tmy run\n",
        "# Q0 p9 1 99 x\nq0 Q0 p3 1 9.5 x\nq0 Q0 p1 2 7 x\nq2 Q0 p5 1 1 x\n",
        "q0 Q0 p3 1 9.5 a\fb\nq0 Q0 p1 2 7 a\fb\nq2 Q0 p5 1 1 a\fb\n",
        "q0\tp3\t 1 \nq0\tp1\t02\nq2\tp5\t1\n",
    ],
    ids=[
        "mark",
        "mark and tabs",
        "comments",
        "name with blanks",
        "the same with tabs",
        "a line taken out",
        "name with a form feed",
        "ranks with blanks and zeros",
    ],
)
def test_dialects(tmp_path: Path, content: str):
    assert read(tmp_path, content) == {0: [3, 1], 2: [5]}


def test_an_id_may_begin_with_a_number_sign(tmp_path: Path):
    source = LiteralSource(
        [("#p0", "zero"), ("p1", "one")], [("#q0", "a"), ("q1", "b"), ("q2", "c")], {"test": [("#q0", "#p0", 1)]}
    )
    collection = open_collection(source, Cache(tmp_path))
    content = "#q0 Q0 #p0 1 2 x\n#q0 Q0 p1 2 1 x\nq2 Q0 p1 1 1 x\n"
    assert read(tmp_path, content, collection) == {0: [0, 1], 2: [1]}


def test_an_id_with_blanks_that_is_taken_for_two_fields_is_refused(tmp_path: Path):
    with pytest.raises(ExperimentError, match="line 2: 'query Q0 passage rank score name' is expected"):
        read(tmp_path, "q0 Q0 p3 1 9.5 x\nq 0 Q0 p1 2 7 x\n")


@pytest.mark.parametrize("line", ["q0 Q\f0 p1 2 7 x", "q0 Q\v0 p1 2 7 x", "q0 Q0 p1 1\f2 7 x"])
def test_another_separator_within_a_field_that_is_not_used_is_not_read_over(tmp_path: Path, line: str):
    with pytest.raises(ExperimentError, match="line 2: 'query Q0 passage rank score name' is expected"):
        read(tmp_path, f"q0 Q0 p3 1 9.5 x\n{line}\nq2 Q0 p5 1 1 x\n")


def test_a_rank_is_a_decimal_number(tmp_path: Path):
    with pytest.raises(ExperimentError, match="line 2: the rank '0x2' is not a whole number"):
        read(tmp_path, "q0\tp3\t1\nq0\tp1\t0x2\nq2\tp5\t1\n")


IDS = ["doc 1", "1", "a b%20c", "a%20b", "caf\u00e9\u00a0noir", "p%"]


@pytest.fixture
def blanks(tmp_path: Path) -> Collection:
    """Passages and queries of the same awkward ids."""
    source = LiteralSource(
        [(name, f"text {i}") for i, name in enumerate(IDS)],
        [(name, f"query {i}") for i, name in enumerate(IDS)],
        {"test": [("doc 1", "doc 1", 1)]},
    )
    return open_collection(source, Cache(tmp_path))


def test_only_ids_with_blanks_are_written_in_another_way():
    assert [escaped(name) for name in IDS] == [
        "doc%201", "1", "a%20b%2520c", "a%20b", "caf\u00e9%C2%A0noir", "p%",
    ]  # fmt: skip
    assert [unescaped(escaped(name)) for name in IDS if " " in name] == ["doc 1", "a b%20c"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_ids_with_blanks_are_written_as_trec_and_read_back(tmp_path: Path, blanks: Collection, suffix: str):
    path = tmp_path / f"run.trec{suffix}"
    queries, passages = np.repeat(np.arange(6), 6), np.tile(np.arange(6), 6)
    scores = np.tile(6 - np.arange(6, dtype=np.float32), 6)
    run = run_in_order("my run", queries, passages, scores)
    write_trec(run, blanks, path)
    text = (gzip.decompress(path.read_bytes()) if suffix else path.read_bytes()).decode()
    assert text.splitlines()[0] == "doc%201 Q0 doc%201 1 6 my%20run"
    assert {len(line.split()) for line in text.splitlines()} == {6}
    again: list[Run] = [
        read_trec(path, blanks, "again"),
        RunFile(str(path)).retrieve(blanks, np.arange(6), 10, Cache(tmp_path)),
    ]
    for one in again:
        assert [one.ranking(query).tolist() for query in range(6)] == [list(range(6))] * 6


def test_a_run_with_tabs_holds_ids_with_blanks(tmp_path: Path, blanks: Collection):
    path = tmp_path / "some.run"
    path.write_text("doc 1\tQ0\tdoc 1\t1\t9\tx\ndoc 1\tQ0\t1\t2\t8\tx\n")
    assert RunFile(str(path)).retrieve(blanks, np.array([0]), 10, Cache(tmp_path)).ranking(0).tolist() == [0, 1]
    path.write_text("doc 1\ta%20b\t1\ndoc 1\ta b%20c\t2\n")
    assert RunFile(str(path)).retrieve(blanks, np.array([0]), 10, Cache(tmp_path)).ranking(0).tolist() == [3, 2]
