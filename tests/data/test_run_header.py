"""Headers of ir_metadata in run files: read past, written, and refused if they are malformed."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.tiny import literal_collection, literal_run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.data import run_formats
from experiments.data.run import Run, read_trec, write_trec
from experiments.data.run_formats import RankedIds, read
from experiments.data.run_header import END, START, header_end, header_text

RUN = "q0 Q0 p3 1 9.5 x\nq0 Q0 p1 2 7 x\nq2 Q0 p5 1 0.5 x\n"
# the example of the schema's documentation, shortened
HEADER = """\
# ir_metadata.start
# schema-version: 0.1
# tag: bm25
# platform:
#   hardware:
#     ram: 32 GB
# research goal:
#   evaluation:
#     reported measures:
#     - P_10
# method:
#   automatic: true
#   retrieval:
#   - name: bm25
#     k1: 0.9
# ir_metadata.end
"""


def written(tmp_path: Path, text: str, name: str = "some.run") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def ranked(path: Path, format: str = "auto") -> list[tuple[str, list[str], list[float]]]:
    run: RankedIds = read(path, format)
    ids = run.passage_ids.to_pylist()
    spans = [slice(*run.offsets[at : at + 2]) for at in range(len(run.query_ids))]
    return [
        (query, [ids[row] for row in run.passages[span]], run.scores[span].tolist())
        for query, span in zip(run.query_ids.to_pylist(), spans, strict=True)
    ]


@pytest.mark.parametrize("name", ["some.run", "some.run.gz"])
@pytest.mark.parametrize(
    "text",
    [
        HEADER + RUN,
        "# written by a tool\n\n" + HEADER + "\n" + RUN,
        HEADER.replace("\n", " \n") + RUN,  # as repro_eval writes it
        HEADER.replace("\n", "\r\n") + RUN,
        "\ufeff" + HEADER + RUN,
        HEADER.replace("# tag: bm25\n", "# tag: bm25\n#\n") + RUN,
        f"{START}\n{END}\n{RUN}",
        HEADER + RUN.replace("q2 ", "# a comment\nq2 "),
    ],
    ids=["plain", "after a comment", "blanks", "crlf", "mark", "empty line", "nothing", "comment"],
)
def test_a_header_is_read_past(tmp_path: Path, text: str, name: str):
    assert ranked(written(tmp_path, text, name)) == [("q0", ["p3", "p1"], [9.5, 7.0]), ("q2", ["p5"], [0.5])]


@pytest.mark.parametrize(
    ("format", "run"), [("msmarco", "q0\tp3\t1\nq0\tp1\t2\n"), ("scores", "q0\tp3\t9\nq0\tp1\t8.5\n")]
)
def test_so_it_is_in_the_other_formats(tmp_path: Path, format: str, run: str):
    path = written(tmp_path, HEADER + run)
    assert [passages for _, passages, _ in ranked(path, format)] == [["p3", "p1"]]


def test_a_file_with_a_header_is_still_read_in_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_formats, "_by_line", None)
    assert len(ranked(written(tmp_path, HEADER + RUN))) == 2
    assert len(ranked(written(tmp_path, "\n" + HEADER.replace("# tag", "\n# tag") + RUN))) == 2, "blank lines count"


def test_a_header_may_hold_what_looks_like_a_run(tmp_path: Path):
    header = HEADER.replace("tag: bm25", "note: |\n#   q0 Q0 p9 1 99 x")
    assert [passages for _, passages, _ in ranked(written(tmp_path, header + RUN))] == [["p3", "p1"], ["p5"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADER.replace(f"{END}\n", "") + RUN,
            "line 1: the header that begins here has no end (line 16 is no comment)",
        ),
        (
            "# x\n" + HEADER.replace(f"{END}\n", ""),
            "line 2: the header that begins here has no end (the file ends first)",
        ),
        (
            HEADER.replace("tag: bm25", "tag: [bm25") + RUN,
            "the header that begins in line 1 is no YAML (did not find expected",
        ),
        (HEADER.replace("#   hardware:", "#\thardware:") + RUN, "line 5: the header that begins in line 1 is no YAML"),
        (f"{START}\n# just words\n{END}\n{RUN}", "line 1: the header should hold named values, not str"),
        (f"{START}\n# - a\n# - list\n{END}\n{RUN}", "line 1: the header should hold named values, not list"),
        (f"{START}\n{HEADER}{RUN}", "line 2: '# ir_metadata.start' is not expected here"),
        (f"{END}\n{RUN}", "line 1: '# ir_metadata.end' is not expected here"),
        (HEADER, "some.run: the run is empty"),
    ],
)
def test_a_malformed_header_names_the_file_and_the_line(tmp_path: Path, text: str, message: str):
    path = written(tmp_path, text)
    with pytest.raises(ExperimentError) as found:
        read(path)
    assert str(found.value).startswith(str(path))
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_a_malformed_line_after_a_header_has_its_number_in_the_file(tmp_path: Path):
    with pytest.raises(ExperimentError, match="line 18: 'query Q0 passage rank score name' is expected"):
        read(written(tmp_path, HEADER + "q0 Q0 p3 1 9.5 x\nq0 p1\n"))


def test_a_run_is_written_with_a_header_and_read_back(tmp_path: Path):
    collection, first = literal_collection(tmp_path), literal_run({0: [3, 1], 2: [5]}, name="demo")
    header = header_text({"tag": "demo", "research goal": {"evaluation": {"baseline": ["bm25"]}}})
    path = tmp_path / "run.trec.gz"
    write_trec(first, collection, path, header)
    assert gzip.decompress(path.read_bytes()).decode().splitlines() == [
        "# ir_metadata.start",
        "# tag: demo",
        "# research goal:",
        "#   evaluation:",
        "#     baseline:",
        "#     - bm25",
        "# ir_metadata.end",
        "q0 Q0 p3 1 0 demo",
        "q0 Q0 p1 2 -1 demo",
        "q2 Q0 p5 1 0 demo",
    ]
    again = read_trec(path, collection, "again")
    assert [again.ranking(query).tolist() for query in (0, 2)] == [[3, 1], [5]]


def test_an_empty_run_may_have_a_header(tmp_path: Path):
    collection, path = literal_collection(tmp_path), tmp_path / "run.trec"
    empty: Run = literal_run({})
    write_trec(empty, collection, path, header_text({"tag": "x"}))
    assert len(read_trec(path, collection, "again", may_be_empty=True)) == 0


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
@settings(deadline=None, max_examples=25)
def test_any_metadata_survives_as_comments(tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, object]):
    path = tmp_path_factory.mktemp("header") / "some.run"
    text = header_text(metadata)
    path.write_bytes((text + RUN).encode())
    inner = text.split("\n")[1:-2]
    assert yaml.safe_load("\n".join(line[2:] for line in inner)) == metadata
    assert header_end(path) == len(inner) + 2
    assert np.diff(read(path).offsets).tolist() == [2, 1]
