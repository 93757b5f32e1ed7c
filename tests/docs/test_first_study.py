"""The commands of ``docs/first_study.md``, one after the other, on a tiny collection."""

import shutil
from pathlib import Path

import pytest
from helpers.jobs import ROOT
from helpers.pages import commands, files_shown

from experiments import __main__ as console
from experiments.config.files import USER_FOLDER

PAGE = ROOT / "docs" / "first_study.md"


@pytest.fixture
def tiny(tmp_path: Path, data: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in an empty place with the page's folders of data and of configs; what makes its jobs short."""
    monkeypatch.setenv(USER_FOLDER, "")  # --config-dir sets it
    monkeypatch.chdir(tmp_path)
    for path, text in files_shown(PAGE).items():
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(text)
    shutil.copytree(data, "my/folder")
    return [
        "backbone=local",
        f"backbone.path={backbone}",
        "model.max_length=48",
        "model.max_query_tokens=16",
        "negatives.depth=20",
        "audit.depths=[10,20]",
        "first_stage_depth=10",
        "validation.depth=10",
        "budget.size=16",
        "batch.size=4",
        "trainer=cpu",
        "compute.threads=1",
        "logger=none",
    ]


@pytest.mark.slow
def test_its_commands_run(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study, finished = tmp_path / "outputs" / "first_study", {}
    for command in (one for one in commands(PAGE) if one.module and "minilm" not in str(one)):
        of_folder = any(word.startswith("outputs/") for word in command.arguments)
        code = _called([command.words[1], *command.arguments, *([] if of_folder else tiny)])
        said = capsys.readouterr()
        assert code == 0, f"{command}\n{said.out}\n{said.err}"
        now = {path: path.stat().st_mtime_ns for path in study.glob("*/metrics.json")}
        assert finished.items() <= now.items(), f"{command}: a finished job ran again"
        finished = now
    assert len(finished) == 8
    assert "LCE beats BCE at every number of negatives" in (study / "report.html").read_text()


def _called(arguments: list[str]) -> int:
    try:
        return console.main(arguments)
    except SystemExit as stopped:  # an entry point of Hydra's ends the process
        return int(stopped.code or 0)
