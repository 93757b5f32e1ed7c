"""What a job noted of its files tells each damage apart, and a seal each edit."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.common import manifest
from experiments.common.errors import ExperimentError
from experiments.common.manifest import FULL, QUICK, USUAL, damage, damages, described, is_broken, sealed
from experiments.common.model_files import model_digest


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: None, None),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of 5"),
        (lambda path: path.write_bytes(b"he"), "has 2 bytes instead of 5"),
        (lambda path: path.write_bytes(b"hallo"), "was altered"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    ],
)
def test_each_damage_has_its_name(tmp_path: Path, change: Callable[[Path], Any], problem: str | None):
    path = tmp_path / "metrics.json"
    path.write_bytes(b"hello")
    files = {"metrics.json": described(path)}
    change(path)
    assert dict(damages(tmp_path, files)) == ({} if problem is None else {"metrics.json": problem})


def test_an_earlier_version_promised_nothing(tmp_path: Path):
    assert list(damages(tmp_path, None)) == []


@pytest.mark.parametrize(("effort", "found"), [(QUICK, None), (USUAL, None), (FULL, "was altered")])
def test_of_a_large_file_with_the_same_size_and_time_only_a_full_look_reads_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effort: int, found: str | None
):
    monkeypatch.setattr(manifest, "SMALL", 4)
    path = tmp_path / "model"
    path.write_bytes(b"hello")
    noted, state = described(path), path.stat()
    path.write_bytes(b"hallo")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert damage(path, noted, effort) == found


@pytest.mark.parametrize(("effort", "found"), [(QUICK, None), (USUAL, "was altered")])
def test_a_large_file_of_another_time_is_read_before_a_job_counts_as_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effort: int, found: str | None
):
    monkeypatch.setattr(manifest, "SMALL", 4)
    path = tmp_path / "model"
    path.write_bytes(b"hello")
    noted = described(path)
    path.write_bytes(b"hallo")
    os.utime(path, ns=(0, 0))
    assert damage(path, noted, effort) == found


def test_a_seal_is_broken_by_any_edit_and_lasts_through_a_file():
    value = sealed({"state": "finished", "seconds": 1.5, "inputs": {"ä": None}})
    assert not is_broken(json.loads(json.dumps(value)))
    assert is_broken({**value, "seconds": 1.6})
    assert is_broken({**value, "added": 1})
    assert not is_broken({"state": "finished"}), "of an earlier version"
    assert is_broken({"state": "finished", "files": {}}), "whose seal was lost"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: path.write_bytes(b"other"), "was altered since its job finished"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_model_that_is_not_the_one_its_job_wrote_is_no_input(
    tmp_path: Path, change: Callable[[Path], Any], problem: str
):
    model = tmp_path / "lce-1" / "model"
    model.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (model / name).write_bytes(b"hello")
    files = {f"model/{path.name}": described(path) for path in model.iterdir()}
    (model.parent / "manifest.json").write_text(json.dumps(sealed({"state": "finished", "files": files})))
    whole = model_digest(str(model), None, "model.path")
    change(model / "model.safetensors")
    with pytest.raises(ExperimentError, match=rf"model\.path: .*model\.safetensors {problem}: run the job lce-1 again"):
        model_digest(str(model), None, "model.path")
    (model.parent / "manifest.json").unlink()
    assert model_digest(str(model), None, "model.path") != whole, "of an earlier version"
