"""A clone without symbolic links and a wheel have every config and every sweep."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.jobs import ROOT, composed, tiny_overrides

from experiments.config.files import CONF, SWEEPS
from experiments.study import sweeps


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a wheel of this checkout was unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("experiments", "conf", "sweeps"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(folder / "source")], check=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run_from(site: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the package of the wheel, in a folder that is no checkout."""
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)


def test_no_config_is_a_symbolic_link():
    assert not [path for folder in (CONF, SWEEPS) for path in folder.rglob("*") if path.is_symlink()]
    assert not (CONF / "sweeps").exists()


def test_sweeps_are_a_group_beside_those_of_conf():
    assert composed("+sweeps=quickstart").study == "quickstart"
    assert composed("+sweeps=shared/side_by_side").compute.threads == 1


def test_a_wheel_has_all_configs_and_sweeps(site: Path):
    for name, folder in (("conf", CONF), ("conf/sweeps", SWEEPS)):
        for path in folder.rglob("*.yaml"):
            copy = site / "experiments" / name / path.relative_to(folder)
            assert copy.read_text() == path.read_text(), copy


def test_a_job_runs_from_a_wheel_in_any_folder(site: Path, tmp_path: Path, data: Path, backbone: Path):
    relative = ["outputs=outputs", "cache=cache"]
    found = run_from(site, tmp_path / "here", "-c", "import experiments; print(experiments.__file__)").stdout
    assert found.strip() == str(site / "experiments" / "__init__.py")
    run_from(site, tmp_path / "here", "-m", "experiments.train", *tiny_overrides(tmp_path, data, backbone), *relative)
    (folder,) = (tmp_path / "here" / "outputs" / "adhoc").iterdir()
    assert (folder / "metrics.json").is_file()
    planned = run_from(site, tmp_path / "here", "-m", "experiments.study", "plan", "quickstart").stdout
    assert planned.count("missing") >= 6
    assert sweeps() == sorted(path.stem for path in (site / "experiments" / "conf" / "sweeps").glob("*.yaml"))
