"""Headers in a job's run files: off by default, what they say, and that nothing else changes."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed, run, tiny_overrides

from experiments.common.code_versions import VERSIONS
from experiments.config import compose
from experiments.config.identity import job_hash
from experiments.data.run_header import END, START
from experiments.jobs.run_metadata import Origin, header_of
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job

HEADER = "run_files.header=true"
ORIGIN = Origin("lce-1a2b", "shapes", "test", "bm25", trained=True, seconds=1.5, gpu="Some GPU")


def metadata_of(lines: list[str]) -> dict[str, Any]:
    assert (lines[0], lines[-1]) == (START, END)
    content: dict[str, Any] = yaml.safe_load("\n".join(line.removeprefix("#") for line in lines[1:-1]))
    return content


def described(*overrides: str, origin: Origin = ORIGIN) -> dict[str, Any]:
    return metadata_of(header_of(compose.check(composed(HEADER, *overrides)), origin).splitlines())


def test_no_run_file_has_a_header_unless_it_is_asked_for():
    assert header_of(compose.check(composed()), ORIGIN) == ""


def test_a_header_changes_no_job():
    asked = composed(HEADER, "run_files.fields={actor:{team:mine}}")
    assert job_hash(compose.plain(asked)) == job_hash(compose.plain(composed()))
    assert not any("run_metadata" in name or "run_header" in name for name in VERSIONS)


def test_it_has_the_parts_of_the_schema_in_their_order():
    assert list(described()) == [
        "schema-version", "run-version", "tag", "platform", "research goal", "implementation", "resources", "method",
        "data",
    ]  # fmt: skip


def test_a_re_ranked_run_names_its_stages():
    method = described("negatives.count=3", "first_stage_depth=50")["method"]
    assert method["automatic"] is True
    first, second = method["retrieval"]
    assert (first["name"], first["k1"], first["b"], first["stemmer"]) == ("bm25", 0.9, 0.4, "english")
    assert first["method"] == "experiments.retrieval.bm25.BM25"
    assert (second["name"], second["reranks"], second["depth"]) == ("lce-1a2b", "bm25", 50)
    assert (second["loss"], second["negatives"], second["seed"]) == ("lce", 3, 1)


def test_a_fused_first_stage_names_what_it_interpolates():
    overrides = ["retriever=[bm25,colbert,fusion]", "retrievers.fusion.of=[bm25,colbert]"]
    overrides += ["retrievers.colbert.candidates_from=bm25", "first_stage=[fusion]"]
    origin = Origin("fusion", "shapes", "dev", "fusion", trained=False, seconds=1)
    told = described(*overrides, origin=origin)
    stages = {stage["name"]: stage for stage in told["method"]["retrieval"]}
    assert (stages["fusion"]["interpolates"], stages["fusion"]["k"]) == (["bm25", "colbert"], 60)
    assert stages["colbert"]["reranks"] == "bm25"
    assert told["research goal"]["evaluation"].keys() == {"reported measures"}
    assert told["data"] == {"test collection": {"name": "shapes", "split": "dev"}}


def test_the_data_of_the_catalogue_are_named_by_their_ids():
    told = described("data=msmarco_passage")["data"]
    assert told["test collection"]["ir_datasets"] == "msmarco-passage/dev/small"
    assert told["training data"] == [{"name": "shapes", "ir_datasets": "msmarco-passage/train/judged"}]


def test_resources_platform_and_goal_are_the_jobs():
    told = described("measures=[RR@10,AP]")
    assert told["resources"] == {"runtime": {"wallclock": "1500 ms"}}
    assert told["platform"]["hardware"]["gpu"] == {"model": "Some GPU"}
    assert any(name.startswith("torch==") for name in told["platform"]["software"]["libraries"]["python"])
    assert told["research goal"] == {"evaluation": {"reported measures": ["RR@10", "AP"], "baseline": ["bm25"]}}


def test_what_is_given_replaces_the_jobs_own_at_any_depth():
    fields = "{actor:{team:mine,role:reproducer},data:{test collection:{name:Shapes}}}"
    told = described(f"run_files.fields={fields}")
    assert told["actor"] == {"team": "mine", "role": "reproducer"}
    assert told["data"]["test collection"] == {"name": "Shapes", "split": "test"}
    assert told["tag"] == "lce-1a2b"


def test_it_names_no_folder_of_this_machine():
    text = header_of(compose.check(composed(HEADER, "data=beir", "data.path=/home/me/data")), ORIGIN)
    more = ["backbone=local", "backbone.path=/home/me/weights", "backbone.name=mine"]
    text += header_of(compose.check(composed(HEADER, *more)), ORIGIN)
    assert "/home/me" not in text


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> Path:
    overrides = tiny_overrides(tmp_path_factory.mktemp("header"), data, backbone, HEADER, "budget.size=8")
    return run(overrides)[1]


def test_a_jobs_run_file_begins_with_it_and_is_verified(job: Path):
    with gzip.open(job / "run.bm25.trec.gz", "rt") as file:
        lines = file.read().splitlines()
    end = lines.index(END)
    told = metadata_of(lines[: end + 1])
    assert told["tag"] == job.name == lines[end + 1].split()[5]
    assert told["method"]["retrieval"][1]["reranks"] == "bm25"
    assert verify_job(job, InputLoader()).differences == ()
