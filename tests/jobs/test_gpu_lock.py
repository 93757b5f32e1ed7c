"""GPUs shared out among jobs: with lists of names, and processes that hold some; no GPU is needed."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.config import Trainer
from experiments.jobs import gpu_lock
from experiments.jobs.gpu_lock import claim, gpu_of_its_own, visible_gpus


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker starts: it has computed on no GPU yet, and nothing says which it may use."""
    monkeypatch.setattr(gpu_lock, "_mine", [])
    monkeypatch.setattr(gpu_lock, "POLL_SECONDS", 0.01)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


def test_each_claim_takes_another_gpu(tmp_path: Path):
    with claim(["0", "1", "2"], tmp_path) as first, claim(["0", "1", "2"], tmp_path) as second:
        assert (first, second) == ("0", "1")


def test_a_gpu_that_was_given_back_is_taken_again(tmp_path: Path):
    with claim(["0", "1"], tmp_path):
        pass
    with claim(["0", "1"], tmp_path) as again:
        assert again == "0"


def test_a_gpu_is_given_back_by_a_job_that_fails(tmp_path: Path):
    with pytest.raises(ValueError, match="diverged"), claim(["0"], tmp_path):
        raise ValueError("diverged")
    with claim(["0"], tmp_path) as again:
        assert again == "0"


def test_who_finds_none_free_waits_for_one(tmp_path: Path):
    got: list[str] = []

    def wait() -> None:
        with claim(["0"], tmp_path) as gpu:
            got.append(gpu)

    with claim(["0"], tmp_path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert got == []
    waiting.join(5)
    assert got == ["0"]


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds GPU 0 until it is killed."""
    code = (
        "import sys, time, pathlib\nfrom experiments.jobs.gpu_lock import claim\n"
        "with claim(['0', '1'], pathlib.Path(sys.argv[1])) as gpu:\n    print(gpu, flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_processes_share_and_one_that_is_killed_holds_nothing(tmp_path: Path, other_process: "subprocess.Popen[str]"):
    with claim(["0", "1"], tmp_path) as mine:
        assert mine == "1"
    other_process.kill()
    other_process.wait()
    with claim(["0", "1"], tmp_path) as freed:
        assert freed == "0"


@pytest.mark.usefixtures("two_gpus")
def test_a_job_beside_others_sees_one_gpu_that_the_next_does_not_get(tmp_path: Path):
    with claim(["0", "1"], tmp_path), gpu_of_its_own(Trainer(), True, tmp_path) as gpu:
        assert gpu == "1"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.usefixtures("two_gpus")
def test_a_worker_keeps_the_gpu_of_its_first_job(tmp_path: Path):
    with claim(["0", "1"], tmp_path), gpu_of_its_own(Trainer(), True, tmp_path) as first:
        assert first == "1"
    with gpu_of_its_own(Trainer(), True, tmp_path) as second:
        assert second == "1", "GPU 0 is free, but CUDA has started on 1 and stays there"


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("trainer", "side_by_side"),
    [(Trainer(), False), (Trainer(devices=2), True), (Trainer(accelerator="cpu"), True)],
    ids=["one job at a time", "a job on two GPUs", "jobs on the CPU"],
)
def test_where_nothing_is_shared_nothing_is_claimed(tmp_path: Path, trainer: Trainer, side_by_side: bool):
    with gpu_of_its_own(trainer, side_by_side, tmp_path) as gpu:
        assert gpu is None
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_gpu_or_none_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int):
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    with gpu_of_its_own(Trainer(), True, tmp_path) as gpu:
        assert gpu is None


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_called_as_the_environment_calls_them(monkeypatch: pytest.MonkeyPatch):
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-ab12, GPU-cd34")
    assert visible_gpus() == ["GPU-ab12", "GPU-cd34"]
