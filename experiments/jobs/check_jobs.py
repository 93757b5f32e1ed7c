"""Check jobs before the first one starts: their settings, parts, models, prerequisites, test sets and folders."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from experiments.common.errors import ExperimentError
from experiments.common.importing import importing
from experiments.config import Experiment
from experiments.config.compose import check, explained, make, plain
from experiments.config.grid import Row
from experiments.config.measures import check_selection
from experiments.jobs.components import make_components
from experiments.jobs.prerequisites import jobs_before, prerequisites_of
from experiments.jobs.test_sets import check_test_sets


def check_jobs(
    jobs: Mapping[str, DictConfig | Row], trained: bool = True, *, networks: bool = False
) -> list[Experiment]:
    """Check jobs before they start; returns them as typed settings.

    ``jobs``: name of a job in messages -> its config, or its row of a grid. ``trained``: the jobs are trainings.
    ``networks``: check the files of pretrained models too, which imports torch and may ask a model hub.

    Raises:
        ExperimentError: a job cannot work.
    """
    seen: set[str] = set()
    experiments = []
    for where, job in jobs.items():
        with explained(where):
            experiment = job.experiment() if isinstance(job, Row) else check(job)
            if trained:
                check_selection(experiment)
            start = (experiment.backbone, experiment.init_from)
            pretrained = (*start, experiment.model, experiment.loss, experiment.negatives.filter)
            for make, settings in (
                (make_components, (experiment.data, experiment.retrievers, experiment.roles)),
                (partial(_check_prerequisites, networks=networks), (experiment.data, jobs_before(experiment))),
                (partial(_check_test_sets, job=job), (experiment.tests, experiment.measures)),
                (_check_networks if networks else _locate_package, pretrained),
                (_check_places, (experiment.outputs, experiment.study, experiment.cache)),
            ):
                if repr(settings) not in seen:  # a grid repeats its parts: check each once
                    seen.add(repr(settings))
                    make(experiment)
        experiments.append(experiment)
    return experiments


def _check_prerequisites(experiment: Experiment, networks: bool = False) -> None:
    for direct in prerequisites_of(experiment):
        for prerequisite in direct.deepest_first():
            make_components(prerequisite.experiment)
            (_check_networks if networks else _locate_package)(prerequisite.experiment)


def _check_test_sets(experiment: Experiment, job: DictConfig | Row) -> None:
    check_test_sets(experiment, job.plain if isinstance(job, Row) else plain(job))


def _check_networks(experiment: Experiment) -> None:
    with importing("torch"):
        from experiments.models.backbone_check import check_backbone

    check_backbone(experiment)
    make("loss.fn", experiment.loss["fn"])  # imports it


def _locate_package(experiment: Experiment) -> None:
    from experiments.models.backbone import locate

    if experiment.backbone.package is not None:
        locate(experiment.backbone)


def _check_places(experiment: Experiment) -> None:
    """Raise ExperimentError unless the folders of results and cache can be written."""
    for key, folder in (
        ("outputs", Path(experiment.outputs)),
        ("study", Path(experiment.outputs) / experiment.study),
        ("cache", Path(experiment.cache)),
    ):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        if not there.is_dir():
            raise ExperimentError(f"{key}: {there} is a file, so no folder can be made there: give another {key}")
        if not os.access(there, os.W_OK | os.X_OK):
            raise ExperimentError(f"{key}: nothing may be written into {there}: give another {key}")
