"""Run one job as other processors compute it: ``python -m stress.processors``.

(PYTHONPATH=tests.) Libraries are told to leave out instructions that this processor has (torch, MKL, numpy, numba), and
threads are changed. The same instructions and threads must give the same bits; others must draw the same negatives,
retrieve the same run in the same order with the same cut, and re-rank to RR@10 within a tenth.
"""

import gzip
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.studies import ROOT, Counts, environment, overrides_in, scratch

TOLERANCE = 0.1  # of a query of twelve that may swap two passages (tests/jobs/test_golden_results.py)
PROCESSORS = {
    "the same": {},
    "SSE only": {
        "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "NUMBA_CPU_NAME": "generic",
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
    },
    "another product": {"MKL_CBWR": "COMPATIBLE"},
    "numba without vectors": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}  # fmt: skip
THREADS = {"two threads": "compute.threads=2"}


@dataclass(frozen=True)
class Outcome:
    """``inputs``: digests of what must not depend on a processor. ``weights``: digest. ``measures``: of the test set,
    before and after re-ranking."""

    inputs: dict[str, str]
    weights: str
    measures: dict[str, Any]


def outcome(folder: Path, place: Path, extra: list[str], variables: dict[str, str]) -> Outcome:
    """Run a job in an empty place and read what it left."""
    place.mkdir()
    command = [sys.executable, "-m", "experiments.train", *overrides_in(folder, place, "study=s", *extra)]
    done = subprocess.run(command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    (job,) = (path.parent for path in place.glob("outputs/s/*/metrics.json"))
    draws = gzip.decompress((job / "negatives.tsv.gz").read_bytes())
    runs = sorted(path for path in place.glob("cache/run/*/*") if path.name != "manifest.json")
    digests = {"negatives": _digest(draws), **{f"run {i}": _digest(path.read_bytes()) for i, path in enumerate(runs)}}
    metrics = json.loads((job / "metrics.json").read_text(encoding="utf-8"))
    measured = metrics["test"]["bm25"]
    digests["first stage"] = str(measured.pop("first_stage"))
    return Outcome(digests, _digest((job / "model" / "model.safetensors").read_bytes()), measured)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def main() -> int:
    """Compare all processors with this one; returns 1 if anything differs that may not."""
    counts = Counts()
    with scratch() as folder:
        own = outcome(folder, folder / "own", [], {})
        others = {name: ([], variables) for name, variables in PROCESSORS.items()}
        others |= {name: ([threads], {}) for name, threads in THREADS.items()}
        for number, (name, (extra, variables)) in enumerate(others.items()):
            other = outcome(folder, folder / str(number), extra, variables)
            counts.add("processors")
            same_bits = other.weights == own.weights
            counts.expect(same_bits or name != "the same", "other bits", name)
            counts.expect(other.inputs == own.inputs, "other draws or runs", f"{name}: {other.inputs} {own.inputs}")
            apart = max(abs(other.measures[key] - own.measures[key]) for key in _means(own.measures))
            counts.most("largest difference of a measure", apart)
            counts.expect(apart <= TOLERANCE, "other measures", f"{name}: {other.measures}")
            counts.add("with other weights", not same_bits)
    return counts.end()


def _means(measures: dict[str, Any]) -> list[str]:
    return [name for name, value in measures.items() if isinstance(value, float) and "second" not in name]


if __name__ == "__main__":
    sys.exit(main())
