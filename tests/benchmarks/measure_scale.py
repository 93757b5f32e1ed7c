"""Measure what each stage before a training costs at a size: time, processor time, peak memory, disk. ``make scale``.

    python tests/benchmarks/measure_scale.py 200000 [--queries 2000] [--folder FOLDER]

The collection is ``data=synthetic``, with the lengths and word frequencies of MS MARCO and as many training queries a
passage. Each stage is a process of its own over one cache, so that its peak memory is its own; pages of files that it
maps count in it. ``read``: the collection into the store. ``tokenise``: its passages, for BERT, 128 tokens. ``index``:
BM25's. ``retrieve``: BM25's top 200 of --queries queries. ``sample``: the negatives of all training queries, from 200
random passages each. ``job``: a whole training of ten steps of 1 + 7 passages of the tiny BERT on --queries queries
that re-ranks the top 100 of 100 test queries, over the cache that the stages left. ``next job``: the same with another
seed.

The result is written to docs/scale/<size>.json, and docs/scale.md anew from all sizes there. Run it on a quiet machine.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "docs" / "scale", ROOT / "docs" / "scale.md"
KILLS = RESULTS / "kills.json"
DEPTH, TESTED, MAX_TOKENS = 200, 100, 128
PASSAGES_A_QUERY = 17.5  # of MS MARCO: 8.8 million passages, 502,939 judged training queries
CLOCK = "first_step"
STAGES = ("read", "tokenise", "index", "retrieve", "sample", "job", "next job")
UNITS = {
    "read": "passages", "tokenise": "passages", "index": "passages", "retrieve": "queries", "sample": "judged_queries",
}  # fmt: skip


def judged(size: int) -> int:
    """Return the number of training queries of a collection."""
    return int(size / PASSAGES_A_QUERY)


def opened(size: int, cache: Any) -> Any:
    from experiments.data.collection import open_collection
    from experiments.data.readers.synthetic import Synthetic

    return open_collection(Synthetic(passages=size, train=judged(size), dev=TESTED, test=TESTED), cache)


def read(size: int, queries: int, cache: Any) -> None:
    opened(size, cache)


def tokenise(size: int, queries: int, cache: Any) -> None:
    from helpers.jobs import composed

    from experiments.config import compose
    from experiments.data.tokens import tokens_of
    from experiments.models.backbone import source_of
    from experiments.pretrained.tokenizer import tokenizer_of

    backbone = compose.check(composed("backbone=bert_tiny"), parts=False).backbone
    tokens_of(opened(size, cache), "passages", tokenizer_of(source_of(backbone)), MAX_TOKENS, cache)


def index(size: int, queries: int, cache: Any) -> None:
    from experiments.retrieval.bm25 import BM25

    collection = opened(size, cache)
    BM25().retrieve(collection, collection.qrels("test").queries[:1], 1, cache)


def retrieve(size: int, queries: int, cache: Any) -> None:
    from experiments.retrieval.bm25 import BM25
    from experiments.retrieval.retriever import run_for

    collection = opened(size, cache)
    run_for(BM25(), collection, collection.qrels("train").queries[:queries], DEPTH, cache)


def sample(size: int, queries: int, cache: Any) -> None:
    import numpy as np
    from helpers.jobs import composed

    from experiments.config import compose
    from experiments.data.ragged import Ragged
    from experiments.data.run import Run
    from experiments.data.splits import make_splits
    from experiments.negatives.sampler import NegativeSampler

    collection = opened(size, cache)
    train = make_splits(collection)["train"]
    offsets = np.arange(len(train.queries) + 1) * DEPTH
    rows = np.random.default_rng(1).integers(0, size, int(offsets[-1]))
    run = Run("random", train.queries, Ragged(rows, offsets), Ragged(np.zeros(len(rows), np.float32), offsets))
    rule = compose.check(composed("negatives.count=7", f"negatives.depth={DEPTH}"), parts=False).negatives
    sampler = NegativeSampler(rule, [run], train.relevant, collection, 1)
    for query in sampler.queries.tolist():
        sampler.group(query, 0)


def encode(size: int, queries: int, cache: Any) -> None:
    from helpers.jobs import composed

    from experiments.config import compose
    from experiments.models.backbone import locate
    from experiments.retrieval.dense import Dense
    from experiments.retrieval.vector_store import passage_embeddings

    backbone = compose.check(composed("backbone=minilm"), parts=False).backbone
    passage_embeddings(Dense(checkpoint=str(locate(backbone)), name="minilm"), opened(size, cache), cache)


def job_overrides(size: int, queries: int, folder: Path, seed: int) -> list[str]:
    """The overrides of a job of ten steps."""
    counts = f"data.source.train={judged(size)}", f"data.source.dev={TESTED}", f"data.source.test={TESTED}"
    return [
        "data=synthetic", f"data.source.passages={size}", *counts, "backbone=bert_tiny", "loss=lce",
        f"data.queries.train={queries}", "+callbacks.clock._target_=helpers.first_step.FirstStep",
        f"+callbacks.clock.path={folder / CLOCK}", f"model.max_length={MAX_TOKENS}", "negatives.count=7",
        "negatives.short=replacement", f"negatives.depth={DEPTH}", "batch.size=4", "budget.size=40",
        "validation.times=0", "validation.select=last", f"first_stage_depth={TESTED}", "measures=[RR@10]",
        "study=scale", f"seed={seed}", f"outputs={folder / 'outputs'}", f"cache={folder / 'cache'}",
    ]  # fmt: skip


def measured(command: list[str]) -> dict[str, float]:
    """Run a command; return its wall and processor seconds and peak memory in GB. Raises SystemExit if it fails."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    to_bytes = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": time.monotonic() - began,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_gb": used.ru_maxrss * to_bytes / 1e9,
    }


