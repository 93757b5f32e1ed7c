"""What a job's numbers are made from beside its config: the digest of each input's content, by name.

A finished job whose inputs are others today runs again, and ``verify`` names them.
"""

from collections.abc import Iterator

from experiments.common.code_versions import first_stage_versions, loss_digest, versions
from experiments.common.errors import ExperimentError
from experiments.common.model_files import model_digest
from experiments.config import Backbone, Experiment
from experiments.jobs.prepare import Parts
from experiments.retrieval.retriever import FromFiles, contents_of

COLLECTION, BACKBONE, LOSS, CODE, CODE_ALONE = "collection", "backbone", "loss", "code", "code of first stages"
SCORER, TEACHER, CROSS_ENCODER = "negatives.filter.scorer", "loss.teacher", "model.dual_encoder.cross_encoder"


def inputs_of(experiment: Experiment, parts: Parts, collection: str) -> dict[str, str]:
    """The digests of all inputs. ``collection``: the collection's fingerprint.

    Raises:
        ExperimentError: one of them is not there.
    """
    return {
        COLLECTION: collection,
        **{name: digest_of(name, experiment, parts) for name in names_of(experiment, parts)},
    }


def names_of(experiment: Experiment, parts: Parts) -> Iterator[str]:
    """The names of all inputs but the collection."""
    yield from (BACKBONE, LOSS, CODE)
    yield from (f"retrievers.{name}" for name, one in parts.retrievers.items() if isinstance(one, FromFiles))
    yield from (name for name in (SCORER, TEACHER, CROSS_ENCODER) if _place(name, experiment) is not None)


def first_stage_inputs_of(parts: Parts, collection: str) -> dict[str, str]:
    """The digests of all inputs of first stages that are measured alone."""
    return {COLLECTION: collection, CODE_ALONE: first_stage_versions(parts.retrievers), **contents_of(parts.retrievers)}


def digest_of(name: str, experiment: Experiment, parts: Parts) -> str:
    """The digest of one input as it is now.

    Raises:
        ExperimentError: it is not there, or is no input of this experiment.
    """
    if name == BACKBONE:
        return _backbone(experiment.backbone)
    if name == LOSS:
        return loss_digest(parts.loss)
    if name == CODE_ALONE:
        return first_stage_versions(parts.retrievers)
    if name == CODE:
        rule, kind = experiment.negatives.filter, experiment.model.kind
        filters = any(one is not None for one in (rule.near_duplicate, rule.twin_query, rule.model))
        teacher = experiment.learns_from_teacher
        probes = experiment.probe.layers is not None
        return versions(kind, filters=filters, teacher=teacher, probes=probes, retrievers=parts.retrievers)
    if name in (SCORER, TEACHER, CROSS_ENCODER) and (place := _place(name, experiment)) is not None:
        return model_digest(place, None, name)
    retriever: object = parts.retrievers.get(name.removeprefix("retrievers."))
    if not isinstance(retriever, FromFiles):
        raise ExperimentError(f"{name} is no input of this job today")
    return retriever.content()


def _place(name: str, experiment: Experiment) -> str | None:
    """Where a trained model is that the job reads; None if it reads none."""
    if name == SCORER:
        return experiment.negatives.filter.model
    if name == TEACHER:
        return experiment.loss["teacher"] if experiment.learns_from_teacher else None
    return experiment.model.dual_encoder.cross_encoder if experiment.model.kind == "dual_encoder" else None


def _backbone(backbone: Backbone) -> str:
    from experiments.models.backbone import locate

    return model_digest(locate(backbone), backbone.revision, "backbone.path")
