"""Several processes of one training are one: the same loss, scores and gradient for every model, and the same job."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from helpers.jobs import job_override, run, tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert
from safetensors.torch import load_file

from experiments.common.errors import ExperimentError
from experiments.config.compute import Trainer
from experiments.job_files.history import FILE, read_history
from experiments.jobs import ranks

PLAIN = ["model.infused=[]", "model.infuse_embeddings=false", "model.rest=backbone", "model.job=null"]
SMALL = "compute.tokens_per_batch.train=100"  # several micro-batches
JOBS = {
    "cross-encoder, bce": ["loss=bce", SMALL],
    "cross-encoder, lce": ["loss=lce", SMALL],
    "cross-encoder, a loss that reads labels": ["loss=lambda_loss"],
    "colbert, negatives of all ranks": ["model=colbert", "model.dimension=16", "loss=lce", SMALL],
    "colbert, its own negatives": ["model=colbert", "model.dimension=16", "loss=lce", "model.in_batch=false"],
    "dual encoder, negatives of all ranks": ["model=dual_encoder", *PLAIN, "loss=lce", SMALL],
    "dual encoder, its own negatives": ["model=dual_encoder", *PLAIN, "loss=bce", "model.in_batch=false"],
}
DISTILLED = {
    "dual encoder, distilled scores": ["model=dual_encoder", "model.distil=kl", "loss=lce", SMALL],
    "dual encoder, a layer of the teacher": ["model=dual_encoder", "model.align_layer=1", "loss=lce", SMALL],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("ranks")
    data = write_beir_folder(folder / "shapes")
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    return tiny_overrides(folder, data, write_tiny_bert(folder / "bert", texts), "model.dropout=0.0")


@pytest.fixture(scope="module")
def gradients(tiny: list[str], tmp_path_factory: pytest.TempPathFactory):
    """What one process and two processes compute of all jobs."""
    folder = tmp_path_factory.mktemp("gradients")
    _, cross_encoder = run([*tiny, "loss=bce", "budget.size=4", "validation.times=1"])
    teacher = [f"model.cross_encoder={cross_encoder / 'model'}", "model.job=null"]
    jobs = {name: [*tiny, *job] for name, job in JOBS.items()}
    jobs |= {name: [*tiny, *job, *teacher, "model.layers=1", "model.infused=[1]"] for name, job in DISTILLED.items()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    for number in (1, 2):
        command = [sys.executable, "-m", "helpers.rank_gradients", str(folder / str(number)), json.dumps(jobs)]
        places = [shared | {"WORLD_SIZE": str(number), "RANK": str(rank)} for rank in range(number)]
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        for process in [subprocess.Popen(command, env=os.environ | place | path) for place in places]:
            assert process.wait(300) == 0
    return {number: torch.load(folder / str(number), weights_only=True) for number in (1, 2)}


@pytest.mark.parametrize("job", [*JOBS, *DISTILLED])
def test_two_processes_have_the_loss_scores_and_gradient_of_one(gradients, job: str):
    for (loss, scores, grads), (other_loss, other_scores, other_grads) in zip(
        gradients[1][job], gradients[2][job], strict=True
    ):
        torch.testing.assert_close(other_loss, loss, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(other_scores, scores, atol=1e-4, rtol=1e-5)
        largest = float(max(gradient.abs().max() for gradient in grads.values()))
        assert largest > 1e-5  # else there is nothing to compare
        atol = max(1e-5 * largest, 1e-7)  # the terms of a sum are some 1, and of fp32
        for name, gradient in grads.items():
            torch.testing.assert_close(other_grads[name], gradient, atol=atol, rtol=1e-5, msg=name)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "model").rglob("*.safetensors"))
    return {f"{file.parent.name}/{name}": tensor for file in files for name, tensor in load_file(file).items()}


def devices(count: int) -> list[str]:
    return [f"trainer.devices={count}", "trainer.strategy=ddp", f"study=devices{count}"]


@pytest.mark.slow
def test_a_job_and_the_job_that_it_needs_come_out_as_on_one_device(tiny: list[str]):
    job = "loss=bce model.max_length=48 model.max_query_tokens=16 batch.size=4 budget.size=16 model.dropout=0.0"
    infused = ["model.layers=1", "model.infused=[1]", job_override("model.job", job)]
    dual = ["model=dual_encoder", "loss=lce", *infused]
    (alone, folder), (shared, other) = (run([*tiny, *dual, "model.distil=kl", *devices(count)]) for count in (1, 2))
    one, two = weights_of(folder), weights_of(other)
    assert one.keys() == two.keys()
    for name in one:
        # Adam divides a gradient by its own size: rounding of a small one comes out as a part of the rate, 1e-3
        torch.testing.assert_close(two[name], one[name], atol=2e-4, rtol=0, msg=name)
    for name in ("steps", "groups", "pairs", "tokens"):
        assert shared["compute"][name] == alone["compute"][name]
    assert shared["test"].keys() == alone["test"].keys()
    assert shared["dev"] == pytest.approx(alone["dev"], abs=0.05)
    logged, of_one = read_history(other / FILE), read_history(folder / FILE)
    for name in ("step", "groups", "pairs", "tokens"):
        assert logged[name] == of_one[name], f"{name}: of all ranks"
    for name in ("loss", "margin", "positive_on_top"):
        assert logged[name] == pytest.approx(of_one[name], abs=2e-3), f"{name}: of all ranks"
    assert not {"RANK", "WORLD_SIZE", "MASTER_PORT"} & set(os.environ)
    again, _ = run([*tiny, *dual, "model.distil=kl", *devices(2)])  # finished: no process waits for another
    assert again == shared


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_processes_that_would_end_with_the_training_are_refused(strategy: str):
    with pytest.raises(ExperimentError, match=rf"trainer\.strategy={strategy} .* set trainer\.strategy=ddp"):
        Trainer(strategy=strategy).check()


def test_so_are_those_of_a_strategy_by_its_class():
    spawning = {"_target_": "pytorch_lightning.strategies.DDPStrategy", "start_method": "spawn"}
    with pytest.raises(ExperimentError, match=r"trainer\.strategy=spawn"):
        Trainer(strategy=spawning).check()


@pytest.mark.parametrize("strategy", [2147483648, -0.5, True, None, "", " ", [], ["ddp"], {}, {"a": 1}])
def test_a_strategy_that_is_neither_a_name_nor_a_class_is_refused(strategy: object):
    with pytest.raises(ExperimentError, match=r"^trainer\.strategy is .*: it must be auto, ddp, "):
        Trainer(strategy=strategy).check()


@pytest.mark.slow
def test_a_grid_under_torchrun_that_was_killed_goes_on_and_ends(tiny: list[str], tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "experiments.train", "-m"]
    grid = [*tiny, "loss=bce,lce", "budget.size=64", "validation.times=16", "study=again", *devices(2)[:2]]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    log = (tmp_path / "log").open("w")
    outputs = Path(next(one for one in tiny if one.startswith("outputs=")).removeprefix("outputs="))
    first = subprocess.Popen([*command, *grid], env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        latest = time.monotonic() + 240
        while not list(outputs.glob("again/*/checkpoints/record.json")) and time.monotonic() < latest:
            assert first.poll() is None, "it ended before it was killed"
            time.sleep(0.1)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        for child in _ranks_of(grid):
            os.kill(child, signal.SIGKILL)
    done = subprocess.run([*command, *grid], env=env, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    states = [json.loads(path.read_text())["state"] for path in outputs.glob("again/*/status.json")]
    assert states == ["finished", "finished"]


def _ranks_of(grid: list[str]) -> list[int]:
    """The ranks that torchrun started, each in a session of its own: they have the grid in their command."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if set(grid) <= set(words):
                found.append(int(place.name))
    return found


@pytest.mark.slow
def test_torchrun_trains_a_grid_and_finds_it_finished(tiny: list[str]):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "experiments.train", "-m"]
    grid = [*tiny, "loss=bce,lce", "budget.size=8", "validation.times=1", "study=torchrun", *devices(2)[:2]]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    for state in ("done", "done before"):
        done = subprocess.run([*command, *grid], env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(f": {state}") == 2 or done.stdout.count(f": {state}") == 2, done.stderr


def test_a_follower_that_fails_ends_the_job_with_one_error_and_leaves_no_process(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "failing_follower.py").write_text("raise SystemExit(7)", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ranks, "FOLLOWER", "failing_follower")
    monkeypatch.setattr(ranks, "FAILING_SECONDS", 60.0)
    ended = pytest.raises(ExperimentError, match="process 1 of this training's 2 ended with exit code 7")
    with ended, ranks.leading(2, {"of": "a job"}):
        raise RuntimeError("Connection closed by peer")
    assert "RANK" not in os.environ


def test_torchrun_with_another_number_of_processes_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    refused = pytest.raises(ExperimentError, match=r"torchrun started 4 processes but trainer\.devices=2")
    with refused, ranks.leading(2, {}):
        pass
