"""Probe the layers of a checkpoint on the test queries, without a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.common.cache import write_json
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.jobs.components import Components
from experiments.jobs.open_evaluation import OpenEvaluation, evaluation_folder, open_tracking
from experiments.jobs.probe_layers import probe_stage
from experiments.probing.model import load_model


def check_checkpoint(experiment: Experiment) -> None:
    """Raise ExperimentError unless a checkpoint is named."""
    if experiment.checkpoint is None:
        raise ExperimentError("checkpoint must be given: add checkpoint=... (a folder or hub id) to the command")


def probe_checkpoint(
    experiment: Experiment, settings: Mapping[str, Any], parts: Components
) -> tuple[dict[str, Any], Path]:
    """Measure every layer of a checkpoint; returns the results of the model and its control, and their folder.

    Raises:
        ExperimentError: the checkpoint cannot be loaded, or a setting does not fit it.
    """
    assert experiment.checkpoint is not None  # see check_checkpoint
    model = load_model(experiment.checkpoint)
    opened = OpenEvaluation(experiment, parts, "test")
    runs = {name: opened.run(name, experiment.rerank_depth) for name in experiment.first_stage}
    folder = evaluation_folder("probe", experiment, settings)
    tags = [f"data={opened.collection.name}", f"pairing={experiment.probe.pairing}"]
    with open_tracking("probe", experiment, settings, parts, folder, tags) as tracking:
        layers = probe_stage(
            experiment, model, opened.collection, opened.relevance, runs, folder, tracking, opened.cache
        )
    results = {"data": opened.collection.name, **layers}
    write_json(folder / "probe.json", results)
    return results, folder
