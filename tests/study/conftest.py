"""A study that has run, and what launches one in this process."""

import shutil
from pathlib import Path

import pytest
from helpers.jobs import tiny_overrides
from helpers.seals import as_of_an_earlier_version
from helpers.studies import BOTH, in_this_process

from experiments import study
from experiments.studies import multirun


@pytest.fixture
def overrides(tmp_path: Path, data: Path, backbone: Path) -> list[str]:
    return tiny_overrides(tmp_path, data, backbone)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multirun, "run_to_end", in_this_process)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> tuple[list[str], Path]:
    """The overrides and the folder of a study that has run."""
    overrides = [*tiny_overrides(tmp_path_factory.mktemp("finished"), data, backbone), *BOTH]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multirun, "run_to_end", in_this_process)
        patch.setenv("HYDRA_FULL_ERROR", "1")
        assert study.main(["run", "--no-report", *overrides]) == 0
    (outputs,) = (one.partition("=")[2] for one in overrides if one.startswith("outputs="))
    return overrides, Path(outputs, "both")


@pytest.fixture
def copied(finished: tuple[list[str], Path], tmp_path: Path) -> Path:
    """The folder of that study, to spoil; as an earlier version left it, whose files have no digests."""
    return as_of_an_earlier_version(Path(shutil.copytree(finished[1], tmp_path / "both")))
