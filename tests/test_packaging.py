"""A clone without symbolic links and a wheel have every config and every sweep."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.jobs import ROOT, composed, tiny_overrides

from experiments.config.files import CONF, SWEEPS, sweep_names

DATA_FILES = ("py.typed", "reporting/page/template.html", "reporting/page/page.css", "reporting/page/page.js")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment into which a wheel of this checkout was installed; what it needs is found elsewhere."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("experiments", "conf", "sweeps"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    written = folder / "source" / "sweeps" / "wandb"
    written.mkdir(exist_ok=True)
    (written / "quickstart.yaml").write_text("# written on demand: no part of the package")
    (folder / "source" / "sweeps" / "results").mkdir(exist_ok=True)
    (folder / "source" / "sweeps" / "results" / "quickstart.zip").write_text("an archive: no part of the package")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run(install, check=True)
    return folder / "site"


def command_from(site: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the console command of the wheel in a folder that is no checkout."""
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [str(site / "bin" / "rerank-ablations"), *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)


def test_no_config_is_a_symbolic_link():
    assert not [path for folder in (CONF, SWEEPS) for path in folder.rglob("*") if path.is_symlink()]
    assert not (CONF / "sweeps").exists()


def test_sweeps_are_a_group_beside_those_of_conf():
    assert composed("+sweeps=quickstart").study == "quickstart"
    assert composed("+sweeps=shared/side_by_side").compute.threads == 1


def test_a_wheel_has_all_configs_and_sweeps_and_none_that_was_written_on_demand(site: Path):
    for name, folder in (("conf", CONF), ("conf/sweeps", SWEEPS)):
        for path in folder.rglob("*.yaml"):
            if not path.is_relative_to(SWEEPS / "wandb"):
                copy = site / "experiments" / name / path.relative_to(folder)
                assert copy.read_text() == path.read_text(), copy
    for name in ("wandb", "results"):
        assert not (site / "experiments" / "conf" / "sweeps" / name).exists()


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_wheel_has_the_files_that_are_no_modules(site: Path, name: str):
    assert (site / "experiments" / name).is_file()


def test_a_study_of_ones_own_runs_from_a_wheel_in_any_folder(site: Path, tmp_path: Path, data: Path, backbone: Path):
    here = tmp_path / "here"
    for name, text in (
        ("loss/mine.yaml", "# Mine\nname: mine\nlogits: 1\nfn: {_target_: my_losses.mine, _partial_: true}\n"),
        ("sweeps/my_study.yaml", "# @package _global_\n# Mine\nstudy: my_study\nloss: {name: mine}\n"),
    ):
        (here / "my_conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "my_conf" / name).write_text(text)
    (here / "my_losses.py").write_text(
        "def mine(scores_QN):\n    return (scores_QN[:, 1:] - scores_QN[:, :1]).exp().mean()\n"
    )
    tiny = [*tiny_overrides(tmp_path, data, backbone), "outputs=outputs", "cache=cache", "loss=mine"]
    done = command_from(site, here, "study", "--config-dir", "my_conf", "run", "--no-report", "my_study", *tiny)
    assert "done in" in done.stderr
    (folder,) = (here / "outputs" / "my_study").glob("mine-*")
    assert (folder / "metrics.json").is_file()
    command_from(site, here, "train", "--config-dir", "my_conf", "+sweeps=my_study", *tiny)
    assert json.loads((folder / "status.json").read_text())["attempts"] == 1, "it is the same job, which was done"


def test_the_studies_of_a_wheel_are_those_of_the_checkout(site: Path, tmp_path: Path):
    planned = command_from(site, tmp_path / "here", "study", "plan", "quickstart").stdout
    assert planned.count("missing") >= 6
    assert sweep_names() == sorted(path.stem for path in (site / "experiments" / "conf" / "sweeps").glob("*.yaml"))
