"""A whole job on a collection whose ids have blanks and whose answers stand in it twice."""

import gzip
import json
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from helpers.jobs import run, tiny_overrides

from experiments import study


@pytest.fixture(scope="module")
def awkward(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shapes under ids such as "circle 1 area" and "circle 1 area q", each passage a second time as "copy ..."."""
    folder = tmp_path_factory.mktemp("awkward") / "shapes"
    (folder / "qrels").mkdir(parents=True)
    for name in ("corpus", "queries"):
        rows = [json.loads(line) for line in (data / f"{name}.jsonl").open()]
        rows = [{**row, "_id": row["_id"].replace("-", " ")} for row in rows]
        if name == "corpus":
            rows += [{**row, "_id": f"copy {row['_id']}"} for row in rows]
        (folder / f"{name}.jsonl").write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows))
    for path in (data / "qrels").iterdir():
        header, *lines = path.read_text().splitlines()
        lines = [line.replace("-", " ") for line in lines]
        (folder / "qrels" / path.name).write_text("\r\n".join([header, *lines]) + "\r\n")
    return folder


@pytest.fixture(scope="module")
def job(awkward: Path, backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    return run(tiny_overrides(tmp_path_factory.mktemp("job"), awkward, backbone))


def test_a_run_file_is_valid_trec_and_measures_what_the_job_says(job: tuple[dict[str, Any], Path], awkward: Path):
    metrics, folder = job
    lines = gzip.decompress((folder / "run.bm25.trec.gz").read_bytes()).decode().splitlines()
    assert {len(line.split(" ")) for line in lines} == {6}
    scored = [ir_measures.ScoredDoc(f[0], f[2], float(f[4])) for f in (line.split() for line in lines)]
    judged = [line.split("\t") for line in (awkward / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    qrels = [ir_measures.Qrel(q.replace(" ", "%20"), p.replace(" ", "%20"), int(g)) for q, p, g in judged]
    expected = ir_measures.calc_aggregate([ir_measures.RR @ 10], qrels, scored)[ir_measures.RR @ 10]
    assert expected > 0
    assert metrics["test"]["bm25"]["RR@10"] == pytest.approx(expected)


def test_no_copy_of_an_answer_was_drawn_and_the_dropped_ones_are_counted(job: tuple[dict[str, Any], Path]):
    _, folder = job
    dropped = json.loads((folder / "audit.json").read_text())["exceptions"]["filtered"]["bm25"]["copies"]
    assert dropped["candidates"] == dropped["queries"] > 10  # the copies among the 20 best of 40 training queries
    with gzip.open(folder / "negatives.tsv.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    assert all(f"copy%20{positive}" not in negatives.split(" ") for _, _, positive, negatives in rows)
    assert {len(negatives.split(" ")) for *_, negatives in rows} == {3}


def test_the_job_is_verified(job: tuple[dict[str, Any], Path], capsys: pytest.CaptureFixture[str]):
    assert study.main(["verify", str(job[1].parent)]) == 0
    assert "1 job verified: 1 run, 48 values, no drift" in capsys.readouterr().out
