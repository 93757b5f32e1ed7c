"""Write a sound study of two finished jobs and a failed one, for every command that reads one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from helpers.findings import TABLE, answer, write_answers_file

from experiments.common.cache import Cache
from experiments.config import compose
from experiments.config.identity import job_hash, job_name
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged
from experiments.data.readers.beir import BeirFolder
from experiments.data.run import Run, write_trec
from experiments.evaluation.measures import evaluate
from experiments.job_files.files import run_path
from experiments.job_files.history import COLUMNS, write_history
from experiments.job_files.per_query import PerQuery, per_query_path, write_per_query

QUERIES, PASSAGES = 4, 6
MEASURES = ("RR@10", "nDCG@10")
DEPTHS = {3: "3", 6: "6"}
FAILED = "hinge"
RANKINGS = {"bm25": (0, 1, 2, 3, 4, 5), "bce": (1, 0, 2, 3, 4, 5), "lce": (2, 1, 0, 5, 4, 3)}


def write_template(folder: Path) -> Path:
    """Write the collection and the study below a folder; returns the study."""
    data = folder / "shapes"
    (data / "qrels").mkdir(parents=True)
    _lines(data / "corpus.jsonl", [{"_id": f"p{i}", "title": "", "text": f"passage {i}"} for i in range(PASSAGES)])
    _lines(data / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(QUERIES)])
    for split in ("train", "test"):
        (data / "qrels" / f"{split}.tsv").write_text("".join(f"q{i}\tp{i}\t1\n" for i in range(QUERIES)))
    collection = open_collection(BeirFolder(str(data)), Cache(folder / "cache"))
    study, names = folder / "outputs" / "shapes", []
    for loss in ("bce", "lce", "hinge"):
        task = [f"loss={loss}", *_overrides(folder, data)]
        config = compose.plain(compose.composed(*task))
        names.append(job_name(config))
        if loss == FAILED:
            _write_failed_job(study / names[-1], config)
        else:
            _write_job(study / names[-1], config, collection, loss)
        (study / names[-1] / "hydra").mkdir()
        _yaml(study / names[-1] / "hydra" / "overrides.yaml", task)
        launch = {"hydra": {"overrides": {"hydra": ["hydra.mode=MULTIRUN"], "task": task}}}
        _yaml(study / names[-1] / "hydra" / "hydra.yaml", launch)
    _yaml(study / "multirun.yaml", launch)
    _yaml(study / "table.yaml", {**TABLE, "data": "shapes"})
    _json(study / "grid.json", names)
    return study


def _overrides(folder: Path, data: Path) -> list[str]:
    return [
        "data=beir", f"data.path={data}", "backbone=local", f"backbone.path={folder / 'bert'}", "backbone.name=tiny",
        "study=shapes", f"outputs={folder / 'outputs'}", f"cache={folder / 'cache'}", "logger=none", "seed=1",
        f"measures=[{','.join(MEASURES)}]", f"first_stage_depth=[{','.join(DEPTHS.values())}]", "negatives.depth=50",
        "validation.depth=10",
    ]  # fmt: skip


def _write_job(folder: Path, config: dict[str, Any], collection: Collection, loss: str) -> None:
    folder.mkdir(parents=True)
    relevance = {query: {query: 1} for query in range(QUERIES)}
    first = evaluate(_run("bm25", PASSAGES), relevance, MEASURES)
    ids, depths = collection.queries.ids(first.queries), {}
    for depth, name in DEPTHS.items():
        run = _run(loss, depth)
        scored = evaluate(run, relevance, MEASURES)
        depths[name] = {**scored.mean, "pairs": QUERIES * depth, "ms_per_query": 3.5}
        place = None if depth == max(DEPTHS) else depth
        write_per_query(per_query_path(folder, "bm25", place), PerQuery(tuple(ids), scored.per_query, first.per_query))
        write_trec(run, collection, run_path(folder, "bm25", place))
    test = {
        **scored.mean,
        "first_stage": first.mean,
        "ties": 0,
        "pairs": QUERIES * PASSAGES,
        "queries": QUERIES,
        "depths": depths,
    }
    labels = {"loss": loss, "negatives": 7, "source": "bm25", "seed": 1, "data": "shapes", "backbone": "tiny"}
    compute = {"pairs": 8000, "tokens": 90000, "seconds": 80.5, "train_seconds": 60.5, "flops": 1e12, "threads": 1}
    _json(folder / "metrics.json", {"labels": labels, "test": {"bm25": test}, "compute": {**compute, "device": "cpu"}})
    noted = {"started": "2026-01-02T03:04:05+00:00", "updated": "2026-01-02T03:14:05+00:00", "git": "0123456789ab"}
    state = {"state": "finished", "error": None, "seconds": 80.5, "attempts": 1, "hash": job_hash(config), **noted}
    _json(folder / "status.json", {**state, "inputs": {"collection": collection.fingerprint}})
    _yaml(folder / "config.yaml", config)
    _write_history(folder)
    write_answers_file(folder, [answer(query, loss) for query in ids])


def _write_failed_job(folder: Path, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    state = {"state": "failed", "error": "MemoryError", "seconds": 3.0, "attempts": 2, "hash": job_hash(config)}
    _json(folder / "status.json", {**state, "started": "2026-01-02T03:04:05+00:00", "inputs": {}})
    _yaml(folder / "config.yaml", config)
    _write_history(folder)


def _write_history(folder: Path) -> None:
    rows = [dict.fromkeys(COLUMNS, 0.5 / step) | {"step": step, "groups": 2 * step} for step in (4, 8, 12)]
    write_history(folder / "history.tsv", rows)


def _run(name: str, depth: int) -> Run:
    passages = [np.roll(RANKINGS[name], query)[:depth] for query in range(QUERIES)]
    scores = [-np.arange(depth) for _ in range(QUERIES)]
    return Run(name, np.arange(QUERIES), Ragged.of(passages, np.int64), Ragged.of(scores, np.float32))


def sound_files(study: Path) -> Iterator[Path]:
    """Yield the files of a study that damages are done to."""
    for pattern in ("*.yaml", "*.json", "*/*.yaml", "*/*.json", "*/*.tsv", "*/*.gz", "*/hydra/*.yaml"):
        yield from sorted(study.glob(pattern))


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
