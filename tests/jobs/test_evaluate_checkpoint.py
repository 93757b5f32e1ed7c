"""A finished model measured as it is: its own numbers again, further test sets, and the labels of its training."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed, run, tiny_overrides

from experiments.analysis.load import read_study
from experiments.analysis.settings import group_results
from experiments.common.errors import ExperimentError
from experiments.jobs.check_jobs import check_jobs
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture(scope="module")
def trained(place: Path, data: Path, backbone: Path) -> Path:
    """A training with a test set: the same passages, the first five of the queries, its own depth and measure."""
    return run(tiny_overrides(place, data, backbone, *test_set("few", data)))[1]


@pytest.fixture(scope="module")
def measured(place: Path, data: Path, backbone: Path, trained: Path) -> Path:
    return run(checkpoint_overrides(place, data, backbone, f"model.path={trained}"))[1]


def test_set(name: str, folder: Path, **changes: Any) -> list[str]:
    reader = {"_target_": "experiments.data.readers.beir.BeirFolder", "path": str(folder), "name": name}
    settings = {
        "data": {"source": reader, "path": str(folder), "queries": {"test": 5}, "carve_dev": 0},
        "retrievers": {"bm25": {"_target_": "experiments.retrieval.bm25.BM25"}},
        "first_stage_depth": 8,
        "measures": ["RR@5"],
    }
    dumped = yaml.safe_dump(settings | changes, default_flow_style=True, width=10_000).strip()
    return [f"+tests.{name}={dumped.replace(': ', ':')}"]


test_set.__test__ = False  # type: ignore[attr-defined]


def checkpoint_overrides(place: Path, data: Path, backbone: Path, *more: str) -> list[str]:
    lengths = ("model.max_length=", "model.max_query_tokens=")
    kept = [one for one in tiny_overrides(place, data, backbone) if not one.startswith(lengths)]
    return ["model=checkpoint", *kept, "seed=5", *more]


def metrics_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def on(trained: Path, name: str) -> Path:
    (folder,) = trained.parent.glob(f"{trained.name}-on-{name}-*")
    return folder


def test_a_model_has_the_numbers_of_its_own_training_job_to_the_last_digit(trained: Path, measured: Path):
    assert metrics_of(measured)["test"] == metrics_of(trained)["test"]
    assert (measured / "per_query.bm25.tsv").read_bytes() == (trained / "per_query.bm25.tsv").read_bytes()


def test_its_labels_are_those_of_the_training(trained: Path, measured: Path):
    of_training = metrics_of(trained)["labels"]
    assert metrics_of(measured)["labels"] == {**of_training, "trained_on": of_training["data"]}


def test_its_folder_has_the_name_of_the_job_and_of_the_data(trained: Path, measured: Path):
    assert measured.name.startswith(f"{trained.name}-on-shapes-")


def test_a_test_set_is_measured_after_the_training_by_its_own_depth_and_measures(trained: Path):
    metrics = metrics_of(on(trained, "few"))
    assert metrics["labels"]["data"] == "few"
    found = metrics["test"]["bm25"]
    assert {"RR@5"} < set(found)
    assert "RR@10" not in found
    assert found["queries"] == 5
    assert found["pairs"] <= 40


def test_a_test_set_may_be_added_to_a_finished_job(place: Path, data: Path, backbone: Path, trained: Path):
    model = (trained / "model" / "model.safetensors").stat()
    run(tiny_overrides(place, data, backbone, *test_set("more", data)))
    assert metrics_of(on(trained, "more"))["labels"]["data"] == "more"
    assert (trained / "model" / "model.safetensors").stat() == model


def test_jobs_of_a_study_and_their_test_sets_are_reported_as_groups_by_data(trained: Path):
    groups = group_results(
        job for job in read_study(trained.parent) if job.name in (trained.name, on(trained, "few").name)
    )
    assert [(group.data, group.measure) for group in groups] == [("shapes", "RR@10"), ("few", "RR@5")]


def test_models_of_two_seeds_are_one_setting_of_a_test_set(place: Path, data: Path, backbone: Path, trained: Path):
    second = run(tiny_overrides(place, data, backbone, "seed=2", *test_set("few", data)))[1]
    names = (on(trained, "few").name, on(second, "few").name)
    (group,) = group_results(job for job in read_study(trained.parent) if job.name in names)
    (setting,) = group.settings
    assert setting.seeds == (1, 2)


def test_it_is_verified_as_any_job(measured: Path, trained: Path):
    verified = verify_job(measured, InputLoader())
    assert (verified.runs, verified.differences) == (1, ())
    assert verify_job(on(trained, "few"), InputLoader()).differences == ()


def test_it_runs_once(place: Path, data: Path, backbone: Path, trained: Path, measured: Path):
    before = (measured / "metrics.json").stat()
    run(checkpoint_overrides(place, data, backbone, f"model.path={trained}", "optimizer.lr=0.5", "loss=bce"))
    assert (measured / "metrics.json").stat() == before


def test_a_model_that_no_job_trained_has_the_name_of_its_folder(place: Path, data: Path, backbone: Path, trained: Path):
    folder = shutil.copytree(trained / "model", place / "published")
    metrics, _ = run(checkpoint_overrides(place, data, backbone, f"model.path={folder}"))
    assert metrics["labels"] == {"loss": "given", "seed": 5, "checkpoint": "published", "data": "shapes"}
    assert "trained_by" not in metrics


def refused(overrides: list[str]) -> str:
    with pytest.raises(ExperimentError) as error:
        check_jobs({"": composed(*overrides)}, networks=True)
    return str(error.value)


def test_what_is_no_model_is_refused_before_anything_is_read(place: Path, data: Path, backbone: Path):
    said = refused(checkpoint_overrides(place, data, backbone, f"model.path={data}"))
    assert said == f"model.path: the folder {data} holds no model, neither a config.json nor a modules.json"


def test_a_backbone_without_a_head_is_no_reranker(place: Path, data: Path, backbone: Path):
    with pytest.raises(ExperimentError, match="is no trained cross-encoder, it lacks weights such as"):
        run(checkpoint_overrides(place, data, backbone, f"model.path={backbone}"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"first_stage": ["colbert"]},
            "tests.few: first_stage is 'colbert': it must be one of the composed retrievers",
        ),
        ({"first_stage_depth": 0}, "tests.few.first_stage_depth is 0: it must be at least 1"),
        ({"measures": ["RR@20"]}, "tests.few: measures: RR@20 looks at 20 passages, but first_stage_depth=8"),
        ({"measures": ["accuracy"]}, "tests.few: measures"),
    ],
)
def test_a_setting_of_a_test_set_is_refused_before_anything_is_trained(
    place: Path, data: Path, backbone: Path, changes: dict[str, Any], message: str
):
    assert refused(tiny_overrides(place, data, backbone, *test_set("few", data, **changes))).startswith(message)


def test_a_test_set_without_its_split_is_refused_before_anything_is_trained(place: Path, data: Path, backbone: Path):
    reader = "experiments.data.readers.beir.BeirFolder"
    source = {"_target_": reader, "path": str(data), "splits": {"test": "dl19"}}
    changed = test_set("few", data, data={"source": source, "path": str(data), "carve_dev": 0})
    with pytest.raises(ExperimentError, match=r"tests\.few: .*dl19"):
        run(tiny_overrides(place / "another", data, backbone, *changed))
    assert not list((place / "another").glob("outputs/adhoc/*/model"))
