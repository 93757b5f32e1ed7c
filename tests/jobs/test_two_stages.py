"""Trainings that start from a finished job: whole jobs on a tiny model, and what is refused before one starts."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.jobs import composed, job_override, mapping_of, run, tiny_overrides
from helpers.seals import reseal
from helpers.tiny import write_tiny_bert
from safetensors.torch import load_file

from experiments import study
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_hash, job_name
from experiments.jobs import prerequisites
from experiments.jobs.check_jobs import check_jobs
from experiments.models.cross_encoder.lightning_module import CrossEncoder

Job = tuple[dict[str, Any], Path]
SIZES = (
    "model.max_length=48 model.max_query_tokens=16 negatives.count=3 negatives.depth=20 budget.size=32 batch.size=4 "
    "validation.depth=10 first_stage_depth=10 optimizer.lr=1e-3"
)
STAGE_1 = job_override("init_from.job", f"loss=bce {SIZES}")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    return tiny_overrides(tmp_path_factory.mktemp("stages"), data, backbone)


@pytest.fixture(scope="module")
def both(tiny: list[str]) -> Job:
    return run([*tiny, "loss=ranknet", STAGE_1])


def stage_1_of(job: Job) -> Path:
    (status,) = (job[1].parents[1] / "for_init_from").glob("bce-n3-*/status.json")
    assert json.loads(status.read_text())["state"] == "finished"
    return status.parent


def scores_of(folder: Path) -> list[str]:
    with gzip.open(folder / "run.bm25.trec.gz", "rt") as lines:
        return [" ".join(line.split()[:5]) for line in lines]


def test_the_first_stage_is_trained_first_on_the_same_data_and_backbone(both: Job):
    first, second = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (stage_1_of(both), both[1]))
    assert (first["loss"]["name"], second["loss"]["name"]) == ("bce", "ranknet")
    assert (first["data"], first["backbone"]) == (second["data"], second["backbone"])


def test_labels_and_name_say_what_the_first_stage_was(both: Job):
    assert (both[0]["labels"]["init_from"], both[0]["labels"]["loss"]) == ("bce", "ranknet")
    assert both[1].name.startswith("bce+ranknet-n3-bm25-s1-")


def test_the_trained_weights_are_an_input_in_the_place_of_the_backbone(both: Job):
    inputs = json.loads((both[1] / "status.json").read_text())["inputs"]
    assert inputs.keys() == {"collection", "loss", "code", "init_from.path"}


def test_a_second_stage_that_moves_nothing_scores_as_the_first_to_the_last_digit(tiny: list[str], both: Job):
    _, folder = run([*tiny, "loss=ranknet", STAGE_1, "optimizer.lr=1e-30", "optimizer.weight_decay=0", "seed=7"])
    assert scores_of(folder) == scores_of(stage_1_of(both))
    assert scores_of(folder) != scores_of(both[1])
    before, after = (load_file(job / "model" / "model.safetensors") for job in (stage_1_of(both), folder))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before), "the head too"


def test_many_second_stages_share_one_first_stage(tiny: list[str], both: Job):
    before = (stage_1_of(both) / "status.json").stat().st_mtime_ns
    _, folder = run([*tiny, "loss=lce", STAGE_1, "seed=2"])
    assert folder != both[1]
    assert (stage_1_of(both) / "status.json").stat().st_mtime_ns == before


def test_neither_job_is_run_again(tiny: list[str], both: Job):
    files = [folder / "status.json" for folder in (both[1], stage_1_of(both))]
    before = [file.stat().st_mtime_ns for file in files]
    assert run([*tiny, "loss=ranknet", STAGE_1]) == both
    assert [file.stat().st_mtime_ns for file in files] == before


@pytest.mark.parametrize("part", ["", "model"])
def test_the_folder_of_a_finished_job_is_the_same_first_stage(tiny: list[str], both: Job, part: str):
    metrics, _ = run([*tiny, "loss=ranknet", f"init_from.path={stage_1_of(both) / part}"])
    assert metrics["test"] == both[0]["test"]
    assert metrics["labels"] == both[0]["labels"]


def test_a_training_that_stopped_and_went_on_ends_as_one_that_did_not(
    tiny: list[str], both: Job, monkeypatch: pytest.MonkeyPatch
):
    train = CrossEncoder.training_step

    def stop(self: CrossEncoder, batch: Any, batch_idx: int) -> Any:
        if batch.step == 6:
            raise RuntimeError("out of memory")
        return train(self, batch, batch_idx)

    halves = [*tiny, "loss=ranknet", STAGE_1, "study=in_two_halves"]
    monkeypatch.setattr(CrossEncoder, "training_step", stop)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(halves)
    monkeypatch.undo()
    resumed, folder = run(halves)
    assert json.loads((folder / "status.json").read_text())["attempts"] == 2
    assert (resumed["test"], resumed["dev"]) == (both[0]["test"], both[0]["dev"])
    assert scores_of(folder) == scores_of(both[1])


def test_a_head_of_other_outputs_starts_anew_and_a_warning_says_so(
    tiny: list[str], both: Job, caplog: pytest.LogCaptureFixture
):
    run([*tiny, "loss=bce_two_class", STAGE_1, "budget.size=8"])
    assert "init_from.path has a head of 1 outputs, and this model one of 2" in caplog.text
    assert "starts at random" in caplog.text


def test_a_trained_head_keeps_its_bias(tiny: list[str], both: Job):
    still = ["optimizer.lr=1e-30", "optimizer.weight_decay=0", "seed=7", "model.head_bias=prior"]
    _, folder = run([*tiny, "loss=ranknet", STAGE_1, *still])
    assert scores_of(folder) == scores_of(stage_1_of(both))


def test_a_first_stage_that_was_trained_again_changes_what_went_on_from_it(
    tiny: list[str], both: Job, capsys: pytest.CaptureFixture[str]
):
    jobs = [*tiny, "loss=ranknet", STAGE_1]
    weights = stage_1_of(both) / "model" / "model.safetensors"
    assert study.main(["plan", *jobs]) == 0
    said = capsys.readouterr().out
    assert "for init_from" in said
    assert "2 jobs: 2 done; what is done is skipped" in said
    before = weights.read_bytes()
    try:
        weights.write_bytes(before[:-4] + b"\x00\x00\x80\x3f")
        reseal(stage_1_of(both))
        assert study.main(["plan", *jobs]) == 0
        said = capsys.readouterr().out
        assert "2 jobs: 1 done, 1 changed" in said
        assert f"{both[1].name} runs again: init_from.path changed" in said
        assert study.main(["verify", str(both[1].parent)]) == 1
        assert f"{both[1].name}: status.json, digest of the input init_from.path" in capsys.readouterr().out
    finally:
        weights.write_bytes(before)
        reseal(stage_1_of(both))


def test_a_colbert_goes_on_with_its_projection(tiny: list[str]):
    colbert = [*tiny, "model=colbert", "model.dimension=16", "model.max_length=48", "model.max_query_tokens=16"]
    first = f"model=colbert model.dimension=16 {SIZES}"
    moving = [*colbert, job_override("init_from.job", first)]
    metrics, folder = run([*moving, "optimizer.lr=1e-30", "optimizer.weight_decay=0"])
    (before,) = (folder.parents[1] / "for_init_from").glob("colbert-*/status.json")
    assert metrics["labels"]["init_from"] == "lce"
    assert scores_of(folder) == scores_of(before.parent)


def test_a_stage_may_itself_go_on_from_another(tiny: list[str], data: Path):
    third = job_override("init_from.job", f"loss=lce init_from={{job:{{loss:bce}}}} {SIZES}")
    experiment = compose.check(composed(*tiny, "loss=ranknet", third))
    (second,) = prerequisites.prerequisites_of(experiment)
    (first,) = second.prerequisites
    assert [job.experiment.loss["name"] for job in second.deepest_first()] == ["bce", "lce"]
    assert (first.key, first.trains) == ("init_from.job", "init_from.path")


def test_the_first_stage_may_say_other_data(tmp_path: Path):
    given = ("data=beir", f"data.path={tmp_path}", "data.queries.train=50", "trainer=cpu")
    parent = compose.check(composed(*given, "loss=ranknet", "init_from.job={loss:lce}"))

    def data_of(job: str) -> Any:
        return prerequisites.compose_prerequisite("init_from.job", mapping_of(job), parent)[0].data

    assert data_of("loss=lce") == parent.data
    more = data_of("data.queries.train=400")
    assert (more.path, more.queries.train, more.queries.dev) == (str(tmp_path), 400, parent.data.queries.dev)
    assert data_of("data=apidocs").source["_target_"] != parent.data.source["_target_"]
    with pytest.raises(ExperimentError, match=r"init_from\.job: data\.path must be given: .* to this job"):
        data_of("data=beir")


def test_a_training_in_one_stage_keeps_its_name(data: Path):
    config = compose.plain(composed("data=beir", f"data.path={data}"))
    assert config["init_from"] == {"path": None, "job": None, "label": None}
    without = {key: value for key, value in config.items() if key != "init_from"}
    assert job_hash(config) == job_hash(without)
    assert job_name(config).startswith("lce-n7-bm25-s1-")


def test_which_first_stage_it_is_is_part_of_what_a_job_is_and_its_label_is_not(data: Path):
    base = ["data=beir", f"data.path={data}"]
    jobs = ("init_from.job={loss:lce}", "init_from.job={loss:bce}", "init_from.path=a/b", "seed=1")
    assert len({job_hash(compose.plain(composed(*base, job))) for job in jobs}) == 4
    plain, named = (job_hash(compose.plain(composed(*base, jobs[2], *more))) for more in ([], ["init_from.label=x"]))
    assert plain == named


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["init_from.job=loss"], r"init_from\.job is 'loss': write the overrides of the job as a mapping"),
        (["init_from.label=mine"], r"init_from\.label=mine names no first stage of a training: set init_from\.path"),
        (
            ["model=dual_encoder", "init_from.job={loss:lce}"],
            r"init_from starts a training from a trained model, which model=dual_encoder does not: leave it out",
        ),
    ],
)
def test_settings_that_go_on_from_nothing_are_refused(data: Path, changes: list[str], message: str):
    with pytest.raises(ExperimentError, match=message):
        compose.check(composed("data=beir", f"data.path={data}", *changes))


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("loss=lcee", "Could not find 'loss/lcee'"),
        (
            "model=colbert",
            "it must train the model that goes on from it, model=cross_encoder, but this job has model=colbert",
        ),
        ("backbone=minilm", "it says backbone=minilm, but is trained from the backbone of the job that needs it"),
        ("trainer.precision=bf16-mixed", "it says trainer.precision=bf16-mixed, but is trained by the trainer of"),
    ],
)
def test_the_job_of_a_first_stage_is_checked(data: Path, job: str, message: str):
    parent = compose.check(composed("data=beir", f"data.path={data}", "trainer=cpu", "init_from.job={loss:lce}"))
    with pytest.raises(ExperimentError, match=rf"^init_from\.job: .*{re.escape(message)}"):
        prerequisites.compose_prerequisite("init_from.job", mapping_of(job), parent)


def test_a_first_stage_that_would_need_itself_is_refused(data: Path):
    parent = compose.check(composed("data=beir", f"data.path={data}", "init_from.job={loss:lce}"))
    with pytest.raises(ExperimentError, match=r"init_from\.job: this job would need itself done first"):
        prerequisites.compose_prerequisite("init_from.job", {"loss": "lce"}, parent, chain=("loss=lce",))


def refused(tiny: list[str], *changes: str) -> str:
    with pytest.raises(ExperimentError) as caught:
        check_jobs({"": composed(*tiny, *changes)}, networks=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_no_trained_cross_encoder_is_refused_before_anything_starts(
    tiny: list[str], both: Job, backbone: Path, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    missing = tmp_path / "missing"
    said = refused(tiny, f"init_from.path={missing}")
    assert said.startswith(f"init_from.path: there is no folder {missing}: give the folder of a finished job of the ")
    assert refused(tiny, f"init_from.path={tmp_path / 'empty'}").startswith("init_from.path cannot be loaded from ")
    said = refused(tiny, f"init_from.path={backbone}")
    assert said.startswith(f"init_from.path: {backbone} is no trained cross-encoder, it lacks weights such as cl")
    other = refused(tiny, "model=colbert", "model.dimension=16", f"init_from.path={stage_1_of(both)}")
    assert other.startswith(f"init_from.path: {stage_1_of(both) / 'model'} is no late-interaction encoder: ")


def test_a_model_of_another_backbone_is_refused(tiny: list[str], both: Job, tmp_path: Path):
    start = f"init_from.path={stage_1_of(both)}"
    deeper = write_tiny_bert(tmp_path / "deeper", ["a b c"], layers=5)
    said = refused(tiny, start, f"backbone.path={deeper}")
    assert "has num_hidden_layers 2, backbone 'random-bert' has 5: choose the backbone that it was trained from" in said
    words = write_tiny_bert(tmp_path / "words", ["quite other words"])
    said = refused(tiny, start, f"backbone.path={words}")
    assert "has another vocabulary than backbone 'random-bert': choose the backbone that it was trained from" in said


def test_a_missing_folder_stops_before_anything_is_trained(tiny: list[str], tmp_path: Path):
    shutil.rmtree(tmp_path / "outputs", ignore_errors=True)
    with pytest.raises(ExperimentError, match=r"init_from\.path: there is no folder"):
        run([*tiny, f"init_from.path={tmp_path / 'missing'}", f"outputs={tmp_path / 'outputs'}"])
    assert list((tmp_path / "outputs").rglob("model")) == []
