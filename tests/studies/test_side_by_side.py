"""Jobs of a grid that run side by side in several processes: what they share is made once."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.jobs import ROOT, tiny_overrides

JOBS = 4


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> tuple[Path, Path]:
    """The folder of a finished grid and its cache, which was empty at the start."""
    folder = tmp_path_factory.mktemp("grid")
    overrides = tiny_overrides(folder, data, backbone, "study=grid", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    axes = ["loss=bce,lce", "seed=1,2"]
    command = [sys.executable, "-m", "experiments.train", "-m", *overrides, *axes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "outputs" / "grid", folder / "cache"


def test_no_collection_token_or_run_is_made_twice(grid: tuple[Path, Path]):
    study, cache = grid
    costs = [json.loads(path.read_text()) for path in study.glob("*/compute.json")]
    assert len(costs) == JOBS
    built: Counter[str] = Counter()
    for cost in costs:
        built.update(cost["cache_builds"])
    on_disk = {kind.name: sum(1 for entry in kind.iterdir() if entry.is_dir()) for kind in cache.iterdir()}
    assert dict(built) == on_disk  # every entry was built by exactly one job
    assert built["collection"] == 1
    assert all(sum(cost["cache_hits"].values()) > 0 for cost in costs)
