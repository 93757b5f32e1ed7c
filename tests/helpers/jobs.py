"""Experiments composed as the command line composes them, and run in this process."""

import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from experiments.config import compose

ROOT = Path(__file__).parents[2]
# the line of a multirun's job that has gone on for a while: on a busy machine also of one of seconds
GOES_ON = re.compile(r": \S.* [\d,]+ of [\d,]+")


def composed(*overrides: str) -> DictConfig:
    """The config of ``python -m experiments.train <overrides>``."""
    compose.register()
    return compose.composed(*overrides)


def tiny_overrides(tmp_path: Path, data: Path, backbone: Path, *more: str) -> list[str]:
    """A job of seconds on a tiny BERT and a collection in BEIR's layout."""
    return [
        "data=beir",
        f"data.path={data}",
        "backbone=local",
        f"backbone.path={backbone}",
        "backbone.name=random-bert",
        "model.max_length=48",
        "model.max_query_tokens=16",
        "negatives.count=3",
        "negatives.depth=20",
        "first_stage_depth=10",
        "validation.depth=10",
        "validation.times=2",
        "batch.size=4",
        "budget.size=32",
        "optimizer.lr=1e-3",
        "trainer=cpu",
        "compute.threads=1",
        "logger=none",
        f"outputs={tmp_path / 'outputs'}",
        f"cache={tmp_path / 'cache'}",
        *more,
    ]


def mapping_of(job: str) -> dict[str, Any]:
    """The overrides of a job as a mapping: ``loss=lce seed=2`` is ``{"loss": "lce", "seed": 2}``."""
    pairs = (override.split("=", 1) for override in job.split())
    return {key: yaml.safe_load(value) for key, value in pairs}


def job_override(key: str, job: str) -> str:
    """The override that adds to a prerequisite job's own: ``++loss.job={loss:lce,seed:2}``."""
    return f"++{key}={{{','.join(override.replace('=', ':', 1) for override in job.split())}}}"


def run(overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """Run a job as the command line runs it, with what it needs and its test sets; returns its metrics and folder."""
    from experiments.jobs.whole_job import run_whole_job

    config = composed(*overrides)
    return run_whole_job(compose.check(config), compose.plain(config))
