"""A job notes the versions of what computes its numbers."""

import importlib.metadata
import json
import platform
from pathlib import Path

from experiments.job_files.job_folder import JobFolder


def test_a_job_notes_the_versions_of_python_and_of_the_packages_that_compute(tmp_path: Path):
    JobFolder(tmp_path / "job", "0123abcd").start({}, {})
    packages = json.loads((tmp_path / "job" / "status.json").read_text())["packages"]
    assert packages["python"] == platform.python_version()
    assert packages["torch"] == importlib.metadata.version("torch")
    assert set(packages) >= {"numpy", "transformers", "pytorch-lightning", "bm25s", "ir-measures"}
