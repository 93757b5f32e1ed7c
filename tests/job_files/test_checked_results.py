"""What readers of a job rely on is checked where its files are read; each key that is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.study_folder import write_job, write_unfinished_job

from experiments.analysis.load import read_job
from experiments.common.errors import ExperimentError
from experiments.job_files.checked_results import read_config, read_launch, read_metrics, read_status
from experiments.job_files.status import last_launch, status_of

REACHED = {"q1": 0.5, "q2": 1.0, "q3": 0.25, "q4": 0.0}


def _with(path: Path, key: str, value: Any) -> None:
    """Set a dotted key of a JSON file."""
    content = json.loads(path.read_text())
    owner = content
    *parents, last = key.split(".")
    for parent in parents:
        owner = owner[parent]
    owner[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("labels.loss", ["lce"], "labels.loss is ['lce'], which should be a text or a finite number"),
        ("labels.negatives", float("nan"), "labels.negatives is nan, which should be a text or a finite number"),
        ("labels.negatives", 10**40, "labels.negatives is 1000"),
        ("compute.pairs", "many", "compute.pairs is 'many', which should be a finite number"),
        ("compute.pairs", {"": None}, "compute.pairs is {'': None}, which should be a finite number"),
        ("compute.cache_hits", {"bm25": None}, "compute.cache_hits.bm25 is None, which should be a finite number"),
        ("compute.cache_hits", 3, "its key 'compute.cache_hits' should hold named values, not int"),
        ("compute.memory_spared", "yes", "compute.memory_spared is 'yes', which should be true or false"),
        ("compute.machine", 7, "compute.machine is 7, which should be a text"),
        ("test.bm25.ties", -1, "test.bm25.ties is -1, which should be a count"),
        ("test.bm25.ties", None, "test.bm25.ties is None, which should be a count"),
        ("test.bm25.ties", {}, "test.bm25.ties is {}, which should be a count"),
        ("test.bm25.queries", {"a": 1}, "test.bm25.queries is {'a': 1}, which should be a count"),
        ("test.bm25.first_stage", "x", "its key 'test.bm25.first_stage' should hold named values, not str"),
        (
            "test.bm25.depths",
            {"3": {"RR@10": 0.5}},
            "test.bm25 has depths without the numbers of queries and pairs",
        ),
        ("test.bm25", None, "its key 'test.bm25' should hold named values, not NoneType"),
    ],
)
def test_a_metric_of_another_type_is_named(tmp_path: Path, key: str, value: Any, message: str):
    job = write_job(tmp_path, "lce", REACHED)
    _with(job / "metrics.json", key, value)
    with pytest.raises(ExperimentError) as found:
        read_metrics(job)
    assert str(found.value).startswith(f"{job / 'metrics.json'}: {message}")


def test_a_job_whose_step_did_not_fit_into_memory_is_read(tmp_path: Path):
    job = write_job(tmp_path, "lce", REACHED)
    _with(job / "metrics.json", "compute.memory_spared", True)
    assert read_metrics(job)["compute"]["memory_spared"] is True
    assert read_job(job).finished


@pytest.mark.parametrize("reader", [lambda job: status_of(job).why, lambda job: read_job(job).reason])
def test_a_reason_of_any_length_is_one_line_that_can_be_printed(tmp_path: Path, reader: Callable[[Path], str]):
    job = write_unfinished_job(tmp_path, "lce", "failed", "a" * 100_000 + "\x1b[2J " + "word " * 20_000 + "\nmore")
    said = reader(job)
    assert len(said) <= 1500
    assert said.startswith("a" * 80 + " ... aaaaaa")
    assert said.isprintable()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attempts", "2", "attempts is '2', which should be a count"),
        ("seconds", float("inf"), "seconds is inf, which should be a finite number"),
        ("inputs", ["x"], "its key 'inputs' should hold named values, not list"),
        ("error", {"a": 1}, "error is {'a': 1}, which should be a text"),
    ],
)
def test_a_status_of_another_type_is_unreadable(tmp_path: Path, key: str, value: Any, message: str):
    job = write_job(tmp_path, "lce", REACHED)
    _with(job / "status.json", key, value)
    with pytest.raises(ExperimentError) as found:
        read_status(job)
    assert message in str(found.value)
    assert status_of(job).state == "unreadable"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("logger: x", "its key 'logger' should hold named values, not str"),
        ("retrievers: {bm25: x}", "its key 'retrievers.bm25' should hold named values, not str"),
        ("first_stage: bm25", "first_stage is 'bm25', which should be a list of names"),
        ("a: \xff", "line 1: byte 0xff is no UTF-8"),
    ],
)
def test_a_config_of_another_type_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ExperimentError) as found:
        read_config(tmp_path)
    assert message in str(found.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hydra: {overrides: {hydra: [], task: [true]}}", "hydra.overrides.task is no list of texts"),
        ("hydra: {overrides: {hydra: 7, task: []}}", "hydra.overrides.hydra is no list of texts"),
        ("hydra: {overrides: {hydra: []}}", "KeyError('task')"),
    ],
)
def test_a_launch_record_of_another_shape_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "multirun.yaml").write_text(text)
    with pytest.raises(ExperimentError) as found:
        read_launch(tmp_path / "multirun.yaml")
    assert str(found.value) == f"{tmp_path / 'multirun.yaml'} is not a launch record of Hydra ({message}): delete it"


@pytest.mark.parametrize("names", [["a" * 1000], [".."], ["a/b"], [7], {"a": 1}, "a"])
def test_what_cannot_be_the_names_of_jobs_is_refused(tmp_path: Path, names: Any):
    (tmp_path / "grid.json").write_text(json.dumps(names))
    with pytest.raises(ExperimentError, match="should be a list of the names of jobs: delete it, or start"):
        last_launch(tmp_path)


@pytest.mark.parametrize("content", [b"step\tgroups\n4\t8\xfc\n", b"step\tgroups\n" + b"[" * 200_000, b"", b"\n"])
def test_a_damaged_history_hides_no_state(tmp_path: Path, content: bytes):
    job = write_unfinished_job(tmp_path, "lce", "failed", "MemoryError")
    (job / "history.tsv").write_bytes(content)
    status = status_of(job)
    assert (status.state, status.why, status.step) == ("failed", "MemoryError", None)
