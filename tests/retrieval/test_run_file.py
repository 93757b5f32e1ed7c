"""Run files as a retriever: formats, ties, coverage, every message."""

import gzip
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from helpers.jobs import composed
from helpers.tiny import literal_collection
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.data.ragged import Ragged
from experiments.data.run import Run, write_trec
from experiments.evaluation.measures import evaluate
from experiments.retrieval.retriever import Retriever, run_for
from experiments.retrieval.run_file import RunFile

TREC = "q0 Q0 p3 1 9.5 x\nq0 Q0 p1 2 7 x\nq2 Q0 p5 1 1e-1 x\n"
RANKINGS = {0: [3, 1], 2: [5]}


def retrieved(tmp_path: Path, content: str | bytes, queries: list[int], depth: int = 10, **settings: str) -> Run:
    path = tmp_path / "some.run"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return run_for(
        RunFile(str(path), **settings), literal_collection(tmp_path), np.array(queries), depth, Cache(tmp_path)
    )


def rankings(run: Run) -> Mapping[int, list[int]]:
    return {int(query): run.ranking(int(query)).tolist() for query in run.queries}


@pytest.mark.parametrize(
    "content",
    [
        TREC,
        TREC.replace(" ", "\t"),
        TREC.replace(" ", "  "),
        TREC.replace("\n", "\r\n"),
        "\n" + TREC.replace("\n", "\n\n"),
        "q2 Q0 p5 1 0.1 x\nq0 Q0 p1 1 7 x\nq0 Q0 p3 2 9.5 x\n",  # in any order: the score decides
    ],
    ids=["spaces", "tabs", "two spaces", "crlf", "blank lines", "unsorted"],
)
def test_a_trec_file_is_ranked_by_score(tmp_path: Path, content: str):
    run = retrieved(tmp_path, content, [0, 2])
    assert rankings(run) == RANKINGS
    assert run.scores.values.tolist() == pytest.approx([9.5, 7.0, 0.1])
    assert run.scores.values.dtype == np.float32


def test_ms_marcos_format_is_ranked_by_rank_and_scored_by_minus_the_rank(tmp_path: Path):
    run = retrieved(tmp_path, "q2\tp5\t1\nq0\tp1\t2\nq0\tp3\t1\n", [0, 2], format="msmarco")
    assert rankings(run) == RANKINGS
    assert run.scores.values.tolist() == [-1.0, -2.0, -1.0]


def test_ms_marcos_format_keeps_scores_that_fall_with_the_rank(tmp_path: Path):
    run = retrieved(tmp_path, "q0\tp1\t2\t7.5\nq0\tp3\t1\t9.5\n", [0])
    assert (rankings(run), run.scores.values.tolist()) == ({0: [3, 1]}, [9.5, 7.5])


def test_ms_marcos_format_is_ranked_by_rank_even_if_the_last_column_is_a_distance(tmp_path: Path):
    run = retrieved(tmp_path, "q0\tp3\t1\t0.25\nq0\tp1\t2\t0.5\n", [0])
    assert (rankings(run), run.scores.values.tolist()) == ({0: [3, 1]}, [-1.0, -2.0])


def test_a_gzipped_file(tmp_path: Path):
    path = tmp_path / "some.run.gz"
    path.write_bytes(gzip.compress(TREC.encode()))
    run = run_for(RunFile(str(path)), literal_collection(tmp_path), np.array([0, 2]), 10, Cache(tmp_path))
    assert rankings(run) == RANKINGS


def test_equal_scores_are_ordered_by_passage_id_descending_whatever_the_ranks_say(tmp_path: Path):
    # as bytes: p9 > p2 > p11 > p10
    content = "q0 Q0 p10 1 5 x\nq0 Q0 p9 2 5 x\nq0 Q0 p11 3 5 x\nq0 Q0 p2 4 5 x\nq0 Q0 p0 5 6 x\n"
    assert rankings(retrieved(tmp_path, content, [0])) == {0: [0, 9, 2, 11, 10]}


def test_scores_that_differ_only_beyond_float32_are_equal_as_in_trec_eval(tmp_path: Path):
    run = retrieved(tmp_path, "q0 Q0 p1 1 16777217 x\nq0 Q0 p2 2 16777216 x\n", [0])
    assert (rankings(run), run.scores.values.tolist()) == ({0: [2, 1]}, [16777216.0, 16777216.0])


def test_a_tied_run_scores_what_trec_eval_gives_its_file(tmp_path: Path):
    content = "q0 Q0 p0 1 5 x\nq0 Q0 p1 2 5 x\nq0 Q0 p2 3 5 x\nq0 Q0 p3 4 4 x\n"
    run = retrieved(tmp_path, content, [0])
    lines = list(ir_measures.read_trec_run(str(tmp_path / "some.run")))
    judged = {"q0": {"p0": 1, "p3": 2}}
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], judged, lines)[ir_measures.nDCG @ 10]
    assert evaluate(run, {0: {0: 1, 3: 2}}, ["nDCG@10"]).mean["nDCG@10"] == pytest.approx(expected)


