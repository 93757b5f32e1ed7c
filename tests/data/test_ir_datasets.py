"""The ir_datasets reader on local files laid where the catalogue looks for its downloads."""

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from helpers.jobs import ROOT

# The catalogue fixes its folder when it is imported, so each case runs in a process of its own.
SCRIPT = """
import json, sys
from experiments.data.readers.ir_datasets import IrDataset
from experiments.common.errors import ExperimentError
try:
    source = IrDataset(**json.loads(sys.argv[1]))
    found = {"name": source.name, "queries_among_passages": source.queries_among_passages,
             "passages": list(source.passages()), "queries": list(source.queries()),
             "qrels": {split: list(rows) for split, rows in source.qrels().items()}}
    print(json.dumps(found))
except ExperimentError as error:
    print(json.dumps({"error": str(error)}))
"""


def read(home: Path, splits: dict[str, str | None], **settings: str | list[str]) -> dict:
    environment = {
        "IR_DATASETS_HOME": str(home),
        "IR_DATASETS_DL_TRIES": "1",
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
    }
    command = [sys.executable, "-c", SCRIPT, json.dumps({"splits": splits, **settings})]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def lay(home: Path, test: str = "2\t7\t1\n") -> Path:
    """BEIR's SciFact as the catalogue downloads it, with one passage. ``test``: the judgements of that split."""
    folder = home / "beir" / "scifact"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "source.zip", "w") as archive:
        archive.writestr(
            "scifact/corpus.jsonl", '{"_id": "7", "title": "Boron", "text": "a metalloid", "metadata": {}}\n'
        )
        archive.writestr(
            "scifact/queries.jsonl",
            '{"_id": "1", "text": "what is boron", "metadata": {}}\n{"_id": "2", "text": "b?", "metadata": {}}\n',
        )
        for split, rows in (("train", "1\t7\t1\n"), ("test", test)):
            archive.writestr(f"scifact/qrels/{split}.tsv", f"query-id\tcorpus-id\tscore\n{rows}")
    return home


DOCUMENTS = """\
<DOC>
<DOCNO>D7</DOCNO>
<TEXT>
https://elements.org/boron
Boron
A metalloid.
</TEXT>
</DOC>
<DOC>
<DOCNO>D8</DOCNO>
<TEXT>
https://elements.org/untitled

No title.
</TEXT>
</DOC>
"""


def lay_documents(home: Path) -> Path:
    """Two documents of MS MARCO, the second without a title, and a query of dev, as the catalogue downloads them."""
    folder = home / "msmarco-document"
    (folder / "dev").mkdir(parents=True)
    for name, text in (
        ("collection.tsv.gz", DOCUMENTS), ("dev/queries.tsv.gz", "1\twhat is boron\n"), ("dev/qrels.gz", "1 0 D7 1\n"),
    ):  # fmt: skip
        (folder / name).write_bytes(gzip.compress(text.encode()))
    return home


def texts_of(home: Path, fields: list[str] | None) -> list[str]:
    settings = {} if fields is None else {"fields": fields}
    return [text for _, text in read(home, {"test": "msmarco-document/dev"}, **settings)["passages"]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return lay(tmp_path)


def test_two_splits_of_a_catalogue_data_set(home: Path):
    found = read(home, {"train": "beir/scifact/train", "test": "beir/scifact/test"})
    assert found["name"] == "beir/scifact"
    assert not found["queries_among_passages"]
    assert [one[0] for one in found["passages"]] == ["7"]
    assert "Boron" in found["passages"][0][1]
    assert found["queries"] == [["1", "what is boron"], ["2", "b?"]]
    assert found["qrels"] == {"train": [["1", "7", 1]], "test": [["2", "7", 1]]}


def test_a_judged_passage_without_a_text_may_be_empty(tmp_path: Path):
    home = lay(tmp_path, test="2\t7\t1\n2\t8\t1\n")
    found = read(home, {"train": None, "test": "beir/scifact/test"}, missing="empty")
    assert [row[0] for row in found["passages"]] == ["7", "8"]
    assert found["passages"][1][1] == ""


def test_a_documents_text_is_made_of_the_named_fields_that_it_has(tmp_path: Path):
    home = lay_documents(tmp_path)
    assert texts_of(home, ["url", "title", "body"]) == [
        "https://elements.org/boron Boron A metalloid.",
        "https://elements.org/untitled No title.",
    ]
    assert texts_of(home, None)[0].strip() == "Boron A metalloid.", "the catalogue's default has no URL"


def test_the_config_of_ms_marco_documents_reads_url_title_and_body():
    settings = yaml.safe_load((ROOT / "conf" / "data" / "msmarco_document.yaml").read_text())
    assert settings["source"]["fields"] == ["url", "title", "body"]


def test_a_field_that_the_documents_do_not_have_is_refused_with_those_that_they_have(tmp_path: Path):
    error = read(tmp_path, {"test": "msmarco-document/dev"}, fields=["url", "text"])["error"]
    assert error.startswith(
        "data.source.fields is ['url', 'text']: it must name some of the fields of msmarco-document/dev"
    )
    assert "(doc_id, url, title, body)" in error


def test_an_id_that_the_catalogue_does_not_have(home: Path):
    assert (
        "data.source.splits.test: ir_datasets has no data set 'beir/sciface/test'"
        in read(home, {"test": "beir/sciface/test"})["error"]
    )


def test_an_id_without_qrels(home: Path):
    assert "has no docs, queries or qrels" in read(home, {"test": "msmarco-passage"})["error"]


def test_a_file_that_is_not_there_says_where_to_lay_it(tmp_path: Path):
    error = read(tmp_path, {"test": "beir/scifact/test"})["error"]
    assert "could not provide beir/scifact/test" in error
    assert "IR_DATASETS_HOME" in error
