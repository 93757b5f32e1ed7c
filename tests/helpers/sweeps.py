"""The grids of sweeps/, composed once for all the tests that look at them, and the cells that they will make."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from helpers.jobs import ROOT, composed
from helpers.settings import setting_of

from experiments.analysis.settings import SettingResult
from experiments.config import Experiment, compose
from experiments.config.grid import Row, compose_grid
from experiments.config.identity import job_name
from experiments.config.paper_table import PaperTable, table_of
from experiments.data.collection import Collection
from experiments.job_files.per_query import PerQuery
from experiments.jobs.evaluate_checkpoint import labels_of as labels_of_checkpoint
from experiments.jobs.run_job import labels_of

SCALES = ("mini", "paper")
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))
WHOLE = "whole_collection"
LAYERS = {"bert-tiny": 2, "minilm-l6": 6, "electra-base": 12}


@dataclass(frozen=True)
class SweepJob:
    """One job of a grid: its overrides, itself, its name, and the labels of its cells, one for each first stage, also
    of its test sets.
    """

    overrides: tuple[str, ...]
    experiment: Experiment
    name: str
    labels: tuple[Mapping[str, Any], ...]


@cache
def rows_of(sweep: str, scale: str) -> tuple[Row, ...]:
    """The jobs of a sweep's grid with seed 1, not checked."""
    compose.register()
    return compose_grid([f"+sweeps={sweep}", f"scale={scale}", "seed=1"]).rows


@cache
def job_of(sweep: str, scale: str, number: int) -> SweepJob:
    """One of them, from 0, checked as a launch checks it."""
    return _job(rows_of(sweep, scale)[number].config)


def jobs_of(sweep: str, scale: str) -> tuple[SweepJob, ...]:
    """All of them, checked as a launch checks them."""
    return tuple(job_of(sweep, scale, number) for number in range(len(rows_of(sweep, scale))))


@cache
def table(sweep: str, scale: str) -> PaperTable:
    """The table that a sweep declares."""
    from omegaconf import OmegaConf

    config = composed(f"+sweeps={sweep}", f"scale={scale}")
    settings = OmegaConf.to_container(config.table, resolve=True)
    return table_of(cast(dict[str, Any], settings))


def cells_of(sweep: str, scale: str) -> list[SettingResult]:
    """The cells that the grid will make: their labels, with one seed, one query and no values."""
    return [_sample(labels, job) for job in jobs_of(sweep, scale) for labels in job.labels]


def layer_cells_of(sweep: str, scale: str) -> list[SettingResult]:
    """The probed layers that the grid will make, in the same way."""
    found = []
    for job in jobs_of(sweep, scale):
        if job.experiment.probe.layers is not None:
            trained = {name: value for name, value in job.labels[0].items() if name != "first_stage"}
            found += [
                _sample(trained | {"layer": layer, "pooling": pooling, "candidates": candidates}, job)
                for layer in range(LAYERS[job.experiment.backbone.name] + 1)
                for pooling in job.experiment.probe.pooling
                for candidates in (WHOLE, *job.experiment.first_stage)
            ]
    return found


def _job(config: Any) -> SweepJob:
    experiment, plain = compose.check(config), compose.plain(config)
    collection = cast(Collection, SimpleNamespace(name=plain["data"]["source"].get("name", "apidocs")))
    if experiment.model.trains:
        labels = labels_of(experiment, plain, collection)
    else:
        labels = labels_of_checkpoint(experiment, collection.name, None)
    labels = {name: value for name, value in labels.items() if name != "seed"}
    searched = [WHOLE] if experiment.model.retrieves else []
    elsewhere = [
        {**labels, "data": name, "trained_on": labels["data"], "first_stage": first_stage}
        for name, test_set in experiment.tests.items()
        for first_stage in test_set.first_stage
    ]
    own = [labels | {"first_stage": first_stage} for first_stage in (*experiment.first_stage, *searched)]
    return SweepJob(tuple(config.hydra.overrides.task), experiment, job_name(plain), (*own, *elsewhere))


def _sample(labels: Mapping[str, Any], job: SweepJob) -> SettingResult:
    measured = setting_of(labels, jobs=[job.name], measure=job.experiment.measures[0])
    sample = replace(measured, query_ids=tuple(f"{labels['data']} {one}" for one in measured.query_ids))
    if "first_stage" not in labels:
        return sample
    ranked = PerQuery(sample.query_ids, {}, {sample.measure: np.zeros(len(sample.query_ids))})
    jobs = tuple(replace(one, per_query={labels["first_stage"]: ranked}) for one in sample.jobs)
    return replace(sample, jobs=jobs)
