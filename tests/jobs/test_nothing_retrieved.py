"""First stages that retrieve nothing: refused before training on dev, 0 for every query on test."""

import gzip
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.jobs import run, tiny_overrides

from experiments.analysis.load import read_job
from experiments.common.errors import ExperimentError
from experiments.job_files.answers import answers_path, read_answers
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job

COLBERT = ["model=colbert", "model.dimension=16"]


def unmatched(folder: Path, data: Path, split: str, keep: int = 0) -> Path:
    """The collection with a word that no passage has as the text of a split's queries, but for the first ``keep``."""
    shutil.copytree(data, folder)
    names = [line.split("\t")[0] for line in (folder / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]][keep:]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").open()]
    lines = [{**one, "text": "zzz"} if one["_id"] in names else one for one in queries]
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


def test_nothing_for_any_dev_query_is_refused_before_training(tmp_path: Path, data: Path, backbone: Path):
    folder = unmatched(tmp_path / "data", data, "dev")
    with pytest.raises(ExperimentError, match=r"first stage 'bm25' retrieves nothing for any of the 8 dev queries of"):
        run(tiny_overrides(tmp_path, folder, backbone))
    assert not list((tmp_path / "outputs").rglob("checkpoints/*"))
    assert not list((tmp_path / "outputs").rglob("history.tsv")), "nothing was trained"


@pytest.mark.parametrize("more", [[], COLBERT])
def test_nothing_for_any_test_query_scores_0(tmp_path: Path, data: Path, backbone: Path, more: Sequence[str]):
    folder = unmatched(tmp_path / "data", data, "test")
    metrics, job = run(tiny_overrides(tmp_path, folder, backbone, "budget.size=8", *more))
    found = metrics["test"]["bm25"]
    assert (found["RR@10"], found["first_stage"]["RR@10"], found["queries"], found["pairs"]) == (0.0, 0.0, 12, 0)
    assert read_job(job).per_query["bm25"].reranked["RR@10"].tolist() == [0.0] * 12
    answers = list(read_answers(answers_path(job, "bm25")))
    assert [(answer.top, answer.relevant is not None) for answer in answers] == [((), True)] * 12
    assert gzip.decompress((job / "run.bm25.trec.gz").read_bytes()) == b""
    assert verify_job(job, InputLoader()).differences == ()


def test_queries_for_which_nothing_is_found_count_as_0_and_are_said(
    tmp_path: Path, data: Path, backbone: Path, caplog: pytest.LogCaptureFixture
):
    folder = unmatched(tmp_path / "data", data, "test", keep=3)
    with caplog.at_level(logging.WARNING):
        metrics, job = run(tiny_overrides(tmp_path, folder, backbone, "budget.size=8", "first_stage_inject_gold=false"))
    assert "first stage bm25 retrieves nothing for 9 of 12 test queries: they count as 0" in caplog.messages
    values = read_job(job).per_query["bm25"].reranked["RR@10"]
    assert metrics["test"]["bm25"]["queries"] == 12
    assert (values == 0).sum() >= 9
    assert metrics["test"]["bm25"]["RR@10"] == pytest.approx(values.sum() / 12, abs=1e-5)
