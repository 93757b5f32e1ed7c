"""A job written by hand, held against a collection of three queries whose measures are worked out by hand."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_name
from experiments.data.collection import Collection, open_collection
from experiments.studies.current_inputs import CurrentInputs
from experiments.studies.verify import Verified, summary, verify_job

RUN = "q0 Q0 p1 1 3 x\nq0 Q0 p0 2 2 x\nq1 Q0 p1 1 3 x\nq2 Q0 p5 1 1 x\n"  # the answer of q<i> is p<i>: 1/2, 1, 0


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    passages, queries = [(f"p{i}", f"passage {i}") for i in range(6)], [(f"q{i}", f"query {i}") for i in range(3)]
    judged = {"test": [(f"q{i}", f"p{i}", 1) for i in range(3)]}
    return open_collection(LiteralSource(passages, queries, judged), Cache(tmp_path / "store"))


@pytest.fixture
def job(tmp_path: Path, collection: Collection) -> Path:
    config = compose.plain(composed("measures=[RR@10]"))
    folder = tmp_path / job_name(config)
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    inputs = {"collection": collection.fingerprint, "retrievers.colbert": "abc"}
    (folder / "status.json").write_text(json.dumps({"state": "finished", "inputs": inputs}))
    (folder / "run.bm25.trec.gz").write_bytes(gzip.compress(RUN.encode()))
    rows = ["query\tRR@10\tfirst_stage:RR@10", "q0\t0.5\t0.333333", "q1\t1\t0", "q2\t0\t0"]
    (folder / "per_query.bm25.tsv").write_text("\n".join(rows) + "\n")
    means = {"RR@10": 0.5, "first_stage": {"RR@10": 1 / 9}}
    (folder / "metrics.json").write_text(json.dumps({"test": {"bm25": means}}))
    return folder


def verified(job: Path, collection: Collection, content: str = "abc") -> Verified:
    relevance = {row: {row: 1} for row in range(3)}
    return verify_job(job, lambda config: CurrentInputs(collection, relevance, lambda name: content))


def differences(job: Path, collection: Collection, content: str = "abc") -> list[str]:
    return [line.removeprefix(f"{job.name}: ") for line in verified(job, collection, content).differences]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_job_that_says_what_its_run_says_has_no_differences(job: Path, collection: Collection):
    assert verified(job, collection) == Verified(job.name, runs=1, values=3)


def test_a_value_is_held_to_a_millionth(job: Path, collection: Collection):
    replace(job / "per_query.bm25.tsv", "q0\t0.5\t", "q0\t0.5000009\t")
    assert differences(job, collection) == []
    replace(job / "per_query.bm25.tsv", "q0\t0.5000009\t", "q0\t0.500002\t")
    assert differences(job, collection) == ["per_query.bm25.tsv, query q0, RR@10: expected 0.5, found 0.500002"]


def test_a_run_that_ranks_otherwise_is_found_by_query_and_by_mean(job: Path, collection: Collection):
    changed = RUN.replace("q0 Q0 p0 2 2", "q0 Q0 p0 2 4")
    (job / "run.bm25.trec.gz").write_bytes(gzip.compress(changed.encode()))
    assert differences(job, collection) == [
        "per_query.bm25.tsv, query q0, RR@10: expected 1, found 0.5",
        "metrics.json, test.bm25.RR@10: expected 0.666667, found 0.5",
    ]


def test_a_mean_of_the_first_stage_is_held_against_its_values(job: Path, collection: Collection):
    replace(job / "per_query.bm25.tsv", "q1\t1\t0", "q1\t1\t1")
    assert differences(job, collection) == [
        "metrics.json, test.bm25.first_stage.RR@10: expected 0.444444, found 0.111111"
    ]


def test_a_query_that_is_missing_and_one_too_many_are_found(job: Path, collection: Collection):
    replace(job / "per_query.bm25.tsv", "q2\t0\t0", "q9\t0\t0")
    assert differences(job, collection) == [
        "per_query.bm25.tsv, query q9: it is none of the test queries",
        "per_query.bm25.tsv, query q2, RR@10: expected 0, found nothing",
    ]


def test_a_run_with_a_passage_that_the_collection_does_not_have_is_a_difference(job: Path, collection: Collection):
    (job / "run.bm25.trec.gz").write_bytes(gzip.compress(RUN.replace("p5", "p7").encode()))
    (found,) = differences(job, collection)
    assert found.startswith("first stage bm25: ")
    assert "such as 'p7'" in found


def test_a_model_that_was_trained_again_is_found(job: Path, collection: Collection):
    assert differences(job, collection, content="abd") == [
        "status.json, digest of the input retrievers.colbert: expected abc, found abd"
    ]


def test_an_input_that_is_gone_is_said_to_be_so_and_the_runs_are_scored_all_the_same(job: Path, collection: Collection):
    def gone(name: str) -> str:
        raise ExperimentError("there is no folder outputs/for_colbert")

    found = verify_job(job, lambda config: CurrentInputs(collection, {row: {row: 1} for row in range(3)}, gone))
    assert found.runs == 1
    (line,) = found.differences
    assert line.endswith("status.json, input retrievers.colbert: there is no folder outputs/for_colbert")


def test_a_job_of_before_inputs_were_noted_is_said_to_be_one(job: Path, collection: Collection):
    (job / "status.json").write_text(json.dumps({"state": "finished", "collection": collection.fingerprint}))
    assert differences(job, collection) == ["status.json names no inputs: it was written by another version"]


def test_data_that_cannot_be_opened_is_a_difference_and_no_crash(job: Path):
    def nowhere(config: Any) -> CurrentInputs:
        raise ExperimentError("there is no folder data: set data.path")

    (line,) = verify_job(job, nowhere).differences
    assert line == f"{job.name}: it cannot be verified: there is no folder data: set data.path"


def test_the_summary_counts_jobs_runs_values_and_differences():
    jobs = [Verified("a", 3, 900), Verified("b", 3, 900)]
    assert summary(jobs) == "2 jobs verified: 6 runs, 1,800 values, no drift"
    assert summary([Verified("a", 1, 300, ("a: ...",))]) == "1 job verified: 1 run, 300 values, 1 difference"