def test_a_ranking_is_cut_to_the_depth(tmp_path: Path):
    assert rankings(retrieved(tmp_path, TREC, [0, 2], depth=1)) == {0: [3], 2: [5]}


def test_queries_that_are_not_asked_for_may_be_unknown_with_their_passages(tmp_path: Path):
    content = TREC + "elsewhere Q0 nowhere 1 3 x\n"
    assert rankings(retrieved(tmp_path, content, [2])) == {2: [5]}


def test_several_files_are_one_run(tmp_path: Path):
    (tmp_path / "train.run").write_text("q2 Q0 p5 1 3 x\n")
    (tmp_path / "test.tsv").write_text("q0\tp3\t1\nq0\tp1\t2\n")
    source = RunFile([str(tmp_path / "train.run"), str(tmp_path / "test.tsv")], name="splade")
    run = source.retrieve(literal_collection(tmp_path), np.array([0, 2]), 10, Cache(tmp_path))
    assert (rankings(run), run.name) == (RANKINGS, "splade")


def test_a_file_is_parsed_once_and_again_when_its_content_changes(tmp_path: Path):
    store, collection = Cache(tmp_path), literal_collection(tmp_path)
    path = tmp_path / "some.run"
    path.write_text(TREC)
    for query in (0, 2):
        run_for(RunFile(str(path)), collection, np.array([query]), 10, store)
    assert store.builds["run_file"] == 1
    path.write_text(TREC.replace("p3", "p4"))
    assert rankings(run_for(RunFile(str(path)), collection, np.array([0]), 10, store)) == {0: [4, 1]}
    assert store.builds["run_file"] == 2


def test_the_fingerprint_is_of_the_content_not_of_the_name(tmp_path: Path):
    for name, content in (("a", TREC), ("b", TREC), ("c", TREC.replace("p3", "p4"))):
        (tmp_path / name).write_text(content)
    a, b, c = (RunFile(str(tmp_path / name)).fingerprint() for name in "abc")
    assert a == b != c
    assert json.loads(json.dumps(a)) == a


def test_it_is_a_retriever(tmp_path: Path):
    (tmp_path / "a.run").write_text(TREC)
    assert isinstance(RunFile(str(tmp_path / "a.run")), Retriever)


def test_queries_without_a_line_are_an_error_that_says_how_to_accept_them(tmp_path: Path):
    with pytest.raises(ExperimentError) as found:
        retrieved(tmp_path, TREC, [0, 1, 2, 3])
    assert str(found.value) == (
        f"{tmp_path / 'some.run'}: 2 of the 4 queries asked for have no line, such as 'q1'; "
        f"retrievers.run_file.missing=empty accepts them with an empty ranking"
    )


def test_queries_without_a_line_have_an_empty_ranking_if_so_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run = retrieved(tmp_path, TREC, [0, 1, 2, 3], missing="empty")
    assert rankings(run) == RANKINGS
    assert run.ranking(1).tolist() == []
    assert "2 of the 4 queries asked for have no line, such as 'q1': their rankings are empty" in caplog.text


@pytest.mark.parametrize("missing", ["error", "empty"])
def test_a_file_with_none_of_the_queries_is_an_error_in_any_case(tmp_path: Path, missing: str):
    with pytest.raises(ExperimentError, match="none of the 2 queries asked for is in the run, such as 'q1'"):
        retrieved(tmp_path, TREC, [1, 3], missing=missing)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "q0 p1 1 2.0\n",
            r"some\.run, line 1: 'query Q0 passage rank score name' is expected, or query, passage, rank",
        ),
        ("q0\tp1\thow\twhy\n", r"line 1: .* set retrievers\.run_file\.format to trec, msmarco or scores"),
        (TREC + "q3 Q0 p1 1 2.0\n", r"line 4: 'query Q0 passage rank score name' is expected, not 'q3 Q0 p1 1 2\.0'"),
        (TREC + "q3 Q0  17 1 2.0\n", "line 4: 'query Q0 passage rank score name' is expected"),
        ("\n" + TREC + "q3 Q0 p1 1 high x\n", "line 5: the score 'high' is not a number"),
        (TREC + "q3 Q0 p1 1 nan x\n", "line 4: the score 'nan' is not a finite number"),
        (TREC + "q3 Q0 p1 1 1e39 x\n", "line 4: the score '1e39' is not a finite number of 32 bits"),
        (TREC + "q0 Q0 p3 3 1 x\n", "line 4: passage 'p3' is listed twice for the query 'q0'"),
        ("q0\tp1\t1\nq0\tp2\tsecond\n", "line 2: the rank 'second' is not a whole number"),
        ("q0\tp1\t1\nq0\tp2\t-1\n", "line 2: the rank '-1' is not a whole number"),
        ("q0\tp1\t1\nq0\tp2\n", r"line 2: query, passage, rank\[, score\], separated by tabs are expected"),
        ("q0\tp1\t1\nq0\t\t2\n", r"line 2: query, passage, rank\[, score\], separated by tabs are expected"),
        ("q0\tp1\t1\nq0\tp1\t2\n", "line 2: passage 'p1' is listed twice for the query 'q0'"),
        (" \n\n", "the run is empty"),
        (b"q0 Q0 p1 1 2 x\nq\xff Q0 p1 1 2 x\n", "cannot be read"),
        ("q0 Q0 p99 1 2 x\n", r"some\.run names 1 passage id\(s\) that the collection does not have, such as 'p99'"),
    ],
)
def test_a_bad_file_is_named_by_line(tmp_path: Path, content: str | bytes, message: str):
    with pytest.raises(ExperimentError, match=message):
        retrieved(tmp_path, content, [0])


