"""Grids by Hydra's launchers: submitit for real on this machine, and SLURM with stubs of its own commands only."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import ROOT

from experiments.job_files.status import status_of

# What submitit asks of SLURM: a job is a script that runs in the background here, its state is in a file beside it.
SBATCH = """\
#!{python}
import os, pathlib, re, subprocess, sys
text = pathlib.Path(sys.argv[-1]).read_text()
pathlib.Path({calls!r}).write_text(text)
job = 7 + len(list(pathlib.Path({calls!r}).parent.glob("submitted-*")))
script = pathlib.Path({calls!r} + f"-{{job}}")  # as SLURM does, keep a copy: submitit moves its own
script.write_text(text)
array = re.search(r"--array=([0-9]+)-([0-9]+)", text)
for number in range(int(array[1]), int(array[2]) + 1) if array else [None]:
    name = str(job) if number is None else f"{{job}}_{{number}}"
    state = pathlib.Path({states!r}, name)
    state.write_text("RUNNING")
    env = {{"JOB_ID": str(job), "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_NODELIST": "here"}}
    env |= {{"JOB_NAME": "train"}}
    env |= {{}} if number is None else {{"ARRAY_JOB_ID": str(job), "ARRAY_TASK_ID": str(number)}}
    env = os.environ | {{f"SLURM_{{name}}": value for name, value in env.items()}}
    log = script.with_suffix(".log").open("a")
    again = pathlib.Path({again!r}, name)  # made by scontrol
    command = f"while bash {{script}}; code=$?; [ -e {{again}} ]; do rm {{again}}; echo RUNNING > {{state}}; done; "
    command += f"[ $code = 0 ] && echo COMPLETED > {{state}} || echo FAILED > {{state}}"
    subprocess.Popen(["bash", "-c", command], env=env, start_new_session=True, stdout=log, stderr=log)
print(f"Submitted batch job {{job}}")
"""
SRUN = """\
#!{python}
import subprocess, sys
command = sys.argv[1:]
while command[0].startswith("-"):
    command = command[1 if "=" in command[0] or command[0] == "--unbuffered" else 2 :]
raise SystemExit(subprocess.run(command).returncode)
"""
SACCT = """\
#!{python}
import pathlib
print("JobID|State|NodeList")
for path in sorted(pathlib.Path({states!r}).iterdir()):
    print(f"{{path.name}}|{{path.read_text().strip()}}|here")
"""
# Of a job that is queued again, keep the checkpoints that it leaves.
SCONTROL = """\
#!{python}
import json, pathlib, sys
_, job = sys.argv[1:]
pathlib.Path({states!r}, job).write_text("PENDING")
pathlib.Path({again!r}, job).write_text("")
records = pathlib.Path({states!r}).parent.glob("outputs/*/*/checkpoints/record.json")
pathlib.Path({calls!r}).with_name("left").write_text("".join(path.read_text() for path in records))
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of SLURM's names, first in the path; returns the file with the scripts that were submitted."""
    commands, states, calls = tmp_path / "bin", tmp_path / "states", tmp_path / "submitted"
    again = tmp_path / "again"
    for folder in (commands, states, again):
        folder.mkdir()
    places = {"python": sys.executable, "states": str(states), "calls": str(calls), "again": str(again)}
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT), ("scontrol", SCONTROL)):
        path = commands / name
        path.write_text(text.format(**places), encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return calls


def study_process(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "experiments.study", *arguments, "--no-report"]
    pipe, out = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, text=True, stdout=pipe, stderr=out)


def numbers_of(study: Path) -> dict[str, Any]:
    """The measures on the test queries of every job, by its folder."""
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["test"] for path in study.glob("*/metrics.json")
    }


def step_of(study: Path) -> int:
    """The step of training that the only job of a launch is at."""
    for path in study.glob(".launch-*/job-1.json"):
        status = json.loads(path.read_text(encoding="utf-8"))
        return int(status["done"]) if status["doing"] == "training" else 0
    return 0


