"""``python -m experiments.study verify``: edited results are found."""

import gzip
import json
from pathlib import Path

import pytest
from helpers.studies import job

from experiments import study


def drift(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What verify says of a study that has drifted, the summary apart, without the names of jobs."""
    capsys.readouterr()
    assert study.main(["verify", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{len(lines) - 1} difference" in lines[-1]
    return [line.partition(": ")[2] for line in lines[:-1]]


def test_results_as_they_were_written_are_verified(
    finished: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    for what in ([str(folder)], overrides):
        assert study.main(["verify", *what]) == 0
        assert capsys.readouterr().out == "2 jobs verified: 2 runs, 96 values, no drift\n", (
            "2 x 12 queries x 4 measures"
        )


def test_other_weights_under_the_path_of_the_backbone_are_found_and_planned_for(
    finished: tuple[list[str], Path], backbone: Path, capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    weights = (backbone / "model.safetensors").read_bytes()
    try:
        (backbone / "model.safetensors").write_bytes(weights[:-4] + b"\x00\x00\x80\x3f")
        found = drift(folder, capsys)
        assert [line.partition(": ")[0] for line in found] == ["status.json, digest of the input backbone"] * 2
        assert study.main(["plan", *overrides]) == 0
        assert "2 jobs: 2 changed\n" in capsys.readouterr().out
    finally:
        (backbone / "model.safetensors").write_bytes(weights)
    assert study.main(["plan", *overrides]) == 0
    assert "2 jobs: 2 done; what is done is skipped\n" in capsys.readouterr().out


def test_an_edited_value_of_a_query_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    path = job(copied, "bce") / "per_query.bm25.tsv"
    lines = path.read_text().split("\n")
    query, value, *rest = lines[1].split("\t")
    lines[1] = "\t".join([query, f"{float(value) + 1e-4:.6g}", *rest])
    path.write_text("\n".join(lines))
    (found,) = drift(copied, capsys)
    expected, said = f"{float(value):.6g}", f"{float(value) + 1e-4:.6g}"
    assert found == f"per_query.bm25.tsv, query {query}, RR@10: expected {expected}, found {said}"


def test_an_edited_run_is_found_by_the_queries_that_it_changes(copied: Path, capsys: pytest.CaptureFixture[str]):
    folder = job(copied, "bce")
    rows = (folder / "per_query.bm25.tsv").read_text().splitlines()[1:]
    query = next(row.split("\t")[0] for row in rows if float(row.split("\t")[1]) == 1.0)
    path = folder / "run.bm25.trec.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    of_query = [i for i, line in enumerate(lines) if line.split()[0] == query]
    first, last = of_query[0], of_query[-1]
    best, worst = lines[first].split(), lines[last].split()
    best[2], worst[2] = worst[2], best[2]
    lines[first], lines[last] = " ".join(best), " ".join(worst)
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    found = drift(copied, capsys)
    assert f"per_query.bm25.tsv, query {query}, RR@10: expected {1 / len(of_query):.6g}, found 1" in found
    assert any(line.startswith("metrics.json, test.bm25.RR@10: expected") for line in found)
    assert all(f"query {query}" in line or line.startswith("metrics.json") for line in found)


def test_an_edited_mean_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    path = job(copied, "lce") / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["test"]["bm25"]["AP"] = 0.99
    metrics["test"]["bm25"]["first_stage"]["AP"] = 0.98
    path.write_text(json.dumps(metrics))
    own, first = drift(copied, capsys)
    assert own.startswith("metrics.json, test.bm25.AP: expected 0.")
    assert own.endswith("found 0.99")
    assert first.startswith("metrics.json, test.bm25.first_stage.AP: expected 0.")


def test_a_config_that_is_not_the_jobs_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    folder = job(copied, "lce")
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.001", "lr: 0.002"))
    (found,) = drift(copied, capsys)
    assert found.startswith("config.yaml is not what the job ran with")
    assert f"hash: expected {folder.name.rpartition('-')[2]}, found " in found


def test_another_collection_is_said_to_be_another_and_nothing_is_scored_against_it(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    path = job(copied, "lce") / "status.json"
    status = json.loads(path.read_text())
    now, status["inputs"]["collection"] = status["inputs"]["collection"], "0123456789abcdef"
    path.write_text(json.dumps(status))
    (found,) = drift(copied, capsys)
    assert found.startswith(
        "status.json, fingerprint of the collection shapes (its files have changed, or the packages"
    )
    assert found.endswith(f"expected 0123456789abcdef, found {now}")


def test_a_job_that_cannot_be_verified_does_not_keep_the_others_from_it(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    (job(copied, "bce") / "run.bm25.trec.gz").unlink()
    (job(copied, "lce") / "config.yaml").write_text("{")
    missing, unreadable = drift(copied, capsys)
    assert missing == "first stage bm25: run.bm25.trec.gz is missing"
    assert unreadable.startswith(f"it cannot be verified: {job(copied, 'lce')}/config.yaml is not readable YAML")
