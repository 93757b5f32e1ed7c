"""What people see of a multirun: real tiny ones, in a terminal and in a pipe."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.jobs import GOES_ON, ROOT, tiny_overrides
from helpers.terminal import Session, run_in_terminal

from experiments.job_files.status import status_of

TRAIN = [sys.executable, "-m", "experiments.train", "-m"]
PATHS = {"PYTHONPATH": str(ROOT)}
SCORE, SECONDS = re.compile(r"\b0\.\d{3}\b"), re.compile(r"\b\d+ (s|min)\b")
LOSS = '''"""A loss that warns, prints and breaks, and one that waits."""

import logging
import pathlib
import time
import warnings

from experiments.losses.lce import lce


def breaking(scores_QN):
    logging.getLogger(__name__).warning("the scores look odd")
    logging.getLogger(__name__).info("nobody needs to see this")
    print("printed by a loss")
    raise RuntimeError("out of memory\\nin layer 7")


def patient(scores_QN):
    """Wait in the training until the terminal has shown it, two minutes at most."""
    end = time.monotonic() + 120
    while scores_QN.grad_fn is not None and not pathlib.Path("shown").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return lce(scores_QN)
'''


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of a user, with losses of their own: one that breaks, one that waits."""
    (tmp_path / "my_losses.py").write_text(LOSS)
    (tmp_path / "my_conf" / "loss").mkdir(parents=True)
    for name, function in (("broken", "breaking"), ("patient", "patient")):
        (tmp_path / "my_conf" / "loss" / f"{name}.yaml").write_text(
            f"# Mine\nname: {name}\nlogits: 1\nfn: {{_target_: my_losses.{function}, _partial_: true}}\n"
        )
    return tmp_path


@pytest.fixture
def overrides(here: Path, data: Path, backbone: Path) -> list[str]:
    return [*tiny_overrides(here, data, backbone), "outputs=outputs", "study=seen", "--config-dir", "my_conf"]


def without_numbers(lines: Sequence[str]) -> list[str]:
    return [SECONDS.sub("N s", SCORE.sub("0.NNN", line)) for line in lines]


def rows(session: Session) -> list[str]:
    return [re.sub(r" +", " ", line) for line in without_numbers(session.lines)]


def test_in_a_pipe_each_job_has_its_lines_and_nothing_else_is_said(here: Path, overrides: list[str]):
    command = [*TRAIN, *overrides, "loss=broken,lce"]
    done = subprocess.run(command, cwd=here, env={**PATHS, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == "printed by a loss\n"
    (folder,) = (here / "outputs" / "seen").glob("broken-*")
    warning = "[1/2] loss=broken: the scores look odd"  # the job's own line, which waits for nobody
    lines = without_numbers(done.stderr.splitlines())
    assert lines.count(warning) == 1
    assert [line for line in lines if line != warning and not GOES_ON.search(line)] == [
        "[1/2] loss=broken: starts",
        f"[1/2] loss=broken: failed: RuntimeError: out of memory (see {folder.relative_to(here)}/train.log)",
        "[2/2] loss=lce: starts",
        "[2/2] loss=lce: done in N s, test MRR@10 0.NNN",
        "2 jobs: 1 done, 1 failed",
    ]
    log = (folder / "train.log").read_text()
    assert "nobody needs to see this" in log
    assert 'raise RuntimeError("out of memory' in log


def test_in_a_terminal_one_table_stays_and_messages_are_above_it(here: Path, overrides: list[str]):
    side_by_side = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command = [*TRAIN, *overrides, "loss=broken,patient", *side_by_side]
    shown = lambda written: "training" in written and (here / "shown").touch()  # noqa: E731
    found = run_in_terminal(command, here, 80, PATHS, on_output=shown)
    assert found.code == 1
    assert not found.cursor_is_hidden
    assert rows(found)[:-2] == [
        "[1/2] loss=broken: the scores look odd",
        "printed by a loss",
        "# job state step score left",
        rows(found)[3],
        "1 loss=broken failed",
        "2 loss=patient done test MRR@10 0.NNN (N s)",
        "2 jobs: 1 done, 1 failed",
    ]
    assert set(rows(found)[3]) == {"─"}
    assert rows(found)[-2].startswith("[1/2] loss=broken: failed: RuntimeError: out of memory (see outputs/")
    assert "training" in found.written, "the table showed what a job was at"


def test_a_terminal_of_120_columns_folds_nothing(here: Path, overrides: list[str]):
    found = run_in_terminal([*TRAIN, *overrides, "loss=lce", "seed=1,2"], here, 120, PATHS)
    assert found.code == 0
    assert [line for line in rows(found) if "done" in line] == [
        "1 seed=1 done test MRR@10 0.NNN (N s)",
        "2 seed=2 done test MRR@10 0.NNN (N s)",
        "2 jobs: 2 done",
    ]


def test_ctrl_c_leaves_a_sane_terminal_and_jobs_that_go_on(here: Path, overrides: list[str]):
    study = here / "outputs" / "seen"
    long = [*TRAIN, *overrides, "budget.size=4000", "validation.times=100", "seed=1,2"]
    half_way = lambda: bool(list(study.glob("*/checkpoints/record.json")))  # noqa: E731
    found = run_in_terminal(long, here, 80, PATHS, interrupt_when=half_way)
    assert found.code == 130
    assert not found.cursor_is_hidden
    assert rows(found)[-4:-1] == [
        "2 seed=2 waiting",
        "2 jobs: 1 interrupted, 1 waiting",
        "interrupted: the same command goes on from here",
    ]
    (folder,) = (path.parent for path in study.glob("*/status.json"))
    assert status_of(folder).state == "interrupted"
    assert json.loads((study / "grid.json").read_text())[0] == folder.name
    assert not list(study.glob(".launch-*"))
