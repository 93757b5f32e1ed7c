"""A training that is stopped, moved, killed or left with cut files ends as one that ran through."""

import json
import logging
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.file_operations import Killed, Operations
from helpers.jobs import run, tiny_overrides

from experiments.callbacks.checkpoints import KeepCheckpoints
from experiments.common.cache import file_digest, fingerprint
from experiments.common.errors import ExperimentError
from experiments.common.stopping import Stopped
from experiments.job_files.checkpoint_files import RECORD
from experiments.job_files.history import FILE, read_history
from experiments.models.cross_encoder.lightning_module import CrossEncoder

Job = tuple[dict[str, Any], Path]
STEPS = 12  # three validations, after each 4


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> list[str]:
    """A job of 12 steps whose weights hardly move, so that dev is best at the first validation."""
    tiny = tiny_overrides(tmp_path_factory.mktemp("checkpoints"), data, backbone)
    return [*tiny, "budget.size=48", "validation.times=3", "optimizer.lr=1e-9", "model.dropout=0.1"]


@pytest.fixture(scope="module")
def whole(overrides: list[str]) -> Job:
    return run(overrides)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> "Steps":
    return Steps(monkeypatch)


class Steps:
    """The steps that are trained, in the order in which they began, and what happens at the start of one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[int] = []
        self.stop: Callable[[int], None] = lambda step: None
        train = CrossEncoder.training_step

        def step(module: CrossEncoder, batch: Any, batch_idx: int) -> Any:
            self.stop(batch.step)
            self.begun.append(batch.step)
            return train(module, batch, batch_idx)

        monkeypatch.setattr(CrossEncoder, "training_step", step)


def stop_at(*steps: int, error: type[BaseException] = RuntimeError) -> Callable[[int], None]:
    left = list(steps)

    def stop(step: int) -> None:
        if step in left:
            left.remove(step)
            raise error("stopped")

    return stop


def killed(monkeypatch: pytest.MonkeyPatch, overrides: list[str]) -> None:
    """Run a job that is killed: what it would write on its way out is not written."""
    with monkeypatch.context() as patch:
        patch.setattr(KeepCheckpoints, "on_exception", lambda *_: None)
        with pytest.raises(Killed):
            run(overrides)


def assert_same(found: Job, whole: Job) -> None:
    for key in ("dev", "test"):
        assert found[0][key] == whole[0][key]
    weights = [(folder / "model" / "model.safetensors").read_bytes() for _, folder in (found, whole)]
    assert weights[0] == weights[1]
    histories = [read_history(folder / FILE) for _, folder in (found, whole)]
    for name in histories[1]:
        if name != "seconds":
            assert histories[0][name] == pytest.approx(histories[1][name], nan_ok=True, rel=0, abs=0), name
    spent = [(metrics["compute"]["pairs"], metrics["compute"]["tokens"]) for metrics, _ in (found, whole)]
    assert spent[0] == spent[1]
    assert not (found[1] / "checkpoints").exists()


def test_slots_of_a_few_steps_go_on_where_they_stopped_though_dev_does_not_improve(
    overrides: list[str], whole: Job, steps: Steps, tmp_path: Path
):
    steps.stop = stop_at(3, 6, 9)
    slots = [*overrides, f"outputs={tmp_path}"]
    for _ in range(3):
        with pytest.raises(RuntimeError, match="stopped"):
            run(slots)
    assert_same(run(slots), whole)
    assert steps.begun == list(range(STEPS)), "no step was done twice"
    assert whole[0]["dev"]["step"] == 4


def test_a_job_told_to_stop_ends_its_step_and_keeps_it(overrides: list[str], whole: Job, steps: Steps, tmp_path: Path):
    left = [6]

    def terminate(step: int) -> None:
        if step in left:
            left.remove(step)
            os.kill(os.getpid(), signal.SIGTERM)

    steps.stop = terminate
    told = [*overrides, f"outputs={tmp_path}"]
    with pytest.raises(Stopped):
        run(told)
    assert steps.begun == list(range(7))
    (status,) = tmp_path.rglob("status.json")
    assert json.loads(status.read_text())["error"] == "interrupted"
    assert_same(run(told), whole)
    assert steps.begun == list(range(STEPS))


@pytest.mark.parametrize("at", [4, 12])
def test_a_validation_that_was_interrupted_is_made_up_for(
    overrides: list[str], whole: Job, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
):
    left, validate = [at], CrossEncoder.validation_step

    def interrupted(module: CrossEncoder, batch: Any, batch_idx: int) -> None:
        if module.trainer.global_step in left:
            left.clear()
            raise RuntimeError("stopped")
        validate(module, batch, batch_idx)

    monkeypatch.setattr(CrossEncoder, "validation_step", interrupted)
    stopped = [*overrides, f"outputs={tmp_path}"]
    with pytest.raises(RuntimeError, match="stopped"):
        run(stopped)
    assert_same(run(stopped), whole)
    assert steps.begun == list(range(STEPS))


def test_checkpoints_come_by_the_clock_too(
    overrides: list[str], whole: Job, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps.stop = stop_at(3, 7, 10, error=Killed)
    often = [*overrides, f"outputs={tmp_path}", "callbacks.checkpoint.minutes=0"]
    for _ in range(3):
        killed(monkeypatch, often)
    assert_same(run(often), whole)
    assert steps.begun == list(range(STEPS))


def test_without_one_in_between_a_killed_job_goes_on_from_its_last_validation(
    overrides: list[str], whole: Job, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps.stop = stop_at(10, error=Killed)
    once = [*overrides, f"outputs={tmp_path}"]
    killed(monkeypatch, once)
    assert_same(run(once), whole)
    assert steps.begun == [*range(10), *range(8, STEPS)]


@pytest.fixture(scope="module")
def stopped(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of that job, killed after ten steps: two validations, the first one best."""
    outputs = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        Steps(patch).stop = stop_at(10, error=Killed)
        killed(patch, [*overrides, f"outputs={outputs}"])
    return outputs


