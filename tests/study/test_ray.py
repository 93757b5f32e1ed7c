"""Grids by Ray, for real, with a cluster of two workers on this machine. Skipped without the extra ``ray``."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.jobs import ROOT

from experiments.common.errors import ExperimentError
from experiments.job_files.status import status_of
from experiments.jobs import ray_launcher

WITH_RAY = ["hydra/launcher=ray", "hydra.launcher.n_jobs=2"]
STOP_SECONDS = 10


def study_process(overrides: Sequence[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "experiments.study", "run", *overrides, "--no-report"]
    pipe, out = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, text=True, stdout=pipe, stderr=out)


def processes_of_ray() -> set[str]:
    listed = subprocess.run(["ps", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [row for row in listed.splitlines() if "ray::" in row or "/ray/" in row]
    return {row.split()[0] for row in rows if not row.split()[1].startswith("Z")}


def numbers_of(study: Path) -> dict[str, Any]:
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["test"] for path in study.glob("*/metrics.json")
    }


def test_without_ray_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_launcher, "find_spec", lambda name: None)
    with pytest.raises(
        ExperimentError, match=r"^hydra/launcher=ray is not installed: pip install 'rerank-ablations\[ray\]'$"
    ):
        ray_launcher.register({"_target_": ray_launcher.TARGET})


def test_ray_answers_no_signal_itself(monkeypatch: pytest.MonkeyPatch):
    answered: list[str] = []
    utils = SimpleNamespace(set_sigterm_handler=answered.append)
    for name, module in (
        ("ray", SimpleNamespace()),
        ("ray._private", SimpleNamespace()),
        ("ray._private.utils", utils),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys.modules["ray"], "_private", sys.modules["ray._private"], raising=False)
    monkeypatch.setattr(sys.modules["ray._private"], "utils", utils, raising=False)
    with ray_launcher._no_handlers():
        utils.set_sigterm_handler("Ray's")
    utils.set_sigterm_handler("another's")
    assert answered == ["another's"]


@pytest.mark.slow
@pytest.mark.skipif(util.find_spec("ray") is None, reason="needs the extra ray")
def test_ray_runs_a_grid_and_one_that_was_stopped_half_way_goes_on_to_the_same_numbers(
    overrides: list[str], tmp_path: Path
):
    grid = [*overrides, "budget.size=4000", "validation.times=100", "loss=bce,lce"]
    folder, before = tmp_path / "outputs" / "ray", processes_of_ray()
    process = study_process([*grid, *WITH_RAY, "study=ray"])
    while len(list(folder.glob("*/checkpoints/record.json"))) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    told = time.monotonic()
    while processes_of_ray() - before:
        assert time.monotonic() - told < STOP_SECONDS, "a job or a part of Ray is left behind"
        time.sleep(0.1)
    said = process.communicate(timeout=60)[0]
    print(said)
    assert process.returncode == 130
    assert "2 jobs: 2 interrupted" in said
    assert "interrupted: the same command goes on from here" in said
    again = study_process([*grid, *WITH_RAY, "study=ray"])
    said = again.communicate(timeout=300)[0]
    print(said)
    assert again.returncode == 0
    assert "[1/2] loss=bce: done in" in said
    assert "[2/2] loss=lce: done in" in said
    statuses = [status_of(path.parent) for path in folder.glob("*/status.json")]
    assert [(status.state, status.attempts) for status in statuses] == [("done", 2), ("done", 2)]
    assert study_process([*grid, "study=one_by_one"]).wait(300) == 0
    assert numbers_of(folder) == numbers_of(tmp_path / "outputs" / "one_by_one")
