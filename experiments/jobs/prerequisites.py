"""Find, compose and train the prerequisites of a job: jobs whose models it needs."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments.common.errors import ExperimentError
from experiments.common.model_files import EXPORTED
from experiments.config import Experiment, compose
from experiments.config.identity import job_name, with_their_candidates
from experiments.config.init_from import JOB as INIT_FROM_JOB
from experiments.config.init_from import PATH as INIT_FROM_PATH
from experiments.config.init_from import InitFrom
from experiments.config.job_overrides import overrides_of
from experiments.config.measures import check_selection
from experiments.config.model import trains
from experiments.config.retriever_references import place_of
from experiments.job_files.status import DONE, status_of
from experiments.jobs.components import Components, Trained, make_components
from experiments.jobs.inherited import check_inherited, inherited_by, makes_run, may_change_data

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prerequisite:
    """A job that another job, its parent, needs done first.

    ``key``: names it in the parent's config. ``trains``: the parent's input that it trains, such as ``loss.teacher``.
    ``config``: the dictionary that identifies it. ``prerequisites``: its own.
    """

    key: str
    trains: str
    experiment: Experiment
    config: Mapping[str, Any]
    prerequisites: tuple["Prerequisite", ...]

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        return folder_of(self.experiment, self.config)

    @property
    def made(self) -> Path:
        """What the job makes: the folder of a model, or a run file."""
        return made_by(self.experiment, self.folder)

    def deepest_first(self) -> Iterator["Prerequisite"]:
        """Yield the prerequisites of this job, and then this job."""
        for prerequisite in self.prerequisites:
            yield from prerequisite.deepest_first()
        yield self


def folder_of(experiment: Experiment, config: Mapping[str, Any]) -> Path:
    """Return the folder of a job."""
    return Path(experiment.outputs) / experiment.study / job_name(config)


def made_by(experiment: Experiment, folder: Path) -> Path:
    """Return what a job makes for another one: the folder of its model, or if it trains none its run file."""
    return folder / (EXPORTED if experiment.model.trains else f"run.{experiment.first_stage[0]}.trec.gz")


def jobs_before(experiment: Experiment) -> dict[str, Mapping[str, Any]]:
    """Return the jobs that train the models which an experiment lacks: key -> overrides."""
    jobs = {}
    for name in sorted(with_their_candidates(experiment.roles, experiment.retrievers)):
        retriever = experiment.retrievers[name]
        if retriever.get("job") and retriever.get(place_of(retriever)) is None:
            jobs[f"retrievers.{name}.job"] = retriever["job"]
    jobs |= {f"model.{key}": job for key, job in experiment.model.prerequisites().items()}
    if experiment.model.trains and experiment.learns_from_teacher and experiment.loss["teacher"] is None:
        jobs["loss.job"] = experiment.loss["job"]
    if experiment.model.trains and experiment.init_from.given and experiment.init_from.path is None:
        jobs[INIT_FROM_JOB] = experiment.init_from.job
    return jobs


def _trains(key: str, experiment: Experiment) -> str:
    group, _, name = key.rpartition(".")
    of_model = f"model.{experiment.model.trained_by.get(name)}"
    return {"loss": "loss.teacher", "model": of_model, "init_from": INIT_FROM_PATH}.get(group, group)


def compose_prerequisite(
    key: str, job: Mapping[str, Any], parent: Experiment, chain: tuple[str, ...] = ()
) -> tuple[Experiment, dict[str, Any]]:
    """Compose the prerequisite job of ``parent``, with the parent's data, trainer, logger and output folder.

    ``key``: names the job in the parent's config. ``chain``: the jobs that wait for it.

    Raises:
        ExperimentError: the job does not compose, needs itself, or trains another kind of model than is needed.
    """
    overrides = overrides_of(key, job)
    measures = makes_run(key, parent)
    if " ".join(overrides) in chain:
        raise ExperimentError(f"{key}: this job would need itself done first")
    with compose.explained(f"{key}: ", "this job"):  # missing keys belong to the job, not to the command
        usual = [f"scale={parent.scale}", *(["model=checkpoint"] if measures else [])]
        config = compose.composed_alone([*usual, *overrides])
        if measures:
            _check_run(config)
        inherited = inherited_by(key, job, parent, config)
        check_inherited(overrides, config, inherited, own_data=may_change_data(key, parent))
        own = compose.settings_of(config)
        for part in inherited:  # its own values may be incomplete
            own.pop(part)
        settings = compose.typed(compose.plain(own) | inherited)
        experiment = compose.check(settings)
        check_selection(experiment)
        if not measures:
            _check_model(key, experiment, parent)
    return experiment, compose.plain(settings)


def _check_run(config: DictConfig) -> None:
    """Refuse a job that is to write a run file and trains a model, or re-ranks several first stages."""
    if trains(config.model):
        raise ExperimentError(
            f"it must rank the training queries with a trained model, but this job has model={config.model.name}: "
            f"leave model= out, and give the model's job as model.job"
        )
    if len(config.first_stage) > 1:
        raise ExperimentError(
            f"it must write one run, but this job has first_stage={list(config.first_stage)}: name one retriever"
        )


def _check_model(key: str, experiment: Experiment, parent: Experiment) -> None:
    """Refuse a job that trains another kind of model than its parent needs."""
    own, needed = experiment.model, parent.model
    if key == INIT_FROM_JOB and own.name != needed.name:
        raise ExperimentError(
            f"it must train the model that goes on from it, model={needed.name}, but this job has model={own.name}"
        )
    if needed.trains and not key.startswith(("retrievers.", INIT_FROM_JOB)) and not own.teaches:
        raise ExperimentError(f"it must train a cross-encoder, but this job has model={own.name}")


def prerequisites_of(experiment: Experiment, chain: tuple[str, ...] = ()) -> tuple[Prerequisite, ...]:
    """Compose the jobs that train what an experiment needs. ``chain``: the jobs that wait for this one.

    Raises:
        ExperimentError: one does not compose, or needs itself.
    """
    prerequisites = []
    for key, job in jobs_before(experiment).items():
        own, config = compose_prerequisite(key, job, experiment, chain)
        deeper = prerequisites_of(own, (*chain, _known_as(key, job)))
        prerequisites.append(Prerequisite(key, _trains(key, experiment), own, config, deeper))
    return tuple(prerequisites)


def _known_as(key: str, job: Mapping[str, Any]) -> str:
    return " ".join(overrides_of(key, job))


def shared_by(experiment: Experiment) -> str:
    """Return all settings that decide an experiment's prerequisites, so that equal experiments compose them once."""
    keys = jobs_before(experiment)
    return repr((keys, experiment.data, experiment.backbone, experiment.trainer, experiment.outputs, experiment.scale))


