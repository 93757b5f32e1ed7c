"""Cross-encoders that learn from a teacher: whole jobs on a tiny model, and what is refused before one starts."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed, job_override, mapping_of, run, tiny_overrides
from helpers.seals import reseal
from helpers.tiny import write_tiny_bert

from experiments import study
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_hash
from experiments.jobs import prerequisites
from experiments.models.cross_encoder.lightning_module import CrossEncoder

Job = tuple[dict[str, Any], Path]
SIZES = (
    "model.max_length=48 model.max_query_tokens=16 negatives.count=3 negatives.depth=20 budget.size=32 batch.size=4 "
    "validation.depth=10 first_stage_depth=10"
)


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    tiny = tiny_overrides(tmp_path_factory.mktemp("teachers"), data, backbone)
    return [*tiny, "loss=margin_mse", job_override("loss.job", f"loss=lce {SIZES}")]


@pytest.fixture(scope="module")
def student(overrides: list[str]) -> Job:
    return run(overrides)


def teacher_of(student: Job) -> Path:
    (status,) = (student[1].parents[1] / "for_loss").glob("lce-n3-*/status.json")
    assert json.loads(status.read_text())["state"] == "finished"
    return status.parent


def test_the_teacher_is_trained_first_on_the_same_data_and_backbone(student: Job):
    config = yaml.safe_load((teacher_of(student) / "config.yaml").read_text())
    assert config["backbone"]["name"] == "random-bert"
    assert config["data"] == yaml.safe_load((student[1] / "config.yaml").read_text())["data"]


def test_the_teachers_content_is_an_input_of_the_job(student: Job):
    inputs = json.loads((student[1] / "status.json").read_text())["inputs"]
    assert inputs.keys() == {"collection", "backbone", "loss", "code", "loss.teacher"}


def test_the_operations_of_the_teacher_are_counted_and_its_tokens_are_not(student: Job):
    spent = student[0]["compute"]
    alone = json.loads((teacher_of(student) / "compute.json").read_text())
    assert spent["tokens"] == alone["tokens"]
    assert spent["flops"] == pytest.approx(alone["flops"] * 4 / 3), "one forward pass more than forward and backward"


def test_neither_job_is_run_again(student: Job, overrides: list[str]):
    files = [folder / "status.json" for folder in (student[1], teacher_of(student))]
    before = [file.stat().st_mtime_ns for file in files]
    assert run(overrides) == student
    assert [file.stat().st_mtime_ns for file in files] == before


def test_a_folder_is_the_same_teacher(student: Job, overrides: list[str]):
    given = [*overrides[:-1], f"loss.teacher={teacher_of(student) / 'model'}"]
    metrics, _ = run(given)
    assert metrics["test"] == student[0]["test"]


def test_a_training_that_stopped_and_went_on_ends_as_one_that_did_not(
    student: Job, overrides: list[str], monkeypatch: pytest.MonkeyPatch
):
    train = CrossEncoder.training_step

    def stop(self: CrossEncoder, batch: Any, batch_idx: int) -> Any:
        if self.teacher_cost is not None and batch.step == 6:
            raise RuntimeError("out of memory")
        return train(self, batch, batch_idx)

    halves = [*overrides, "study=in_two_halves"]
    monkeypatch.setattr(CrossEncoder, "training_step", stop)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(halves)
    monkeypatch.undo()
    resumed, folder = run(halves)
    assert json.loads((folder / "status.json").read_text())["attempts"] == 2
    assert (resumed["test"], resumed["dev"]) == (student[0]["test"], student[0]["dev"])


def test_another_backbone_of_the_teacher_changes_both_jobs(
    overrides: list[str], tmp_path: Path, data: Path, backbone: Path, capsys: pytest.CaptureFixture[str]
):
    own = Path(shutil.copytree(backbone, tmp_path / "own"))
    job = f"loss=lce {SIZES} backbone=local backbone.path={own} backbone.name=own"
    outputs = tmp_path / "outputs"
    jobs = [*overrides[:-1], job_override("loss.job", job), f"outputs={outputs}"]
    _, folder = run(jobs)
    assert study.main(["plan", *jobs]) == 0
    assert "2 jobs: 2 done; what is done is skipped" in capsys.readouterr().out
    assert study.main(["verify", str(folder.parent)]) == 0
    weights = own / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    capsys.readouterr()
    assert study.main(["plan", *jobs]) == 0
    said = capsys.readouterr().out
    assert "2 jobs: 2 changed\n" in said
    assert "to do: 64 groups" in said, "32 of the teacher and 32 of the job"
    assert study.main(["verify", str(folder.parent)]) == 1
    assert f"{folder.name}: the job that trains loss.teacher has changed inputs: backbone\n" in capsys.readouterr().out
    (teacher,) = (outputs / "for_loss").glob("lce-*/status.json")
    before = teacher.read_text()
    for text in ("{}", None):
        teacher.unlink() if text is None else teacher.write_text(text)
        assert study.main(["plan", *jobs]) == 0
        assert "2 jobs: 1 changed, 1 unreadable" in " ".join(capsys.readouterr().out.split())
        assert study.main(["verify", str(folder.parent)]) == 1
        assert ": the job that trains loss.teacher is unreadable\n" in capsys.readouterr().out
    teacher.write_text(before)
    run(jobs)
    assert study.main(["plan", *jobs]) == 0
    assert "2 jobs: 2 done; what is done is skipped" in capsys.readouterr().out


def test_a_teacher_that_was_trained_again_changes_what_learnt_from_it(
    student: Job, overrides: list[str], capsys: pytest.CaptureFixture[str]
):
    weights = teacher_of(student) / "model" / "model.safetensors"
    before = weights.read_bytes()
    try:
        weights.write_bytes(before[:-4] + b"\x00\x00\x80\x3f")
        reseal(teacher_of(student))
        assert study.main(["plan", *overrides]) == 0
        assert "2 jobs: 1 done, 1 changed" in capsys.readouterr().out
    finally:
        weights.write_bytes(before)
        reseal(teacher_of(student))


def test_a_job_may_choose_another_backbone_whose_tokens_are_its_own(
    student: Job, overrides: list[str], tmp_path: Path, data: Path
):
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    other = write_tiny_bert(tmp_path / "other", ["a few more words", *texts], layers=1)
    job = f"loss=lce {SIZES} backbone=local backbone.path={other} backbone.name=other-bert"
    metrics, folder = run([*overrides[:-1], "loss=kl_divergence", job_override("loss.job", job)])
    (teacher,) = [
        one.parent
        for one in (folder.parents[1] / "for_loss").glob("*/config.yaml")
        if yaml.safe_load(one.read_text())["backbone"]["name"] == "other-bert"
    ]
    assert (teacher / "model" / "config.json").exists()
    assert metrics["labels"]["loss"] == "kl_divergence"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model=colbert"], "loss=margin_mse learns from a teacher, which only model=cross_encoder does"),
        (["model=dual_encoder"], r"choose a loss without one, such as loss=lce and model\.distil"),
        (["loss.job=null"], "loss.teacher is null, but loss=margin_mse learns from it"),
        (["loss=lce", "+loss.job={loss:bce}"], "loss.job does not exist: loss=lce learns from no teacher"),
    ],
)
def test_what_cannot_learn_from_a_teacher_is_refused(data: Path, changes: list[str], message: str):
    with pytest.raises(ExperimentError, match=message):
        compose.check(composed("data=beir", f"data.path={data}", "loss=margin_mse", *changes))


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("loss=lcee", r"loss\.job: Could not find 'loss/lcee'"),
        ("model=colbert", r"loss\.job: it must train a cross-encoder, but this job has model=colbert"),
    ],
)
def test_the_job_of_a_teacher_is_checked(data: Path, job: str, message: str):
    parent = compose.check(composed("data=beir", f"data.path={data}", "loss=margin_mse"))
    with pytest.raises(ExperimentError, match=message):
        prerequisites.compose_prerequisite("loss.job", mapping_of(job), parent)


def test_a_job_says_only_what_it_does_not_inherit(tmp_path: Path):
    given = ("data=beir", f"data.path={tmp_path}", "trainer=cpu", "retriever=[bm25,colbert]", "first_stage=[colbert]")
    parent = compose.check(composed(*given, "loss=margin_mse"))
    same = f"data=beir data.path={tmp_path} trainer=cpu compute.threads=3 study=mine"
    for key, kind in (("loss.job", "loss=lce"), ("retrievers.colbert.job", "model=colbert")):
        alone, _ = prerequisites.compose_prerequisite(key, mapping_of(kind), parent)
        assert (alone.data, alone.trainer) == (parent.data, parent.trainer)
        assert prerequisites.compose_prerequisite(key, mapping_of(f"{kind} {same}"), parent)[0] == alone


@pytest.mark.parametrize("key", ["loss.job", "model.job", "retrievers.colbert.job"])
@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("data=beir", "it says data=beir, but is trained on the data of the job that needs it: leave data= and "),
        ("data=beir data.path=elsewhere", "it says data=beir data.path=elsewhere, but is trained on the data of"),
        ("trainer.precision=bf16-mixed", "it says trainer.precision=bf16-mixed, but is trained by the trainer of"),
    ],
)
def test_what_a_job_would_not_get_is_refused_by_its_key(tmp_path: Path, key: str, job: str, message: str):
    parent = compose.check(composed("data=beir", f"data.path={tmp_path}", "trainer=cpu", "loss=margin_mse"))
    with pytest.raises(ExperimentError, match=rf"^{re.escape(key)}: .*{message}"):
        prerequisites.compose_prerequisite(key, mapping_of(job), parent)


def test_layers_are_copied_from_a_cross_encoder_of_the_same_backbone(tmp_path: Path):
    parent = compose.check(composed("data=beir", f"data.path={tmp_path}", "model=dual_encoder"))
    with pytest.raises(ExperimentError, match=r"^model\.job: it says backbone=minilm, but is trained from"):
        prerequisites.compose_prerequisite("model.job", {"loss": "lce", "backbone": "minilm"}, parent)


def test_a_teacher_that_would_need_itself_is_refused(data: Path):
    parent = compose.check(composed("data=beir", f"data.path={data}", "loss=margin_mse"))
    (job,) = prerequisites.jobs_before(parent).values()
    with pytest.raises(ExperimentError, match=r"loss\.job: this job would need itself done first"):
        prerequisites.compose_prerequisite("loss.job", job, parent, chain=("loss=lce negatives.count=7",))


def test_a_teacher_that_is_given_needs_no_job(data: Path):
    config = composed("data=beir", f"data.path={data}", "loss=margin_mse", "loss.teacher=some/model")
    assert prerequisites.jobs_before(compose.check(config)) == {}


def test_which_teacher_it_is_is_part_of_what_a_job_is(data: Path):
    base = ["data=beir", f"data.path={data}", "loss=margin_mse"]
    one, other = (compose.plain(composed(*base, f"loss.teacher={name}")) for name in ("a/b", "a/c"))
    assert job_hash(one) != job_hash(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("loss.teacher={}/missing", r"loss\.teacher: there is no folder"),
        ("loss.teacher={}/empty", r"loss\.teacher: the folder .* holds no model"),
    ],
)
def test_a_teacher_that_is_not_there_stops_before_anything_is_trained(
    overrides: list[str], tmp_path: Path, change: str, message: str
):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExperimentError, match=message):
        run([*overrides, change.format(tmp_path), f"outputs={tmp_path / 'outputs'}"])
    assert list((tmp_path / "outputs").rglob("model")) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["loss=lambda_loss", "loss.fn.scheme=ndcg"], r"loss\.fn\.scheme is 'ndcg'"),
        (["loss=gbce", "loss.fn.t=2"], r"loss\.fn\.t is 2"),
    ],
)
def test_a_setting_that_a_loss_refuses_stops_before_anything_is_trained(
    overrides: list[str], tmp_path: Path, changes: list[str], message: str
):
    with pytest.raises(ExperimentError, match=message):
        run([*overrides[:-2], *changes, f"outputs={tmp_path / 'outputs'}"])
    assert list((tmp_path / "outputs").rglob("checkpoints/*")) == []