def size_of(folder: Path) -> float:
    """Return the GB that a folder takes on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def measure(size: int, queries: int, folder: Path) -> dict[str, Any]:
    """Run all stages, each as a process of its own."""
    rows: dict[str, dict[str, float]] = {}
    for seed, stage in enumerate(STAGES):
        if stage in STAGE:
            own = [sys.executable, __file__, str(size), "--queries", str(queries), "--folder", str(folder)]
            command = [*own, "--stage", stage]
        else:
            command = [sys.executable, "-m", "experiments.train", *job_overrides(size, queries, folder, seed)]
        before, began = size_of(folder), time.time()
        rows[stage] = measured(command)
        rows[stage]["disk_gb"] = size_of(folder) - before
        if stage not in STAGE:
            rows[stage]["first_step_seconds"] = (folder / CLOCK).stat().st_mtime - began
        print(stage, {name: round(value, 2) for name, value in rows[stage].items()}, flush=True)
    counts = {"passages": size, "queries": queries, "judged_queries": judged(size)}
    return {**counts, "machine": machine(), "stages": rows}


def machine() -> str:
    """Return the system and its cores."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def rate_of(stage: str, row: Mapping[str, float], result: Mapping[str, Any]) -> str:
    """Return what a stage does in a second, or when a job's first step was."""
    if stage not in UNITS:
        return f"first step after {row['first_step_seconds']:,.0f} s"
    return f"{result[UNITS[stage]] / row['seconds']:,.0f} {UNITS[stage].split('_')[-1]}"


def page_of(results: list[Mapping[str, Any]]) -> str:
    """Return docs/scale.md from the results of all sizes."""
    parts = [PREAMBLE.strip()]
    for result in results:
        lines = ["| stage | wall | processor | a second | peak memory | disk |", "|---|---:|---:|---:|---:|---:|"]
        for stage, row in result["stages"].items():
            times = [f"{row[name]:,.0f} s" for name in ("seconds", "processor_seconds")]
            sizes = [f"{row[name]:.2f} GB" for name in ("peak_gb", "disk_gb")]
            lines.append(f"| {' | '.join([stage, *times, rate_of(stage, row, result), *sizes])} |")
        head = f"## {result['passages']:,} passages"
        judged_queries = f"{result['judged_queries']:,} training queries"
        searched = f"{result['queries']:,} of them searched and trained on"
        beside = f"; {result['beside']}" if "beside" in result else ""
        command = f"`make scale SIZE={result['passages']}`: {judged_queries}, {searched}; {result['machine']}{beside}."
        parts.append("\n".join([head, "", command, "", *lines]))
    return "\n\n".join(parts) + "\n"


def kills_of(result: Mapping[str, Any]) -> str:
    """Return the section of docs/scale.md about kill -9 (``measure_kills.py``)."""
    lines = ["| killed | lost | at most | next work on disk after the restart |", "|---|---:|---:|---:|"]
    for stage, row in result["stages"].items():
        seconds = (row[name] for name in ("lost_seconds", "between_records_seconds", "next_record_seconds"))
        lines.append(f"| {' | '.join([stage, *(f'{value:,.0f} s' for value in seconds)])} |")
    counts = f"{result['passages']:,} passages, {result['queries']:,} queries; {result['machine']}"
    text = (
        f"`make kills SIZE={result['passages']}`: {counts}. At most: the longest time between two records of a stage."
    )
    return "\n".join(["", "## kill -9", "", text, "", *lines]) + "\n"


def write_page() -> None:
    """Write docs/scale.md from all results on disk."""
    sizes = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("[0-9]*.json")]
    text = page_of(sorted(sizes, key=lambda each: int(each["passages"])))
    if KILLS.exists():
        text += kills_of(json.loads(KILLS.read_text(encoding="utf-8")))
    PAGE.write_text(text, encoding="utf-8")


STAGE: dict[str, Callable[[int, int, Any], None]] = {
    "read": read, "tokenise": tokenise, "index": index, "retrieve": retrieve, "sample": sample, "encode": encode,
}  # fmt: skip
PREAMBLE = """
# Scale

<!-- written by tests/benchmarks/measure_scale.py: run make scale SIZE=... -->

What the way to a training costs on one machine, on `data=synthetic`, a collection with the lengths and word
frequencies of MS MARCO's passages. Each stage is a process of its own over one cache. Peak memory has the pages of the
files that a stage maps, which the system takes back when it needs them.

- **read**: the collection into the store. **tokenise**: its passages, for BERT, 128 tokens. **index**: BM25's.
  **retrieve**: BM25's top 200 of some training queries. **sample**: the negatives of all training queries, seven of
  200 random passages each.
- **job**: a whole training of ten steps (4 queries, 1 + 7 passages, BERT 2 x 128) that re-ranks the top 100 of 100 test
  queries, after those stages. **next job**: the same with another seed, which finds all of it in the cache.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=int)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path(".scale"))
    parser.add_argument("--beside", help="what else the machine did, for the page")
    parser.add_argument("--stage", choices=STAGE)
    options = parser.parse_args()
    if options.stage:
        from experiments.common.cache import Cache

        STAGE[options.stage](options.size, options.queries, Cache(options.folder / "cache"))
        return
    folder = options.folder.resolve() / str(options.size)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        result = measure(options.size, options.queries, folder)
        result |= {"beside": options.beside} if options.beside else {}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.size}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write_page()


if __name__ == "__main__":
    main()
