"""Measure what kill -9 costs in the middle of long stages. ``make kills``.

    python tests/benchmarks/measure_kills.py 1000000 [--queries 20000] [--folder FOLDER]

Tokenising, BM25's index and retrieval, and the encoding of all passages by MiniLM are started on ``data=synthetic``, a
process each as in ``measure_scale.py``, and killed some seconds after some of their work is on disk. What was done
since the last record on disk is lost; the longest time between two records is the most that a kill can cost. Each stage
is then started again, and must go on with the work that it had: the records from before the kill are still there,
unchanged, when the first new one comes. The encoding is not run to its end.

The result is written to docs/scale/kills.json, and docs/scale.md anew.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure_scale import KILLS, RESULTS, ROOT, STAGE, machine, write_page

RECORDS, SECONDS = 4, 3.0  # on disk before the kill; and how long after the last of them it comes
Records = Callable[[Path], dict[str, int]]  # of a cache: name of each record on disk -> its time


def folders(kind: str) -> Records:
    """Records that are folders below ``parts`` of an unfinished entry."""

    def found(cache: Path) -> dict[str, int]:
        parts = cache.glob(f"{kind}/.*.unfinished/parts/[!.]*")
        return {part.name: part.stat().st_mtime_ns for part in parts if part.is_dir()}

    return found


def growing(kind: str, name: str) -> Records:
    """Records that are states of one file of an unfinished entry, which only grows; each is named by its size."""
    seen: dict[str, int] = {}

    def found(cache: Path) -> dict[str, int]:
        for path in cache.glob(f"{kind}/.*.unfinished/{name}"):
            seen.setdefault(str(path.stat().st_size), path.stat().st_mtime_ns)
        return {size: at for size, at in seen.items() if size != "0"}

    return found


STAGES: dict[str, Records] = {
    "tokenise": growing("tokens", "lengths.bin"),
    "index": folders("bm25"),
    "retrieve": folders("run"),
    "encode": growing("embeddings", "shards.json"),
}


def started(stage: str, options: argparse.Namespace) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / "measure_scale.py"), str(options.size)]
    command += ["--queries", str(options.queries), "--folder", str(options.folder), "--stage", stage]
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True)


def killed(process: "subprocess.Popen[bytes]") -> None:
    """Kill a stage with all of its processes."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def waited(process: "subprocess.Popen[bytes]", enough: Callable[[], bool]) -> None:
    """Wait until a stage has got so far. Raises SystemExit if it ends before."""
    while not enough():
        if process.poll() is not None:
            raise SystemExit("the stage ended before it could be killed: give a larger size")
        time.sleep(0.05)


def measure(stage: str, options: argparse.Namespace) -> dict[str, float]:
    """Kill a stage and start it again; return the seconds that it lost, and those it can lose at most."""
    records, cache = STAGES[stage], options.folder / "cache"
    process = started(stage, options)
    waited(process, lambda: len(records(cache)) >= RECORDS)
    time.sleep(SECONDS)
    before = records(cache)
    killed(process)
    lost = time.time() - max(before.values()) / 1e9
    times = sorted(before.values())
    again, began = started(stage, options), time.time()
    waited(again, lambda: len(records(cache)) > len(before))
    resumed = time.time() - began
    after = records(cache)
    if any(after.get(name) != at for name, at in before.items()):
        raise SystemExit(f"{stage}: work that was done before the kill was done again")
    if stage == "encode":
        killed(again)
    elif again.wait():
        raise SystemExit(f"{stage} failed")
    longest = max(later - earlier for earlier, later in pairwise(times)) / 1e9
    return {"lost_seconds": lost, "between_records_seconds": longest, "next_record_seconds": resumed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=int)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path(".scale"))
    options = parser.parse_args()
    options.folder = options.folder.resolve() / "kills"
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    assert set(STAGES) <= set(STAGE)
    try:
        if started("read", options).wait():
            raise SystemExit("read failed")
        found: dict[str, Any] = {stage: measure(stage, options) for stage in STAGES}
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    for stage, row in found.items():
        print(stage, {name: round(value, 1) for name, value in row.items()}, flush=True)
    result = {"passages": options.size, "queries": options.queries, "machine": machine(), "stages": found}
    RESULTS.mkdir(exist_ok=True)
    KILLS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write_page()


if __name__ == "__main__":
    main()
