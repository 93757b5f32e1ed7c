"""Make a tiny collection and a tiny BERT, and a finished grid of jobs of a second on them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.jobs import tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert

GRID = ("loss=lce,bce,ranknet,hinge", "negatives.count=1,2,3", "seed=1,2,3,4,5", "study=grid")  # 60 jobs


def tiny_job(settings: Mapping[str, Any]) -> list[str]:
    """Return the overrides of a tiny job on data that all lines share, and write that data where it is not there."""
    shared = Path(settings["shared"]) / "tiny"
    data, backbone = shared / "data", shared / "bert"
    if not data.is_dir():
        write_beir_folder(data)
    if not backbone.is_dir():
        lines = [line for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open(encoding="utf-8")]
        write_tiny_bert(backbone, [json.loads(line)["text"] for line in lines])
    return tiny_overrides(shared, data, backbone)


def finished_grid(settings: Mapping[str, Any]) -> list[str]:
    """Return the overrides of a grid, and run it where it is not done."""
    overrides = [*tiny_job(settings), *GRID]
    run(["experiments.study", "run", *overrides, "--no-report"])
    return overrides


def folder_of_grid(settings: Mapping[str, Any]) -> list[str]:
    """Return the folder of a finished grid."""
    (outputs,) = (text.partition("=")[2] for text in finished_grid(settings) if text.startswith("outputs="))
    return [f"{outputs}/grid"]


def run(command: list[str]) -> None:
    """Run a module of this project.

    Raises:
        RuntimeError: it failed; the message has the end of what it wrote.
    """
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
