"""The console command: what it takes, and how little it needs to say so."""

import subprocess
import sys

import pytest
from helpers.jobs import ROOT

from experiments.__main__ import COMMANDS, main


def modules_after(code: str) -> set[str]:
    """The modules that some code has imported, in a Python of its own."""
    code += "\nimport sys\nprint('modules', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert main([]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(("typed", "meant"), [("trian", "train"), ("studdy", "study"), ("comapre", "compare")])
def test_a_slip_is_one_line_that_names_the_nearest_command(typed: str, meant: str, capsys: pytest.CaptureFixture[str]):
    assert main([typed]) == 2
    said = capsys.readouterr()
    assert said.err == (
        f"error: there is no command {typed!r}: did you mean {meant}? "
        "There are train, evaluate, study, report, compare, retrieve, audit, probe, sweeps\n"
    )
    assert said.out == ""


def test_help_needs_neither_torch_nor_hydra():
    imported = modules_after("from experiments.__main__ import main\nmain(['--help'])")
    assert not imported & {"torch", "hydra", "numpy", "omegaconf"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_needs_no_torch(command: str):
    code = (
        f"from experiments.__main__ import main\ntry:\n    main(['{command}', '--help'])\nexcept SystemExit:\n    pass"
    )
    assert "torch" not in modules_after(code)


def test_help_of_train_lists_groups_with_their_files_and_keys_on_two_screens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setattr("sys.argv", ["rerank-ablations"])
    assert main(["train", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Train and test one re-ranker, or with -m a grid of them."
    assert "  scale:      mini, paper" in lines
    assert any("budget.unit=groups|pairs|tokens" in line for line in lines)
    assert len(lines) <= 100
