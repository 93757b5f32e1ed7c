"""Studies in processes of their own, killed and told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.jobs import ROOT

from experiments import study
from experiments.job_files.status import status_of


def started(command: str, overrides: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A study command as a process of its own, in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.study", command, "--no-report", *overrides],
        cwd=ROOT,
        start_new_session=True,
    )


def wait_for_step(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Until a job in the folder has written a checkpoint."""
    end = time.monotonic() + 100
    while not list(folder.glob("*/checkpoints/record.json")):
        assert process.poll() is None, "it ended before it was half-way"
        assert time.monotonic() < end, "no job came half-way"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[int]:
    """The processes whose command or open files name a folder: jobs, workers and their parents."""
    found = subprocess.run(["ps", "-eww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in found.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 3 and str(folder) in row[2] and not row[1].startswith("Z")]


@pytest.mark.slow
def test_a_job_killed_half_way_is_interrupted_and_a_second_run_takes_it_up(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    long = [*overrides, "budget.size=4000", "validation.times=100", "study=killed"]
    folder = tmp_path / "outputs" / "killed"
    process = started("run", long)
    wait_for_step(folder, process)
    for one in processes_of(tmp_path):
        if one != process.pid:
            os.kill(one, signal.SIGKILL)
    assert process.wait(60) == 1
    assert study.main(["status", *long]) == 0
    said = capsys.readouterr().out
    assert "interrupted" in said
    assert "of 4,000 groups" in said
    assert started("run", long).wait(120) == 0
    (job_folder,) = (path.parent for path in folder.glob("*/status.json"))
    assert json.loads((job_folder / "status.json").read_text())["attempts"] == 2
    assert status_of(job_folder).state == "done"


@pytest.mark.slow
def test_a_study_told_to_stop_leaves_no_worker_behind(overrides: list[str], tmp_path: Path):
    side_by_side = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2,3,4", "study=stopped"]
    process = started("run", [*overrides, "budget.size=40000", "validation.times=1000", *side_by_side])
    folder = tmp_path / "outputs" / "stopped"
    wait_for_step(folder, process)
    group = int(subprocess.run(
        ["pgrep", "-f", f"experiments.train.*{tmp_path}"], capture_output=True, text=True, check=True
    ).stdout.split()[0])  # fmt: skip
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    alive = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True, check=False)
    assert [line for line in alive.stdout.splitlines() if not line.split()[1].startswith("Z")] == []
    words = {status_of(path.parent).state for path in folder.glob("*/status.json")}
    assert words == {"interrupted"}
    assert len(list(folder.glob("*/status.json"))) <= 2, "what had not begun did not begin"
