"""Make the exchangeable parts of a job from its config: the data source, the retrievers, the loss."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.compose import make, partly_made
from experiments.config.part_checks import settings_of_part
from experiments.data.source import Source
from experiments.retrieval.retriever import Retriever

if TYPE_CHECKING:
    from torch import Tensor

Trained = Callable[[str, Mapping[str, Any]], Path]  # the key of a prerequisite job and its overrides -> its model


@dataclass(frozen=True)
class Components:
    """The exchangeable parts of a job."""

    source: Source
    retrievers: Mapping[str, Retriever]
    """Retrievers with a role, and the ones whose candidates they take."""
    loss: Callable[..., "Tensor"]
    make: Callable[[Mapping[str, Any]], "partial[Any]"]
    """Turns the settings of a Trainer, callback or logger into its class with those arguments filled in."""


def make_components(experiment: Experiment, trained: Trained | None = None) -> Components:
    """Make the parts of a job.

    ``trained``: called for each retriever with a ``job`` but no checkpoint, returns the folder of its model; None
    leaves such a retriever without a checkpoint, which is enough for checks.
    """
    made: dict[str, Any] = {}

    def retriever(name: str, waiting: tuple[str, ...] = ()) -> Any:
        if name in waiting:
            circle = " -> ".join((*waiting, name))
            raise ExperimentError(f"retrievers.{name}.candidates_from goes round in a circle: {circle}")
        if name not in made:
            settings = settings_of_part(f"retrievers.{name}", experiment.retrievers[name])
            if settings.get("candidates_from"):
                settings["candidates_from"] = retriever(settings["candidates_from"], (*waiting, name))
            job = settings.pop("job", None)
            if job and trained is not None and settings.get("checkpoint") is None:
                settings["checkpoint"] = str(trained(f"retrievers.{name}.job", job))
            made[name] = make(settings, name=name)
        return made[name]

    for name in sorted(experiment.roles):
        retriever(name)
    return Components(
        source=make(settings_of_part("data.source", experiment.data.source)),
        retrievers=made,
        loss=make(settings_of_part("loss.fn", experiment.loss["fn"])),
        make=partly_made,
    )


def check_loss(experiment: Experiment, loss: Callable[..., "Tensor"]) -> None:
    """Call a loss once before anything is trained.

    Raises:
        ExperimentError: it refuses a setting, its config and its arguments disagree on a teacher, or it cannot leave
            out pairs of which the teacher says nothing.
    """
    import torch

    name, parameters = experiment.loss["name"], inspect.signature(loss).parameters
    takes_teacher = "teacher_QN" in parameters
    if experiment.learns_from_teacher and not takes_teacher:
        raise ExperimentError(f"loss.teacher and loss.job do not exist: loss={name} learns from no teacher")
    if takes_teacher and not experiment.learns_from_teacher:
        raise ExperimentError(f"loss={name} learns from a teacher: its file in conf/loss must have the key teacher")
    masks = experiment.teacher_file is not None and experiment.teacher_file.masks
    if masks and "mask_QN" not in parameters:
        raise ExperimentError(
            f"loss={name} cannot leave out pairs of which the teacher says nothing: set "
            f"loss.teacher_file.missing=error, or choose a loss that can, such as loss=distill_ranknet"
        )
    scores_QN = torch.zeros(1, experiment.negatives.count + 1)
    masked = {"mask_QN": torch.ones_like(scores_QN, dtype=torch.bool)} if masks else {}
    loss(scores_QN, scores_QN, **masked) if takes_teacher else loss(scores_QN)
