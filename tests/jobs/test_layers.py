"""What the layers know, and dual encoders made of them: whole jobs on a tiny model."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed, job_override, run, tiny_overrides
from helpers.wandb_records import isolated_wandb, read_offline_runs

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs import prerequisites

Job = tuple[dict[str, Any], Path]
DUAL = ["model=dual_encoder", "model.max_length=48", "model.max_query_tokens=16", "batch.size=8", "budget.size=32"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="module")
def probed(outputs: Path, data: Path, backbone: Path) -> Job:
    overrides = tiny_overrides(outputs, data, backbone, "probe=all_layers", "probe.pooling=[mean,cls]", "study=probe")
    with isolated_wandb(outputs):
        return run([*overrides, "logger=wandb_offline"])


@pytest.fixture(scope="module")
def infused(outputs: Path, data: Path, backbone: Path) -> Job:
    sizes = (
        "model.max_length=48 model.max_query_tokens=16 negatives.count=3 negatives.depth=20 budget.size=32 batch.size=4"
    )
    job = job_override("model.job", f"loss=lce {sizes} validation.depth=10 first_stage_depth=10")
    return run([*tiny_overrides(outputs, data, backbone), *DUAL, job])


def test_every_layer_is_measured_as_a_retriever_and_on_each_first_stage(probed: Job):
    metrics, _ = probed
    cells = metrics["probe"]["model"]["cells"]
    found = {(one["layer"], one["pooling"], one["candidates"]) for one in cells}
    assert found == {
        (layer, pooling, where)
        for layer in (0, 1, 2)
        for pooling in ("mean", "cls")
        for where in ("whole_collection", "bm25")
    }
    assert cells[0]["mean"].keys() == {"RR@10", "R@100", "nDCG@10", "Hits@10"}
    assert metrics["probe"]["model"]["first_stages"]["bm25"]["RR@10"] == pytest.approx(
        metrics["test"]["bm25"]["first_stage"]["RR@10"]
    )


def test_a_layer_that_the_model_lacks_stops_before_anything_is_trained(tmp_path: Path, data: Path, backbone: Path):
    with pytest.raises(ExperimentError, match=r"probe\.layers has 9, but .* has 2 layers"):
        run([*tiny_overrides(tmp_path, data, backbone), "probe.layers=[0,9]"])
    (status,) = tmp_path.rglob("status.json")
    assert list((status.parent / "checkpoints").iterdir()) == []


def test_the_untrained_backbone_stands_beside_it(probed: Job):
    metrics, _ = probed
    model, control = (metrics["probe"][who] for who in ("model", "control"))
    assert control["weights"] != model["weights"]
    assert len(control["cells"]) == len(model["cells"])


def test_the_curve_is_kept_by_query_and_logged_over_the_layers(probed: Job):
    _, folder = probed
    rows = list(csv.DictReader((folder / "per_query.probe.tsv").open(), delimiter="\t"))
    assert len(rows) == 12
    (record,) = read_offline_runs(folder.parent)
    logged = [row for row in record["history"] if "probe/layer" in row]
    assert [row["probe/layer"] for row in logged] == [0, 1, 2]
    assert record["x_axes"]["probe/whole_collection/mean/RR@10"] == "probe/layer"


def test_a_dual_encoder_has_its_cross_encoder_trained_first_of_the_same_backbone(infused: Job):
    _, folder = infused
    (status,) = (folder.parents[1] / "for_dual_encoder").glob("lce-n3-*/status.json")
    teacher = status.parent
    assert json.loads(status.read_text())["state"] == "finished"
    assert yaml.safe_load((teacher / "config.yaml").read_text())["backbone"]["name"] == "random-bert"
    inputs = json.loads((folder / "status.json").read_text())["inputs"]
    assert inputs.keys() == {"collection", "backbone", "loss", "code", "model.cross_encoder"}


def test_it_is_measured_over_the_whole_collection_beside_the_first_stage(infused: Job):
    metrics, folder = infused
    assert metrics["labels"]["infused"] == "embeddings+1"
    assert metrics["test"]["whole_collection"]["compared_to"] == "bm25"
    assert metrics["test"]["whole_collection"]["first_stage"] == metrics["test"]["bm25"]["first_stage"]
    rows = list(csv.DictReader((folder / "per_query.whole_collection.tsv").open(), delimiter="\t"))
    mean = sum(float(row["RR@10"]) for row in rows) / len(rows)
    assert mean == pytest.approx(metrics["test"]["whole_collection"]["RR@10"], abs=1e-5)


def test_the_pipeline_has_both_qualities_and_times(infused: Job):
    metrics, _ = infused
    alone, both = (metrics["pipeline"][name] for name in ("dual_encoder", "dual_encoder+cross_encoder"))
    assert alone["RR@10"] == pytest.approx(metrics["test"]["whole_collection"]["RR@10"])
    assert 0 < alone["ms_per_query"] < both["ms_per_query"]


def test_the_loop_closes(infused: Job, data: Path, backbone: Path):
    _, folder = infused
    roles = ["retriever=[bm25,dense]", "negatives.source=dense", "first_stage=[bm25,dense]"]
    checkpoint = f"retrievers.dense.checkpoint={folder / 'model'}"
    metrics, job = run([*tiny_overrides(folder.parents[2], data, backbone), *roles, checkpoint, "study=loop"])
    assert metrics["test"].keys() == {"bm25", "dense"}
    assert json.loads((job / "audit.json").read_text())["source"] == "dense"


def test_a_plain_dual_encoder_needs_no_cross_encoder(data: Path):
    plain = ["model.infused=[]", "model.infuse_embeddings=false"]
    config = composed("data=beir", f"data.path={data}", "model=dual_encoder", *plain)
    assert prerequisites.jobs_before(compose.check(config)) == {}
