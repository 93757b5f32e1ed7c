"""What the saved results of a job are held against today: its collection, judgements and inputs, opened anew."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from experiments import composition, launch
from experiments.errors import ExperimentError
from experiments.schema import Experiment
from experiments.studies.identity import job_name
from experiments.studies.verify import Today

TEACHERS = {  # the name of an input -> the key of the job that trains it, and that of its place
    "loss.teacher": "loss.job",
    "model.dual_encoder.cross_encoder": "model.dual_encoder.job",
}


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
    from experiments.retrieval.checkpoint import Checkpoint
    from experiments.retrieval.retriever import contents_of

    made = {key: _model_of(before, config) for key, before, config in launch.all_before(experiment)}
    if name in TEACHERS:
        place = made.get(TEACHERS[name]) or _stated(experiment, name)
        return Checkpoint(str(place), None, name).content()
    parts = composition.make_parts(experiment, lambda key, job: made[key])
    contents = contents_of(parts.retrievers)
    if name not in contents:
        raise ExperimentError(f"{name} is no input of this job today")
    return contents[name]


def _model_of(experiment: Experiment, config: Mapping[str, Any]) -> Path:
    return Path(experiment.outputs) / experiment.study / job_name(config) / "model"


def _stated(experiment: Experiment, name: str) -> Any:
    if name == "loss.teacher":
        return experiment.loss.get("teacher")
    return experiment.model.dual_encoder.cross_encoder
