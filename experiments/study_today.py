"""What the saved results of a job are held against today: its collection, judgements and inputs, opened anew."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from experiments import composition, launch
from experiments.schema import Experiment
from experiments.store import thorough
from experiments.studies.identity import job_name
from experiments.studies.verify import Today


class Opener:
    """Opens what jobs are held against; jobs that share their data share it."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Any, Any]] = {}

    def __call__(self, config: Mapping[str, Any]) -> Today:
        """What the job of a config is held against.

        Raises:
            ExperimentError: the config is of another version, or its data cannot be opened.
        """
        experiment = composition.restored(config)
        key = repr((experiment.data, experiment.retrieve.split, experiment.cache))
        if key not in self._opened:
            self._opened[key] = _open(experiment)
        return Today(*self._opened[key], partial(content_of, experiment))


def _open(experiment: Experiment) -> tuple[Any, Any]:
    from experiments.data.collection import open_collection
    from experiments.store import Store
    from experiments.studies.preparation import relevance_of, splits_of

    collection = open_collection(
        composition.source_of(experiment), Store(experiment.cache), experiment.data.ignore_identical_ids
    )
    name = experiment.retrieve.split
    return collection, relevance_of(collection, splits_of(experiment, collection, needed=(name,))[name])


def content_of(experiment: Experiment, name: str) -> str:
    """The digest of one of an experiment's inputs as it is now; ``name``: as its status has it, such as
    ``retrievers.colbert`` or ``loss.teacher``.

    Raises:
        ExperimentError: it is not there.
    """
    from experiments.studies.job_inputs import digest_of

    made = {key: _model_of(before, config) for key, before, config in launch.all_before(experiment)}
    if "loss.job" in made:
        experiment = replace(experiment, loss={**experiment.loss, "teacher": str(made["loss.job"])})
    if "model.dual_encoder.job" in made:
        dual = replace(experiment.model.dual_encoder, cross_encoder=str(made["model.dual_encoder.job"]))
        experiment = replace(experiment, model=replace(experiment.model, dual_encoder=dual))
    with thorough():
        return digest_of(name, experiment, composition.make_parts(experiment, lambda key, job: made[key]))


def _model_of(experiment: Experiment, config: Mapping[str, Any]) -> Path:
    return Path(experiment.outputs) / experiment.study / job_name(config) / "model"
