"""Experiments composed as the command line composes them, and run in this process."""

from pathlib import Path
from typing import Any

from hydra import compose as compose_config
from hydra import initialize_config_dir
from omegaconf import DictConfig

from experiments.config import compose

ROOT = Path(__file__).parents[2]


def composed(*overrides: str) -> DictConfig:
    """The config of ``python -m experiments.train <overrides>``."""
    compose.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose_config("config", overrides=list(overrides))


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


def run(overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """Run a job; returns its metrics and its folder."""
    from experiments.config.identity import job_name
    from experiments.jobs.run_job import run_job

    config = composed(*overrides)
    plain = compose.plain(config)
    experiment = compose.check(config)
    metrics = run_job(experiment, plain, compose.make_parts(experiment))
    return metrics, Path(experiment.outputs) / experiment.study / job_name(plain)
