"""Measure variants of a training step on a GPU, for docs/results/speed.md.

    PYTHONPATH=tests python -m benchmarks.measure_gpu [NAME ...] [--device cpu]

The step is that of ``lines/gpu_train.py``: an ELECTRA of base size with random weights, LCE over groups of 1 + 7 (or
1 + 31) of up to 256 tokens, 16 queries a step. Each variant is a job of this project, trained twice: in the second time
layers are compiled and memory is allocated. Without names all variants are measured. ``--device cpu`` runs one query
and step of each, to try the program.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from benchmarks.contestants.job import Job, overrides
from benchmarks.harness.machine import bf16_peak, gpu_name
from benchmarks.lines.gpu_train import LINE

LARGE = "compute.tokens_per_batch.train=32768"
VARIANTS: dict[str, tuple[list[str], dict[str, int]]] = {
    "packed": ([LARGE], {}),
    "packed in passes of the default size": ([], {}),
    "packed and compiled": ([LARGE, "compute.layout=compiled"], {}),
    "packed, not deterministic": ([LARGE, "trainer.deterministic=false"], {}),
    "padded": ([LARGE, "compute.layout=padded"], {}),
    "padded, fp32": (["compute.layout=padded", "trainer.precision=32-true"], {}),
    "1 + 31": ([], {"negatives": 31}),
    "1 + 31, activations recomputed": (["batch.checkpoint=true"], {"negatives": 31}),
}


def main() -> None:
    """Measure the variants and print a row of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *VARIANTS], help=f"of: {', '.join(VARIANTS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    given = parser.parse_args()
    card = gpu_name() if given.device == "cuda" else None
    print(f"{card or given.device}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(Path(folder), given.device)
        for name in given.names or VARIANTS:
            extra, own = VARIANTS[name]
            print(row(name, extra, {**settings, **own}, bf16_peak(card) if card else None), flush=True)


def settings_of(folder: Path, device: str) -> dict[str, Any]:
    """Return the settings of the step, after its texts and weights were written into a folder."""
    settings = {**LINE.settings, "folder": str(folder), "shared": str(folder), "threads": 4, "data": None}
    if device == "cpu":
        settings |= {"trainer": "cpu", "device": "cpu", "queries": 1, "warm_up": 1, "steps": 1}
    path = folder / "settings.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    subprocess.run([sys.executable, "-m", f"benchmarks.contestants.{LINE.prepare}", str(path)], check=True)
    return settings


def row(name: str, extra: list[str], settings: Mapping[str, Any], peak: float | None) -> str:
    """Train a variant twice; returns its milliseconds a step, operations a second and memory, of the second time."""
    device, queries = settings["device"], settings["queries"]
    job = Job.open([*overrides(settings, settings["dropout"]), *extra])
    for _ in range(2):
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with tempfile.TemporaryDirectory(dir=settings["folder"]) as folder:
            timing = job.train(Path(folder), settings["warm_up"], device=device)
    memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0
    rate = timing.flops / timing.wall
    share = f" ({rate / peak:.0%} of {peak / 1e12:.0f})" if peak else ""
    step = timing.wall / timing.units * queries * 1000
    return f"{name:40s} {step:8.1f} ms a step  {rate / 1e12:7.2f} TFLOP/s{share}  {memory:5.1f} GB"


if __name__ == "__main__":
    main()
