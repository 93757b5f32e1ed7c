"""A teacher's run file that a prerequisite job writes: whole jobs on a tiny model, and what is refused."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed, run, tiny_overrides
from helpers.seals import reseal

from experiments import study
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs import prerequisites
from experiments.jobs.components import make_components

Job = tuple[dict[str, Any], Path]
TEACHER = (
    "loss:lce,model:{max_length:48,max_query_tokens:16},negatives:{count:3,depth:20},budget:{size:32},batch:{size:4},"
    "validation:{depth:10},first_stage_depth:10,optimizer:{lr:1e-3}"
)
LISTS = [
    "negatives=from_run_order",
    "negatives.count=4",
    "negatives.depth=10",
    "negatives.without_positive=keep",
    "loss=distill_ranknet",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    return [*tiny_overrides(tmp_path_factory.mktemp("runs"), data, backbone), *LISTS]


@pytest.fixture(scope="module")
def overrides(tiny: list[str]) -> list[str]:
    teacher = f"model:{{label:teacher,job:{{{TEACHER}}}}}"
    job = f"++retrievers.teacher_run.job={{first_stage:[bm25],first_stage_depth:10,{teacher}}}"
    return [*tiny, "retriever=[bm25,teacher_run]", "negatives.source=teacher_run", "loss.teacher=source", job]


@pytest.fixture(scope="module")
def student(overrides: list[str]) -> Job:
    return run(overrides)


def run_of(student: Job) -> Path:
    (path,) = (student[1].parents[1] / "for_teacher_run").glob("*/run.bm25.trec.gz")
    return path


def test_the_teachers_run_ranks_the_training_queries(student: Job, data: Path):
    with gzip.open(run_of(student), "rt") as lines:
        ranked = {line.split()[0] for line in lines}
    assert ranked == {line.split("\t")[0] for line in (data / "qrels" / "train.tsv").read_text().splitlines()[1:]}
    config = yaml.safe_load((run_of(student).parent / "config.yaml").read_text())
    assert (config["model"]["name"], config["data"]["measured_on"]) == ("checkpoint", "train")
    assert run_of(student).parent.name.startswith("teacher-on-shapes-train-")


def test_the_teacher_itself_is_trained_first_and_measured_on_test_queries(student: Job):
    (status,) = (student[1].parents[1] / "for_checkpoint").glob("lce-n3-*/status.json")
    assert yaml.safe_load((status.parent / "config.yaml").read_text())["data"]["measured_on"] == "test"


def test_the_run_is_an_input_as_source_and_as_teacher(student: Job):
    inputs = json.loads((student[1] / "status.json").read_text())["inputs"]
    assert inputs.keys() == {"collection", "backbone", "loss", "code", "retrievers.teacher_run", "loss.teacher"}
    assert "data.teacher_values 1" in inputs["code"]


def test_lists_are_in_the_order_of_the_run(student: Job):
    with gzip.open(run_of(student), "rt") as lines:
        ranked: dict[str, list[str]] = {}
        for line in lines:
            ranked.setdefault(line.split()[0], []).append(line.split()[2])
    with gzip.open(student[1] / "negatives.tsv.gz", "rt", encoding="utf-8") as file:
        header, *rows = [line.rstrip("\n").split("\t") for line in file]
    at = header.index("query")
    assert all(set(row[-1].split()) <= set(ranked[row[at]][:5]) for row in rows)


def test_a_published_run_file_is_read_by_the_same_keys(tiny: list[str], student: Job):
    published = ["retriever=[bm25,run_file]", f"retrievers.run_file.path={run_of(student)}"]
    metrics, _ = run([*tiny, *published, "negatives.source=run_file", "loss.teacher=source"])
    assert metrics["test"] == student[0]["test"]
    given, _ = run([*tiny, *published, "negatives.source=run_file", f"loss.teacher={run_of(student)}"])
    assert given["test"] == student[0]["test"]


def test_a_plan_shows_the_run_and_its_teacher_and_all_is_done_once(
    overrides: list[str], student: Job, capsys: pytest.CaptureFixture[str]
):
    assert study.main(["plan", *overrides]) == 0
    said = capsys.readouterr().out
    assert "3 jobs: 3 done; what is done is skipped" in said
    assert "for retrievers.teacher_run" in said
    before = (student[1] / "status.json").stat().st_mtime_ns
    assert run(overrides) == student
    assert (student[1] / "status.json").stat().st_mtime_ns == before
    for folder in (student[1].parent, run_of(student).parents[1]):
        assert study.main(["verify", str(folder)]) == 0


def test_an_edited_run_changes_what_learnt_from_it(
    overrides: list[str], student: Job, capsys: pytest.CaptureFixture[str]
):
    before = run_of(student).read_bytes()
    try:
        run_of(student).write_bytes(gzip.compress(gzip.decompress(before).replace(b" Q0 ", b" 0 "), mtime=0))
        reseal(run_of(student).parent)
        assert study.main(["plan", *overrides]) == 0
        said = capsys.readouterr().out
        assert f"{student[1].name} runs again: loss.teacher, retrievers.teacher_run changed" in said
    finally:
        run_of(student).write_bytes(before)
        reseal(run_of(student).parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["loss.teacher=source"], "loss.teacher=source learns from the run file that the negatives come from, but "),
        (["data.measured_on=train"], "data.measured_on=train measures on the queries that model=cross_encoder learns"),
    ],
)
def test_settings_without_a_run_are_refused(tiny: list[str], changes: list[str], message: str):
    with pytest.raises(ExperimentError, match=re.escape(message)):
        compose.check(composed(*tiny, *changes))


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (
            {"model": "colbert"},
            "it must rank the training queries with a trained model, but this job has model=colbert",
        ),
        (
            {"retriever": ["bm25", "collection"], "first_stage": ["bm25", "collection"], "model.job": {"loss": "lce"}},
            "it must write one run, but this job has first_stage=['bm25', 'collection']: name one retriever",
        ),
    ],
)
def test_a_job_that_writes_no_run_is_refused(tiny: list[str], job: dict[str, Any], message: str):
    parent = compose.check(composed(*tiny, "retriever=[bm25,teacher_run]", "loss.teacher=some/model"))
    with pytest.raises(ExperimentError, match=re.escape(message)):
        prerequisites.compose_prerequisite("retrievers.teacher_run.job", job, parent)


def test_a_run_that_nothing_writes_is_refused(tiny: list[str]):
    source = ["retriever=[bm25,teacher_run]", "negatives.source=teacher_run", "retrievers.teacher_run.job=null"]
    experiment = compose.check(composed(*tiny, *source, "loss.teacher=source"))
    with pytest.raises(ExperimentError, match=r"retrievers\.teacher_run\.path is null: set it to a run file, or "):
        make_components(experiment)


def test_several_files_are_no_single_teacher(tiny: list[str], student: Job):
    files = f"[{run_of(student)},{run_of(student)}]"
    with pytest.raises(
        ExperimentError, match=r"loss\.teacher=source learns from one run file, but retrievers\.run_file"
    ):
        run(
            [
                *tiny,
                "retriever=[bm25,run_file]",
                f"retrievers.run_file.path={files}",
                "negatives.source=run_file",
                "loss.teacher=source",
            ]
        )