def test_a_job_of_slurm_has_a_gpu_and_is_queued_again():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from hydra import compose

    from experiments.config.loader import hydra_of_conf

    with hydra_of_conf():
        launcher = compose("config", ["hydra/launcher=slurm"], return_hydra_config=True).hydra.launcher
    assert str(launcher._target_).endswith("SlurmLauncher")
    assert (launcher.gpus_per_node, launcher.tasks_per_node) == (1, 1)
    assert launcher.max_num_timeout > 0


@pytest.mark.slow
def test_submitit_runs_a_grid_and_one_that_was_stopped_half_way_goes_on(overrides: list[str], tmp_path: Path):
    grid = [*overrides, "budget.size=4000", "validation.times=100", "loss=bce,lce", "study=local"]
    grid += ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10"]
    folder = tmp_path / "outputs" / "local"
    process = study_process("run", *grid)
    while len(list(folder.glob("*/checkpoints/record.json"))) < 2:
        assert process.poll() is None, "it ended before both were half-way"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    running = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout
    assert running == "", "no job is left behind"
    assert {status_of(path.parent).state for path in folder.glob("*/status.json")} == {"interrupted"}
    assert study_process("run", *grid).wait(200) == 0
    found = [status_of(path.parent) for path in folder.glob("*/status.json")]
    assert [(one.state, one.attempts) for one in found] == [("done", 2), ("done", 2)]


@pytest.mark.slow
def test_slurm_gets_an_array_of_jobs_and_the_study_waits_for_them(overrides: list[str], tmp_path: Path, slurm: Path):
    grid = [*overrides, "loss=bce,lce", "study=cluster", "hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
    process = study_process("run", *grid)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert "[1/2] loss=bce: done" in said
    assert "[2/2] loss=lce: done" in said
    script = slurm.read_text(encoding="utf-8")
    for asked in ("--array=0-1%2", "--partition=gpu", "--gpus-per-node=1", "--time=1440", "--signal=USR2@300"):
        assert f"#SBATCH {asked}" in script
    assert {status_of(path.parent).state for path in (tmp_path / "outputs" / "cluster").glob("*/status.json")} == {
        "done"
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    ["hydra/launcher=slurm hydra.launcher.partition=gpu", "hydra/launcher=submitit_local"],
    ids=["slurm", "local"],
)
@pytest.mark.parametrize("told", [signal.SIGUSR1, signal.SIGUSR2], ids=["SIGUSR1", "SIGUSR2"])
def test_a_preempted_job_leaves_a_checkpoint_is_queued_again_and_ends_with_the_same_numbers(
    overrides: list[str], tmp_path: Path, slurm: Path, launcher: str, told: signal.Signals
):
    job = [*overrides, "budget.size=4000", "validation.times=1"]  # no other checkpoint before the end
    study = tmp_path / "outputs" / "preempted"
    process = study_process("run", *job, "study=preempted", *launcher.split())
    while step_of(study) < 50:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    attempt = f"^[^ ]*python[^ ]* -u -m submitit.core._submit {tmp_path}"
    listed = subprocess.run(["pgrep", "-f", attempt], capture_output=True, text=True, check=True)
    (pid,) = map(int, listed.stdout.split())
    os.kill(pid, told)
    said, _ = process.communicate(timeout=300)
    print(said)
    assert process.returncode == 0
    assert ": waiting" in said
    if "slurm" in launcher:
        left = json.loads(slurm.with_name("left").read_text(encoding="utf-8"))
        assert left["generations"][-1]["last"]["step"] >= 50
    (status,) = (status_of(path.parent) for path in study.glob("*/status.json"))
    assert (status.state, status.attempts) == ("done", 2)
    assert study_process("run", *job, "study=undisturbed").wait(300) == 0
    assert numbers_of(study) == numbers_of(tmp_path / "outputs" / "undisturbed")