def test_a_file_that_is_not_of_the_format_that_was_said(tmp_path: Path):
    with pytest.raises(ExperimentError, match="line 1: query, passage, rank"):
        retrieved(tmp_path, TREC, [0], format="msmarco")


def test_a_gzip_file_that_was_cut_off(tmp_path: Path):
    path = tmp_path / "some.run.gz"
    path.write_bytes(gzip.compress(TREC.encode())[:-12])
    with pytest.raises(ExperimentError, match=r"some\.run\.gz, after line .* cannot be read"):
        run_for(RunFile(str(path)), literal_collection(tmp_path), np.array([0]), 10, Cache(tmp_path))


def test_a_query_in_two_files(tmp_path: Path):
    for name in ("a.run", "b.run"):
        (tmp_path / name).write_text("q0 Q0 p1 1 2 x\n")
    source = RunFile([str(tmp_path / "a.run"), str(tmp_path / "b.run")])
    with pytest.raises(
        ExperimentError, match=r"1 query id\(s\) are in more than one file, such as 'q0' in .*a\.run and"
    ):
        source.retrieve(literal_collection(tmp_path), np.array([0]), 10, Cache(tmp_path))


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("none.run", {}, r"retrievers\.run_file\.path: there is no file none\.run"),
        (".", {"name": "splade"}, r"retrievers\.splade\.path: \. is a folder"),
        ("/dev/null", {}, "the file /dev/null is empty"),
        ([], {}, r"retrievers\.run_file\.path is empty"),
        ("x", {"format": "letor"}, r"retrievers\.run_file\.format is 'letor': it must be one of auto, trec, msmarco"),
        ("x", {"missing": "drop"}, r"retrievers\.run_file\.missing is 'drop': it must be one of error, empty"),
        ("ir_datasets:no/such", {}, "ir_datasets has no data set 'no/such'"),
        ("ir_datasets:beir/scifact/test", {}, "'beir/scifact/test' has no scoreddocs"),
    ],
)
def test_what_is_wrong_before_anything_is_read_is_said_by_the_constructor(path: str, settings: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        RunFile(path, **settings)


@st.composite
def ranked(draw: st.DrawFn) -> Run:
    queries = sorted(draw(st.sets(st.integers(0, 3), min_size=1)))
    passages = [draw(st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True)) for _ in queries]
    score = st.floats(-1e6, 1e6, width=32)
    scores = [sorted(draw(st.lists(score, min_size=len(p), max_size=len(p))), reverse=True) for p in passages]
    return Run("any", np.array(queries), Ragged.of(passages, np.int64), Ragged.of(scores, np.float32))


@given(run=ranked(), suffix=st.sampled_from(["", ".gz"]))
def test_a_run_that_was_written_is_retrieved_again(tmp_path_factory: pytest.TempPathFactory, run: Run, suffix: str):
    folder = tmp_path_factory.mktemp("run")
    collection = literal_collection(folder)
    write_trec(run, collection, folder / f"run.trec{suffix}")
    again = RunFile(str(folder / f"run.trec{suffix}")).retrieve(collection, run.queries, 12, Cache(folder))
    assert rankings(again) == rankings(run)


def test_a_second_file_under_its_own_name():
    experiment = compose.check(
        composed(
            "retriever=[bm25,run_file]",
            "retrievers.run_file.path=[train.run,test.run]",
            "+retriever@retrievers.splade=run_file",
            "retrievers.splade.path=splade.run.gz",
            "negatives.source=splade",
        )
    )
    assert experiment.retrievers["splade"]["path"] == "splade.run.gz"
    assert list(experiment.retrievers["run_file"]["path"]) == ["train.run", "test.run"]