def test_a_job_whose_outputs_have_moved_remembers_its_best(
    overrides: list[str], whole: Job, stopped: Path, tmp_path: Path, steps: Steps
):
    shutil.copytree(stopped, tmp_path / "another disk")
    assert_same(run([*overrides, f"outputs={tmp_path / 'another disk'}"]), whole)
    assert steps.begun == list(range(8, STEPS))


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "to nothing": lambda content: b"",
    "in half": lambda content: content[: len(content) // 2],
    "by two bytes": lambda content: content[:-2],
    "overwritten": lambda content: content[: len(content) // 2] + b"garbage" + content[len(content) // 2 + 7 :],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("what", "begins"), [("record", 0), ("last", 4), ("best", 0)])
def test_a_damaged_file_is_named_and_the_checkpoint_before_it_is_taken(
    overrides: list[str], whole: Job, stopped: Path, tmp_path: Path, steps: Steps, caplog: pytest.LogCaptureFixture,
    what: str, cut: str, begins: int,
):  # fmt: skip
    outputs = Path(shutil.copytree(stopped, tmp_path / "outputs"))
    (record,) = outputs.rglob(RECORD)
    newest = json.loads(record.read_text())["generations"][0]
    path = record if what == "record" else record.with_name(newest[what]["file"])
    path.write_bytes(CUTS[cut](path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert_same(run([*overrides, f"outputs={outputs}"]), whole)
    assert steps.begun == list(range(begins, STEPS))
    said = "\n".join(one.getMessage() for one in caplog.records)
    assert str(path) in said
    assert "the training begins anew" in said if begins == 0 else "the one of step 4 is tried" in said


@pytest.mark.parametrize("name", ["status.json", "config.yaml", FILE])
def test_other_files_of_the_job_that_were_cut_stop_nothing(
    overrides: list[str], whole: Job, stopped: Path, tmp_path: Path, steps: Steps, name: str
):
    outputs = Path(shutil.copytree(stopped, tmp_path / "outputs"))
    (path,) = outputs.rglob(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_same(run([*overrides, f"outputs={outputs}"]), whole)
    assert steps.begun == list(range(8, STEPS))


@pytest.mark.parametrize("cut", CUTS)
def test_a_finished_job_whose_metrics_were_cut_runs_again(
    overrides: list[str], whole: Job, tmp_path: Path, steps: Steps, cut: str
):
    if cut == "overwritten":
        pytest.skip("what is JSON and was edited is for verify to find")
    outputs = Path(shutil.copytree(whole[1].parents[1], tmp_path / "outputs"))
    (path,) = outputs.rglob("metrics.json")
    path.write_bytes(CUTS[cut](path.read_bytes()))
    assert_same(run([*overrides, f"outputs={outputs}"]), whole)
    assert steps.begun == list(range(STEPS))


class Boom:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit('the file was run')",)


def as_an_earlier_version_left_it(record: Path) -> Path:
    """Turn the checkpoints of a job into those of an earlier version; returns the last one."""
    content = json.loads(record.read_text())
    for saved in [generation[kind] for generation in content["generations"] for kind in ("last", "best")]:
        saved["file"] = saved["file"].replace(".safetensors", ".ckpt")
        torch.save({"state_dict": Boom()}, record.with_name(saved["file"]))
        written = record.with_name(saved["file"])
        saved |= {"bytes": written.stat().st_size, "blake2b": file_digest(written)}
    value = {**content, "version": 1}
    value.pop("digest")
    record.write_text(json.dumps({**value, "digest": fingerprint(value)}))
    return record.with_name(value["generations"][0]["last"]["file"])


@pytest.mark.parametrize("recorded", [True, False])
def test_checkpoints_of_an_earlier_version_are_refused_with_the_way_out_and_kept(
    overrides: list[str], stopped: Path, tmp_path: Path, recorded: bool
):
    outputs = Path(shutil.copytree(stopped, tmp_path / "outputs"))
    (record,) = outputs.rglob(RECORD)
    if recorded:
        last = as_an_earlier_version_left_it(record)
    else:  # by Lightning's own callback
        shutil.rmtree(record.parent)
        record.parent.mkdir()
        last = record.with_name("last.ckpt")
        torch.save({"state_dict": Boom()}, last)
    way_out = f"finish the job with that version, or delete {record.parent} to begin anew"
    with pytest.raises(ExperimentError, match=re.escape(f"{last} is a checkpoint of an earlier version")) as refused:
        run([*overrides, f"outputs={outputs}"])
    assert way_out in str(refused.value)
    assert last.is_file()


def test_the_way_out_of_an_earlier_versions_checkpoints_works(
    overrides: list[str], whole: Job, stopped: Path, tmp_path: Path
):
    outputs = Path(shutil.copytree(stopped, tmp_path / "outputs"))
    (record,) = outputs.rglob(RECORD)
    as_an_earlier_version_left_it(record)
    shutil.rmtree(record.parent)
    assert_same(run([*overrides, f"outputs={outputs}"]), whole)


def test_a_pickle_in_the_place_of_a_checkpoint_is_named_and_never_run(
    overrides: list[str], whole: Job, stopped: Path, tmp_path: Path, steps: Steps, caplog: pytest.LogCaptureFixture
):
    outputs = Path(shutil.copytree(stopped, tmp_path / "outputs"))
    paths = sorted(outputs.rglob("*.safetensors"))
    assert len(paths) == 2
    for path in [*paths, paths[0].with_name("last.ckpt"), paths[0].with_name("000009-step-12.safetensors")]:
        torch.save({"state_dict": Boom()}, path)
    with caplog.at_level(logging.WARNING):
        assert_same(run([*overrides, f"outputs={outputs}"]), whole)
    assert str(paths[0]) in caplog.text
    assert steps.begun == list(range(STEPS))


@pytest.mark.parametrize("kind", ["callbacks=average_last_steps", "callbacks=weight_averaging", "validation.times=0"])
def test_trainings_with_averages_of_weights_or_without_validations_go_on_after_a_stop(
    overrides: list[str], steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    settings = [*overrides, kind, "validation.select=last"]
    through = run([*settings, f"outputs={tmp_path / 'through'}"])
    steps.begun, steps.stop = [], stop_at(4, 11, error=Killed)  # 11 is within the averaged quarter
    settings += [f"outputs={tmp_path / 'halves'}", "callbacks.checkpoint.minutes=0"]
    for _ in range(2):
        killed(monkeypatch, settings)
    assert_same(run(settings), through)
    assert steps.begun == list(range(STEPS))


def test_a_training_without_validations_is_kept_at_its_end(
    overrides: list[str], steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    none = [*overrides, "validation.times=0", "validation.select=last", f"outputs={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(CrossEncoder, "predict_step", lambda *_: (_ for _ in ()).throw(Killed("stopped")))
        killed(monkeypatch, none)
    assert steps.begun == list(range(STEPS))
    assert run(none)[0]["dev"] == {"selected": "last"}
    assert steps.begun == list(range(STEPS)), "no step was done twice"


def test_early_stopping_counts_on_after_a_stop_and_stays_stopped(
    overrides: list[str], steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    patient = [*overrides, "callbacks=early_stopping", "callbacks.early_stopping.patience=1"]
    through = run([*patient, f"outputs={tmp_path / 'through'}"])
    assert steps.begun == list(range(8)), "the second validation is no better than the first"
    halves = [*patient, f"outputs={tmp_path / 'halves'}"]
    steps.begun, steps.stop, export = [], stop_at(6), CrossEncoder.export
    with pytest.raises(RuntimeError, match="stopped"):
        run(halves)

    def fail(module: CrossEncoder, folder: Path) -> None:
        monkeypatch.setattr(CrossEncoder, "export", export)
        raise OSError("no space left")

    monkeypatch.setattr(CrossEncoder, "export", fail)
    with pytest.raises(OSError, match="no space left"):
        run(halves)
    assert_same(run(halves), through)
    assert steps.begun == list(range(8))


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_between_two_file_operations_loses_no_more_than_one_interval(
    overrides: list[str], whole: Job, tmp_path: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch, stride: int
):
    operations = Operations()
    with monkeypatch.context() as patch:
        operations.watch(patch, die_at=None)
        run([*overrides, f"outputs={tmp_path / 'counted'}"])
    assert operations.count >= 3 * 7, "three checkpoints, each with two files written, renamed and seen onto the disk"
    for number in range(0, operations.count, stride):
        outputs = [*overrides, f"outputs={tmp_path / str(number)}"]
        with monkeypatch.context() as patch:
            Operations().watch(patch, die_at=number)
            with pytest.raises(Killed):
                run(outputs)
        steps.begun = []
        found = run(outputs)
        assert_same(found, whole)
        assert steps.begun in ([], *(list(range(first, STEPS)) for first in (0, 4, 8)))
