"""Rehearse a study: walk every distinct job for two steps and ten queries, with its data, its caches and its model.

Each job goes the whole way, from the jobs that it needs to its test sets, so that a week on a cluster does not end with
a fault in its last job. What is computed of collections (tokens, indexes, vectors) stays in the cache; results go.
"""

import logging
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.common.errors import ExperimentError, why
from experiments.common.text import duration, plural
from experiments.config import Experiment, compose
from experiments.config.grid import Grid
from experiments.config.model import trains
from experiments.jobs.whole_job import run_whole_job

STEPS, QUERIES = 2, 10
QUERIES_OF_JOB = "data.queries"
FOLDER = ".rehearsal"  # below outputs; removed at the end

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rehearsed:
    """A job of a rehearsal. ``error``: why it failed; empty if it did not."""

    number: int
    what: str
    seconds: float
    error: str


def rehearse(grid: Grid, console: Console) -> int:
    """Rehearse the jobs of a grid one after the other and print how each ended; returns 1 if any failed, else 0.

    Jobs that differ in the seed alone are rehearsed once. A failure does not stop the others.
    """
    jobs = distinct(grid)
    console.print(f"{plural(len(jobs), 'distinct job')} of {len(grid.rows)}, {STEPS} steps and {QUERIES} queries each")
    folder = Path(str(grid.config.outputs)) / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of a rehearsal that was killed
    ended = []
    try:
        for number, (what, config) in jobs.items():
            ended.append(_rehearsed(number, what, config))
            console.print(_line(ended[-1], len(grid.rows)), markup=False, soft_wrap=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    failed = [job for job in ended if job.error]
    console.print(f"{plural(len(ended) - len(failed), 'job')} went all the way, {len(failed)} failed", markup=False)
    return int(bool(failed))


def distinct(grid: Grid) -> dict[int, tuple[str, dict[str, Any]]]:
    """Return the jobs of a grid that differ in more than the seed: number -> (what varies, its shortened config)."""
    jobs: dict[int, tuple[str, dict[str, Any]]] = {}
    seen = []
    for row in grid.rows:
        with compose.explained(row.where):
            config = row.plain
        unseeded = _unseeded(config)
        if unseeded not in seen:
            seen.append(unseeded)
            what = " ".join(part for part in row.varying.split() if not part.startswith("seed="))
            jobs[row.number] = (what, shortened(config))
    return jobs


def _unseeded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without the seeds of the job and of those that it needs first."""
    return {
        key: _unseeded(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if key != "seed"
    }


def shortened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved config cut to ``STEPS`` steps and ``QUERIES`` queries of each split, test sets and the jobs
    that it needs included, without a logger, in a folder of its own.
    """
    batch, negatives = config["batch"], config["negatives"]["count"]
    groups = STEPS * max(1, batch["size"] // (negatives + 1 if batch["unit"] == "pairs" else 1))
    queries = {"train": max(groups, QUERIES), "dev": QUERIES, "test": QUERIES}
    return {
        **_with_short_jobs(config, queries["train"]),
        "outputs": str(Path(config["outputs"]) / FOLDER),
        "logger": None,
        "budget": {**config["budget"], "unit": "groups", "size": groups},
        "validation": {**config["validation"], "times": min(1, config["validation"]["times"])},
        "data": _with_few_queries(config["data"], queries),
        "tests": {
            name: {**test, "data": _with_few_queries(test["data"], queries)} for name, test in config["tests"].items()
        },
    }


def _with_few_queries(data: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    given = data.get("queries") or {}
    queries = {name: limit if given.get(name) is None else min(limit, given[name]) for name, limit in limits.items()}
    return {**data, "queries": {**given, **queries}}


def _with_short_jobs(settings: Mapping[str, Any], queries: int) -> dict[str, Any]:
    """Return settings in which every job that is needed first is short, however deep it is, with at most ``queries``
    of each split.
    """
    return {
        key: _with_short_jobs(_short_job(value, queries) if key == "job" else value, queries)
        if isinstance(value, Mapping)
        else value
        for key, value in settings.items()
    }


def _short_job(job: Mapping[str, Any], queries: int) -> dict[str, Any]:
    """Return the overrides of a job with a budget of two groups, which are at least one step, and few queries."""
    own = {
        key: _limited(value, queries, key.startswith(QUERIES_OF_JOB))
        for key, value in job.items()
        if key.partition(".")[0] not in ("budget", "validation")
    }
    measures = isinstance(job.get("model"), Mapping) and "job" in job["model"]  # a run by a model trained for it
    return own if measures else {**own, "budget": {"unit": "groups", "size": STEPS}, "validation": {"times": 1}}


def _limited(value: Any, limit: int, counts: bool) -> Any:
    """Return overrides with smaller numbers of queries. ``counts``: the value is of them."""
    if isinstance(value, Mapping):
        return {key: _limited(inner, limit, counts or key == "queries") for key, inner in value.items()}
    return min(value, limit) if counts and isinstance(value, int) else value


def _rehearsed(number: int, what: str, config: Mapping[str, Any]) -> Rehearsed:
    began, error = time.monotonic(), ""
    try:
        experiment = _checked(config)
        run_whole_job(experiment, config)
    except ExperimentError as failure:
        error = str(failure)
    except Exception as failure:  # of any library: the other jobs are still to be rehearsed
        log.error("%s", traceback.format_exc())
        error = why(failure)
    return Rehearsed(number, what, time.monotonic() - began, error)


def _checked(config: Mapping[str, Any]) -> Experiment:
    from experiments.jobs.check_jobs import check_jobs

    (experiment,) = check_jobs({"": compose.typed(config)}, trains(config["model"]), networks=True)
    return experiment


def _line(job: Rehearsed, of: int) -> str:
    ended = f"failed: {job.error}" if job.error else "went all the way"
    return f"[{job.number}/{of}] {job.what or 'the job'}: {ended} ({duration(job.seconds)})"
