"""The user's own folder of config files."""

from pathlib import Path

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config.files import USER_FOLDER, group_options, sweep_names, take_user_folder, user_folder
from experiments.config.grid import compose_grid


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a loss and a study, named in the environment."""
    for name in ("loss", "sweeps"):
        (tmp_path / "my_conf" / name).mkdir(parents=True)
    (tmp_path / "my_conf" / "loss" / "mine.yaml").write_text(
        "# Mine\nname: mine\nlogits: 1\nfn: {_target_: experiments.losses.bce.bce, _partial_: true}\n"
    )
    (tmp_path / "my_conf" / "sweeps" / "my_study.yaml").write_text(
        "# @package _global_\n# Mine\nstudy: my_study\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      loss: mine,lce\n"
    )
    monkeypatch.setenv(USER_FOLDER, str(tmp_path / "my_conf"))
    return tmp_path / "my_conf"


@pytest.mark.parametrize("arguments", [["--config-dir", "my_conf"], ["--config-dir=my_conf"], ["-cd", "my_conf"]])
def test_the_flag_names_a_folder_for_this_process_and_those_it_starts(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(USER_FOLDER, "")
    (tmp_path / "my_conf").mkdir()
    assert take_user_folder(["plan", *arguments, "seed=1"]) == ["plan", "seed=1"]
    assert user_folder() == tmp_path / "my_conf"


@pytest.mark.parametrize("arguments", [["--config-dir", "nowhere"], ["--config-dir=nowhere"], ["--config-dir"]])
def test_a_folder_that_there_is_not_is_refused(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExperimentError, match="--config-dir: there is no folder"):
        take_user_folder(arguments)


@pytest.mark.usefixtures("mine")
def test_a_loss_of_ones_own_is_a_file_of_the_group():
    assert composed("loss=mine").loss["name"] == "mine"
    assert composed("loss=lce").loss["name"] == "lce"
    assert "mine" in group_options()["loss"]


@pytest.mark.usefixtures("mine")
def test_a_study_of_ones_own_is_a_sweep():
    assert "my_study" in sweep_names()
    assert [row.config.loss["name"] for row in compose_grid(["+sweeps=my_study"]).rows] == ["mine", "lce"]
