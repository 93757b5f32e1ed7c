"""The arguments of ``python -m experiments.study``."""

import subprocess
import sys

import pytest
from helpers.jobs import ROOT

from experiments import study


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plna", "quickstart"], "invalid choice: 'plna'"),
        (["plan"], "plan what? Name a sweep ("),
        (["plan", "quikstart"], "there is no sweep 'quikstart': did you mean quickstart?"),
        (["plan", "sweeps=quikstart"], "there is no sweep 'quikstart': did you mean quickstart?"),
        (["run", "quickstart", "see=2"], "there is no key see: did you mean seed? The keys are"),
        (["run", "quickstart", "negatives.cuont=2"], "there is no key negatives.cuont"),
        (["plan", "loss=bce,lxe"], "Could not find 'loss/lxe'"),
        (["plan", "quickstart", "--fast"], "unrecognized arguments: --fast"),
        (["status", "--fail-fast", "quickstart"], "--fail-fast is for run and rerun-failed, not for status"),
        (["verify", "--no-report", "quickstart"], "--no-report is for run, not for verify"),
        (["status", "no/such/folder"], "there is no folder no/such/folder"),
        (["run", "no/such/folder"], "run takes a sweep or overrides, not a folder"),
        (["status", "no/such/folder", "seed=1"], "no/such/folder is a folder: give it alone"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    try:
        code = study.main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("argument", ["quickstart", "sweeps=quickstart", "+sweeps=quickstart"])
def test_a_sweep_is_named_in_three_ways(argument: str):
    assert study.override_of(argument) == "+sweeps=quickstart"


@pytest.mark.parametrize("argument", ["seed=1,2", "+data.source.x=1", "~logger", "hydra/launcher=joblib"])
def test_overrides_are_hydras_as_they_stand(argument: str):
    assert study.override_of(argument) == argument


@pytest.mark.parametrize("command", ["status", "plan"])
def test_the_jobs_of_a_sweep_are_told_without_importing_torch(command: str):
    code = f"import sys\nfrom experiments import study\nassert study.main(['{command}', 'quickstart']) == 0\n"
    code += "print(sorted({'torch', 'transformers', 'pytorch_lightning', 'pandas', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.splitlines()[-1] == "[]"
