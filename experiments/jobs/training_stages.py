"""Describe the first stage of a training in two stages, for the labels of its job."""

from dataclasses import asdict
from typing import Any

from experiments.common.model_files import name_of
from experiments.config import Experiment
from experiments.config.init_from import KEY, stage_before
from experiments.jobs.evaluate_checkpoint import training_of


def stage_labels(experiment: Experiment) -> dict[str, Any]:
    """Return the label ``init_from``: the loss of the job that a training starts from, after those before it
    (``lce+ranknet``), or the name of a model of no job of ours; empty for a training in one stage.
    """
    start = experiment.init_from
    if start.path is None:  # of a job that is planned
        return {KEY: start.label or stage_before({KEY: asdict(start)})} if start.given else {}
    training = training_of(start.path)
    if training is None:
        return {KEY: start.label or name_of(start.path)}
    labels = training["labels"]
    return {KEY: start.label or "+".join(str(labels[key]) for key in (KEY, "loss") if key in labels)}