def with_models(experiment: Experiment, trained: Trained) -> tuple[Experiment, Components]:
    """Return an experiment that reads its prerequisites' models, and its parts. ``trained``: returns one's folder."""
    jobs, model = jobs_before(experiment), experiment.model
    for key, name in model.trained_by.items():
        if f"model.{key}" in jobs:
            folder = trained(f"model.{key}", jobs[f"model.{key}"])
            changes: dict[str, Any] = {name: str(folder), key: None}
            model = replace(model, **changes)
    loss = experiment.loss
    if "loss.job" in jobs:
        loss = {**loss, "teacher": str(trained("loss.job", jobs["loss.job"])), "job": None}
    start = experiment.init_from
    if INIT_FROM_JOB in jobs:
        start = InitFrom(path=str(trained(INIT_FROM_JOB, jobs[INIT_FROM_JOB])), label=start.label)
    experiment = replace(experiment, model=model, loss=loss, init_from=start)
    components = make_components(experiment, trained)
    if experiment.model.trains and experiment.teaches_source:
        teacher = _run_file_of(experiment, components)
        experiment = replace(experiment, loss={**experiment.loss, "teacher": teacher})
    return experiment, components


def _run_file_of(experiment: Experiment, components: Components) -> str:
    """Return the run file that the negatives come from, which teaches too (``loss.teacher=source``)."""
    name = experiment.negatives.source
    files: list[str] = components.retrievers[name].sources  # type: ignore[attr-defined]  # a RunFile
    if len(files) != 1 or not Path(files[0]).is_file():
        raise ExperimentError(
            f"loss.teacher=source learns from one run file, but retrievers.{name}.path is {', '.join(files)}: set it "
            f"to one file, or loss.teacher to the one that teaches"
        )
    return files[0]


def where_trained(parent: Experiment, key: str, job: Mapping[str, Any]) -> Path:
    """Return what a prerequisite job of ``parent`` has made, without running it."""
    experiment, config = compose_prerequisite(key, job, parent)
    return made_by(experiment, folder_of(experiment, config))


def train_prerequisites(experiment: Experiment, chain: tuple[str, ...] = ()) -> tuple[Experiment, Components]:
    """Train the prerequisites; returns the experiment with their models, and its parts. ``chain``: the waiting jobs."""
    return with_models(experiment, partial(train, experiment, chain=chain))


def components_of(experiment: Experiment) -> Components:
    """Make the parts of an experiment, and first train the models that its retrievers need."""
    return make_components(experiment, partial(train, experiment))


def train(parent: Experiment, key: str, job: Mapping[str, Any], chain: tuple[str, ...] = ()) -> Path:
    """Run a prerequisite job of ``parent`` unless it is done; returns the folder of its model. Processes take turns."""
    experiment, config = compose_prerequisite(key, job, parent, chain)
    run_prerequisite(key, experiment, config, (*chain, _known_as(key, job)))
    return made_by(experiment, folder_of(experiment, config))


def run_prerequisite(
    key: str, experiment: Experiment, config: Mapping[str, Any], chain: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run a composed prerequisite job and its own prerequisites, unless they are done; returns its metrics.

    ``key``: names it in its parent's config. ``chain``: it and the jobs that wait for it.
    """
    from filelock import FileLock

    from experiments.jobs.evaluate_checkpoint import evaluate_checkpoint
    from experiments.jobs.run_job import run_job

    folder, name = folder_of(experiment, config), experiment.model.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if status_of(folder).state != DONE:
            log.info("%s: %s is %s first: %s", key, name, "trained" if experiment.model.trains else "run", folder)
        ready, components = train_prerequisites(experiment, chain)
        if experiment.model.trains:
            return run_job(ready, config, components, name)
        return evaluate_checkpoint(ready, config, components)
