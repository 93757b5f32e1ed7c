"""Compute the digest of each input of a job in addition to its config.

A finished job whose inputs have changed runs again; ``verify`` names them.
"""

from collections.abc import Iterator
from pathlib import Path

from experiments.common.cache import content_digest
from experiments.common.code_versions import (
    evaluation_versions,
    first_stage_versions,
    loss_digest,
    source_digest_of,
    versions,
)
from experiments.common.errors import ExperimentError
from experiments.common.model_files import model_digest
from experiments.config import Experiment
from experiments.config.init_from import PATH as INIT_FROM
from experiments.config.negatives import UNIFORM
from experiments.config.signatures import file_of_function
from experiments.config.teacher_file import check_teacher_file
from experiments.jobs.components import LABELS, Components, takes
from experiments.retrieval.retriever import FromFiles, contents_of

COLLECTION, BACKBONE, LOSS, CODE, CODE_ALONE = "collection", "backbone", "loss", "code", "code of first stages"
CODE_OF_EVALUATION = "code of the evaluation"
SCORER, TEACHER = "negatives.filter.scorer", "loss.teacher"


def inputs_of(experiment: Experiment, components: Components, collection: str) -> dict[str, str]:
    """Return the digests of all inputs by name. ``collection``: the collection's fingerprint.

    Raises:
        ExperimentError: an input is missing.
    """
    digests = {name: digest_of(name, experiment, components) for name in names_of(experiment, components)}
    return {COLLECTION: collection, **digests}


def names_of(experiment: Experiment, components: Components) -> Iterator[str]:
    """Yield the names of all inputs but the collection."""
    if experiment.model.trains:
        yield from (LOSS, CODE) if experiment.init_from.given else (BACKBONE, LOSS, CODE)
    else:
        yield CODE_OF_EVALUATION
    yield from (f"retrievers.{name}" for name, made in components.retrievers.items() if isinstance(made, FromFiles))
    yield from _trained_models(experiment)


def first_stage_inputs_of(components: Components, collection: str) -> dict[str, str]:
    """Return the digests of all inputs of first stages without a training."""
    retrievers = components.retrievers
    return {COLLECTION: collection, CODE_ALONE: first_stage_versions(retrievers), **contents_of(retrievers)}


def digest_of(name: str, experiment: Experiment, components: Components) -> str:
    """Return the digest of one input as it is now.

    Raises:
        ExperimentError: it is missing, or is no input of this experiment.
    """
    if name == BACKBONE:
        from experiments.models.backbone import locate

        return model_digest(locate(experiment.backbone), experiment.backbone.revision, "backbone.path")
    if name == LOSS:
        read = file_of_function(components.loss_settings["_target_"])
        return loss_digest(components.loss) if read is None else source_digest_of(read[0])
    if name == CODE_ALONE:
        return first_stage_versions(components.retrievers)
    if name == CODE_OF_EVALUATION:
        return evaluation_versions(type(experiment.model), components.retrievers)
    if name == CODE:
        rule, retrievers = experiment.negatives.filter, components.retrievers
        settings = (rule.near_duplicate, rule.twin_query, rule.model, rule.min_score, rule.max_score)
        unranked = any(getattr(retriever, "ranks_nothing", False) for retriever in retrievers.values())
        read = file_of_function(components.loss_settings["_target_"])
        labelled = takes(components.loss, LABELS) if read is None else LABELS in read[1].names
        from_file = experiment.teacher_file is not None
        return versions(
            type(experiment.model),
            filters=any(setting is not None for setting in settings),
            draws=unranked or labelled or experiment.negatives.draw != UNIFORM,
            teacher=experiment.learns_from_teacher and not from_file,
            teacher_file=from_file,
            probes=experiment.probe.layers is not None,
            retrievers=retrievers,
            depths=len(experiment.depths) > 1,
        )
    if (place := _trained_models(experiment).get(name)) is not None:
        if name == TEACHER and experiment.teacher_file is not None:
            check_teacher_file(place)
            return content_digest(Path(place))
        return model_digest(place, None, name)
    retriever: object = components.retrievers.get(name.removeprefix("retrievers."))
    if not isinstance(retriever, FromFiles):
        raise ExperimentError(f"{name} is no input of this job today")
    return retriever.content()


def _trained_models(experiment: Experiment) -> dict[str, str]:
    """Return the folder or hub id of each trained model that a job reads, and the file of a teacher's scores."""
    places: dict[str, str | None] = {f"model.{key}": place for key, place in experiment.model.reads().items()}
    if experiment.model.trains:
        places |= {
            SCORER: experiment.negatives.filter.model,
            TEACHER: experiment.loss["teacher"]
            if experiment.learns_from_teacher and not experiment.teaches_source
            else None,
            INIT_FROM: experiment.init_from.path,
        }
    return {name: place for name, place in places.items() if place is not None}
