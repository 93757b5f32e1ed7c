"""What was ranked first, with its text: written from runs, read back, cut, and refused when malformed."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import write_beir_folder

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged
from experiments.data.readers.beir import BeirFolder
from experiments.data.run import Run
from experiments.job_files.answers import CHARACTERS, answers_path, read_answers, write_answers


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = write_beir_folder(tmp_path_factory.mktemp("data") / "shapes")
    return open_collection(BeirFolder(str(folder)), Cache(tmp_path_factory.mktemp("cache")))


def run_of(rankings: dict[int, list[int]]) -> Run:
    passages = Ragged.of(list(rankings.values()), np.int64)
    scores = Ragged.of([[float(-i) for i in range(len(one))] for one in rankings.values()], np.float32)
    return Run("run", np.array(list(rankings), np.int64), passages, scores)


def test_an_answer_has_the_first_passages_and_the_relevant_one_with_its_ranks(collection: Collection, tmp_path: Path):
    path = answers_path(tmp_path, "bm25")
    write_answers(
        run_of({0: [5, 4, 3, 2], 1: [1]}), run_of({0: [2, 3, 4, 5], 1: [1]}), {0: {2: 1}, 1: {0: 1}}, collection, path
    )
    first, second = read_answers(path)
    assert first.query == collection.queries.ids([0])[0]
    assert first.text == collection.queries.texts([0])[0]
    assert [one.id for one in first.top] == collection.passages.ids([5, 4, 3])
    assert [(one.rank, one.before, one.grade) for one in first.top] == [(1, 4, 0), (2, 3, 0), (3, 2, 0)]
    assert first.relevant is not None
    assert (first.relevant.rank, first.relevant.before, first.relevant.grade) == (4, 1, 1)
    assert second.relevant is not None
    assert (second.relevant.id, second.relevant.rank) == (collection.passages.ids([0])[0], None)


def test_of_several_relevant_passages_the_one_ranked_highest_is_shown(collection: Collection, tmp_path: Path):
    path = answers_path(tmp_path, "bm25")
    write_answers(run_of({0: [5, 4, 3]}), run_of({0: [5, 4, 3]}), {0: {3: 1, 4: 2, 5: 0}}, collection, path)
    (answer,) = read_answers(path)
    assert answer.relevant is not None
    assert (answer.relevant.rank, answer.relevant.grade) == (2, 2)


def test_a_query_that_the_run_lacks_has_no_first_passage(collection: Collection, tmp_path: Path):
    path = answers_path(tmp_path, "bm25")
    write_answers(run_of({1: [4]}), run_of({1: [4]}), {0: {3: 1}}, collection, path)
    (answer,) = read_answers(path)
    assert answer.top == ()
    assert answer.relevant is not None
    assert answer.relevant.before is None


def test_long_passages_are_cut(collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(type(collection.passages), "texts", lambda self, rows: ["a" * 1000 for _ in rows])
    path = answers_path(tmp_path, "bm25")
    write_answers(run_of({0: [1]}), run_of({0: [1]}), {0: {1: 1}}, collection, path)
    (answer,) = read_answers(path)
    assert answer.top[0].text == "a" * (CHARACTERS - 1) + "…"


def test_a_malformed_line_is_named(tmp_path: Path):
    path = answers_path(tmp_path, "bm25")
    path.write_bytes(gzip.compress(b'{"query": "q1"}\n'))
    with pytest.raises(ExperimentError, match=r"answers\.bm25\.jsonl\.gz, line 1: not an answer"):
        list(read_answers(path))


def test_a_file_that_was_cut_off_is_named(collection: Collection, tmp_path: Path):
    path = answers_path(tmp_path, "bm25")
    write_answers(run_of({0: [1]}), run_of({0: [1]}), {0: {1: 1}}, collection, path)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ExperimentError, match=r"answers\.bm25\.jsonl\.gz is damaged after line 0"):
        list(read_answers(path))
