"""Study folders written by hand: what a job leaves on disk, with literal values."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Values = Mapping[str, float]

FIRST_STAGE = {"q1": 0.5, "q2": 0.25, "q3": 1.0, "q4": 0.0}


def write_job(
    study: Path,
    name: str,
    reranked: Values,
    *,
    first_stage_values: Values = FIRST_STAGE,
    first_stages: Sequence[str] = ("bm25",),
    measure: str = "RR@10",
    labels: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    compute: Mapping[str, Any] | None = None,
    ties: int = 0,
    hash: str | None = None,
) -> Path:
    """Write a finished job whose re-ranked runs all have the given measure per query; its folder."""
    words = {"loss": "lce", "negatives": 7, "source": "bm25", "seed": 1, "data": "apidocs", "backbone": "bert-tiny"}
    words |= labels or {}
    folder = study / name
    folder.mkdir(parents=True)
    noted = {} if hash is None else {"hash": hash}
    _write_json(folder / "status.json", {"state": "finished", "error": None, "seconds": 12.3, **noted})
    settings = {
        "loss": {"name": words["loss"]},
        "model": {"_target_": "experiments.models.cross_encoder.config.CrossEncoderConfig", "name": "cross_encoder"},
        "negatives": {"count": words["negatives"], "source": words["source"]},
        "first_stage": list(first_stages),
        "retrievers": {name: {"name": name} for name in {words["source"], *first_stages}},
        "seed": words["seed"],
        "study": study.name,
        "trainer": {"devices": 1},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | dict(config or {})), encoding="utf-8")
    own = {measure: _mean(first_stage_values)}
    test = {measure: _mean(reranked), "first_stage": own, "ties": ties, "queries": len(reranked)}
    _write_json(
        folder / "metrics.json",
        {
            "labels": words,
            "test": dict.fromkeys(first_stages, test),
            "compute": {"pairs": 8000, "seconds": 80.1, "train_seconds": 61.2} | dict(compute or {}),
        },
    )
    for first_stage in first_stages:
        write_per_query(folder / f"per_query.{first_stage}.tsv", reranked, first_stage_values, measure)
    return folder


def write_two_seeds(study: Path, name: str, reranked: Values, **settings: Any) -> None:
    """Write jobs of the seeds 1 and 2 that answer every query alike, as ``NAME1`` and ``NAME2``."""
    labels = settings.pop("labels", {})
    for seed in (1, 2):
        write_job(study, f"{name}{seed}", reranked, labels={**labels, "seed": seed}, **settings)


def write_unfinished_job(study: Path, name: str, state: str, error: str | None = None) -> Path:
    """Write a job that is running or has failed; its folder."""
    folder = study / name
    folder.mkdir(parents=True)
    _write_json(folder / "status.json", {"state": state, "error": error, "seconds": 1.0})
    return folder


def write_per_query(path: Path, reranked: Values, first_stage_values: Values, measure: str = "RR@10") -> None:
    """Write a per-query table, its rows in the order of ``reranked``."""
    lines = [f"query\t{measure}\tfirst_stage:{measure}"]
    lines += [f"{query}\t{value}\t{first_stage_values[query]}" for query, value in reranked.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _mean(values: Values) -> float:
    return sum(values.values()) / len(values)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
