"""Published negatives are read by format, in the order of the file, without repeats and only for the queries asked."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.data import negatives_formats
from experiments.data.negatives_formats import format_of, line_of, read_negatives

ASKED = {"7": 0, "9": 1}
OF_SENTENCE_TRANSFORMERS = [
    {"qid": 9, "pos": [1], "neg": {"bm25": [10, 11, 12], "tas-b": [11, 20]}},
    {"qid": 8, "pos": [2], "neg": {"bm25": [99]}},
    {"qid": 7, "pos": [3], "neg": {"tas-b": [30]}},
]
OF_TEVATRON = [
    {"query_id": "7", "query": "what", "positive_passages": [], "negative_passages": [{"docid": "5", "text": "t"}]},
    {"query_id": "9", "query": "who", "negative_passages": [{"docid": "6", "title": "", "text": "u"}, {"docid": "5"}]},
]


def read(path: Path, **settings: object) -> dict[int, list[str]]:
    listed = read_negatives(path, ASKED, settings.pop("depth", 100), **settings)  # type: ignore[arg-type]
    found: dict[int, list[str]] = {}
    for query, passage in zip(listed.queries_L.tolist(), listed.passages_L.to_pylist(), strict=True):
        found.setdefault(query, []).append(passage)
    return found


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_systems_of_sentence_transformers_take_turns_by_rank(tmp_path: Path):
    path = jsonl(tmp_path / "hard.jsonl", OF_SENTENCE_TRANSFORMERS)
    assert format_of(path, "format") == "sentence_transformers"
    # the first of each system, 10 and 11; then the second of each, of which 11 has been
    assert read(path) == {0: ["30"], 1: ["10", "11", "20", "12"]}


def test_chosen_systems_alone_are_read(tmp_path: Path):
    path = jsonl(tmp_path / "hard.jsonl", OF_SENTENCE_TRANSFORMERS)
    assert read(path, systems=["tas-b"]) == {0: ["30"], 1: ["11", "20"]}
    with pytest.raises(ExperimentError, match=r"hard.jsonl: no line has negatives of 'splade'; it has bm25, tas-b"):
        read(path, systems=["splade"])


def test_negatives_with_scores_are_read_by_their_ids(tmp_path: Path):
    scored = [{"qid": 7, "pos": [{"pid": 3, "ce-score": 9.5}], "neg": {"bm25": [{"pid": 4, "ce-score": 1.5}]}}]
    assert read(jsonl(tmp_path / "hard.jsonl", scored)) == {0: ["4"]}


def test_tevatrons_lines_have_passages_or_ids_alone(tmp_path: Path):
    path = jsonl(tmp_path / "train.jsonl", OF_TEVATRON)
    assert format_of(path, "format") == "tevatron"
    assert read(path) == {0: ["5"], 1: ["6", "5"]}
    by_id = [{"query_id": "9", "positive_document_ids": ["1"], "negative_document_ids": ["4", "3"]}]
    assert read(jsonl(tmp_path / "ids.jsonl", by_id)) == {1: ["4", "3"]}


@pytest.mark.parametrize("blank", ["\t", " "])
def test_triples_are_query_positive_negative(tmp_path: Path, blank: str):
    path = tmp_path / "qidpidtriples.tsv"
    rows = [("9", "1", "10"), ("8", "2", "99"), ("9", "1", "12"), ("7", "3", "5"), ("9", "2", "10"), ("9", "2", "4")]
    path.write_text("".join(blank.join(row) + "\n" for row in rows))
    assert format_of(path, "format") == "triples"
    assert read(path) == {0: ["5"], 1: ["10", "12", "4"]}
    assert read(path, depth=2) == {0: ["5"], 1: ["10", "12"]}


def test_a_gzipped_file_is_read_too(tmp_path: Path):
    path = tmp_path / "triples.tsv.gz"
    path.write_bytes(gzip.compress(b"9\t1\t10\n7\t3\t5\n"))
    assert read(path) == {0: ["5"], 1: ["10"]}


def test_the_lines_of_a_query_need_not_be_together(tmp_path: Path):
    rows = [{"query_id": "7", "negative_passages": [{"docid": str(i)}]} for i in (1, 2, 1, 3)]
    assert read(jsonl(tmp_path / "train.jsonl", rows)) == {0: ["1", "2", "3"]}


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("789"), st.integers(0, 9)), min_size=1, max_size=60),
    depth=st.integers(1, 12),
)
def test_a_stream_of_triples_gives_the_first_different_negatives_of_each_query(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], depth: int
):
    path = tmp_path_factory.mktemp("stream") / "triples.tsv"
    path.write_text("".join(f"{query}\t1\t{passage}\n" for query, passage in rows))
    wanted = {
        place: list(dict.fromkeys(str(passage) for own, passage in rows if own == query))[:depth]
        for query, place in ASKED.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negatives_formats, "BATCH", 5)  # repeats are looked for often
        assert read(path, depth=depth) == {place: own for place, own in wanted.items() if own}


def test_the_first_line_that_lists_a_passage_is_found_for_messages(tmp_path: Path):
    path = jsonl(tmp_path / "hard.jsonl", OF_SENTENCE_TRANSFORMERS)
    assert line_of(path, "auto", ["7"], "30") == 3
    triples = tmp_path / "triples.tsv"
    triples.write_text("9\t1\t10\n9\t1\t12\n")
    assert line_of(triples, "auto", ["9"], "12") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the file of negatives is empty"),
        ('{"query": "a", "answer": "b"}\n', r"line 1: .* is expected, not one with query, answer"),
        ('{"qid": 1, "neg": \n', r"line 1: not JSON"),
        ("7 1\n", r"line 1: .*three ids \(query, positive, negative\) is expected, not '7 1': check format"),
        ("7\t1\t2\n7\t1\n", r"line 2: three ids \(query, positive, negative\) are expected, not '7"),
        ('{"qid": 7, "neg": {"bm25": 3}}\n', r"line 1: the negatives are expected as lists of ids"),
        ('{"qid": 7, "neg": {"bm25": [null]}}\n', r"line 1: a negative has no id: docid, pid, _id, id are looked for"),
        ('{"qid": 7, "neg": {}}\n{"query_id": 9, "negative_passages": []}\n', r"line 2: .*not one with query_id, neg"),
        ('{"qid": 7, "neg": {}}\n[7]\n', r"line 2: a JSON object is expected, not list"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "negatives"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=f"negatives.*{message}"):
        read(path)


def test_systems_of_another_format_are_refused(tmp_path: Path):
    path = jsonl(tmp_path / "train.jsonl", OF_TEVATRON)
    with pytest.raises(ExperimentError, match="systems are those of sentence-transformers' files, and this one has"):
        read(path, systems=["bm25"])
