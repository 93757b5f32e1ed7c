"""A job whose passages are relevant from grade 2 on: what it is measured, chosen, listed, reported and verified by.

Every passage of the collection has grade 1 for every dev and test query, and the answer grade 2: from grade 1 on each
ranking would be perfect.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import run, tiny_overrides
from helpers.tiny import write_beir_folder

from experiments.analysis.findings import findings_of
from experiments.common.errors import ExperimentError
from experiments.job_files.history import FILE, read_history
from experiments.job_files.per_query import read_per_query
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job

RR = "RR(rel=2)@10"


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_beir_folder(tmp_path_factory.mktemp("graded") / "shapes")
    passages = [json.loads(line)["_id"] for line in (folder / "corpus.jsonl").read_text().splitlines()]
    for split in ("train", "dev", "test"):
        path = folder / "qrels" / f"{split}.tsv"
        rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        lines = [f"{query}\t{answer}\t2" for query, answer, _ in rows]
        if split != "train":
            lines += [f"{query}\t{one}\t1" for query, answer, _ in rows for one in passages if one != answer]
        path.write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, graded: Path, backbone: Path) -> tuple[dict[str, Any], Path]:
    return run(tiny_overrides(tmp_path_factory.mktemp("job"), graded, backbone, "data.min_grade=2"))


def answers_of(graded: Path) -> dict[str, str]:
    """Query -> the one passage of grade 2."""
    rows = (line.split("\t") for line in (graded / "qrels" / "test.tsv").read_text().splitlines()[1:])
    return {query: passage for query, passage, grade in rows if grade == "2"}


def reciprocal_ranks(folder: Path, answers: dict[str, str]) -> dict[str, float]:
    """Query -> 1 / rank of its answer in the job's run, read from the file; 0 beyond rank 10 or without."""
    with gzip.open(folder / "run.bm25.trec.gz", "rt") as file:
        ranks = {(query, passage): int(rank) for query, _, passage, rank, *_ in map(str.split, file)}
    found = {query: ranks.get((query, answer), 11) for query, answer in answers.items()}
    return {query: 1 / rank if rank <= 10 else 0.0 for query, rank in found.items()}


def test_measures_have_the_grade_in_their_name_and_their_value(job: tuple[dict[str, Any], Path], graded: Path):
    metrics, folder = job
    expected = reciprocal_ranks(folder, answers_of(graded))
    found = metrics["test"]["bm25"]
    assert list(found)[:4] == [RR, "nDCG@10", "R(rel=2)@10", "AP(rel=2)"] == list(found["first_stage"])
    assert found[RR] == pytest.approx(sum(expected.values()) / 12)
    assert 0 < found[RR] < 1, "from grade 1 on it would be 1"
    table = read_per_query(folder / "per_query.bm25.tsv")
    assert dict(zip(table.query_ids, table.reranked[RR].tolist(), strict=True)) == expected, "in full precision"
    assert any(round(value, 6) != value for value in expected.values())


def test_the_checkpoint_was_chosen_by_the_grade(job: tuple[dict[str, Any], Path]):
    metrics, folder = job
    known = [value for value in read_history(folder / FILE)["dev"] if value == value]
    assert metrics["dev"][RR] == max(known) < 1


def test_the_passage_shown_as_relevant_is_the_answer(job: tuple[dict[str, Any], Path], graded: Path):
    with gzip.open(job[1] / "answers.bm25.jsonl.gz", "rt") as file:
        shown = {answer["query"]: answer["relevant"]["id"] for answer in map(json.loads, file)}
    assert shown == answers_of(graded)


def test_the_jobs_first_measure_heads_the_report_and_a_tables_name_means_it(job: tuple[dict[str, Any], Path]):
    _, folder = job
    study = folder.parent
    assert findings_of(study).measure == RR
    assert findings_of(study, "MRR@10").measure == RR
    assert findings_of(study, "nDCG@10").measure == "nDCG@10"
    for measure in ({}, {"measure": "RR@10"}):
        (study / "table.yaml").write_text(yaml.safe_dump({"title": "t", "source": "s", **measure}))
        assert [block.measure for block in findings_of(study).groups] == [RR]
    with pytest.raises(ExperimentError, match=r"has no RR\(rel=1\)@10 for bm25: choose one of RR\(rel=2\)@10, nDCG@10"):
        findings_of(study, "RR(rel=1)@10")


def test_it_verifies(job: tuple[dict[str, Any], Path]):
    verified = verify_job(job[1], InputLoader())
    assert verified.differences == ()
    assert verified.values == 12 * 4
