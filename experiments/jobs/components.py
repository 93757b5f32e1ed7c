"""Make the exchangeable parts of a job from its config: the data source, the retrievers, the loss."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.compose import make, partly_made, source_of
from experiments.config.negatives import RUN_ORDER
from experiments.config.part_checks import settings_of_part
from experiments.config.retriever_references import in_place_of_names, is_run_file, place_of, references
from experiments.data.source import Source
from experiments.retrieval.retriever import Retriever

if TYPE_CHECKING:
    from torch import Tensor

LABELS, TEACHER, MASK = "labels_QN", "teacher_QN", "mask_QN"  # arguments that a loss may take beside the scores
Trained = Callable[[str, Mapping[str, Any]], Path]  # the key of a prerequisite job and its overrides -> its model


@dataclass(frozen=True)
class Components:
    """The exchangeable parts of a job."""

    source: Source
    retrievers: Mapping[str, Retriever]
    """Retrievers with a role, and the ones whose runs they read."""
    loss_settings: Mapping[str, Any]
    make: Callable[[str, Mapping[str, Any]], "partial[Any]"]
    """Turns the key and the settings of a Trainer, callback or logger into its class with those arguments filled in."""

    @property
    def loss(self) -> Callable[..., "Tensor"]:
        """The loss; importing it imports torch."""
        loss: Callable[..., Tensor] = make("loss.fn", self.loss_settings)
        return loss


def make_components(experiment: Experiment, trained: Trained | None = None) -> Components:
    """Make the parts of a job.

    ``trained``: called for each retriever with a ``job`` but no checkpoint, returns the folder of its model; None
    leaves such a retriever without a checkpoint, which is enough for checks.
    """
    made: dict[str, Any] = {}

    def retriever(name: str, key: str = "", waiting: tuple[str, ...] = ()) -> Any:
        if name in waiting:
            raise ExperimentError(f"{key} goes round in a circle: {' -> '.join((*waiting, name))}")
        if name not in made:
            settings = settings_of_part(f"retrievers.{name}", experiment.retrievers[name])
            for reads, other in references(settings):
                retriever(other, f"retrievers.{name}.{reads}", (*waiting, name))
            settings |= in_place_of_names(settings, made)
            job, place = settings.pop("job", None), place_of(settings)
            if job and trained is not None and settings.get(place) is None:
                settings[place] = str(trained(f"retrievers.{name}.job", job))
            elif not job and is_run_file(settings) and settings[place] is None:
                raise ExperimentError(
                    f"retrievers.{name}.path is null: set it to a run file, or retrievers.{name}.job to the overrides "
                    f"of a job that ranks the training queries first"
                )
            made[name] = make(f"retrievers.{name}", settings, name=name)
        return made[name]

    for name in sorted(experiment.roles):
        retriever(name)
    return Components(
        source=source_of(experiment),
        retrievers=made,
        loss_settings=settings_of_part("loss.fn", experiment.loss["fn"]),
        make=partly_made,
    )


def takes(loss: Callable[..., "Tensor"], argument: str) -> bool:
    """Return whether a loss takes an argument, such as ``labels_QN``."""
    return argument in inspect.signature(loss).parameters


def check_loss(experiment: Experiment, loss: Callable[..., "Tensor"]) -> None:
    """Call a loss once before anything is trained.

    Raises:
        ExperimentError: it refuses a setting, its config and its arguments disagree on a teacher, it cannot leave out
            pairs of which the teacher says nothing, or it takes the passage at index 0 for the one positive and the
            groups are lists, which have positives anywhere or none.
    """
    import torch

    name, takes_teacher = experiment.loss["name"], takes(loss, TEACHER)
    if experiment.learns_from_teacher and not takes_teacher:
        raise ExperimentError(f"loss.teacher and loss.job do not exist: loss={name} learns from no teacher")
    if takes_teacher and not experiment.learns_from_teacher:
        raise ExperimentError(f"loss={name} learns from a teacher: its file in conf/loss must have the key teacher")
    masks = experiment.teacher_file is not None and experiment.teacher_file.masks
    if masks and not takes(loss, MASK):
        raise ExperimentError(
            f"loss={name} cannot leave out pairs of which the teacher says nothing: set "
            f"loss.teacher_file.missing=error, or choose a loss that can, such as loss=distill_ranknet"
        )
    scores_QN = torch.zeros(1, experiment.negatives.count + 1)
    labels_QN = torch.zeros_like(scores_QN)
    labels_QN[:, 0] = 1.0
    arguments = (scores_QN, *([scores_QN] if takes_teacher else []))
    masked = {MASK: torch.ones_like(scores_QN, dtype=torch.bool)} if masks else {}
    loss(*arguments, **masked, **({LABELS: labels_QN} if takes(loss, LABELS) else {}))
    if experiment.negatives.draw == RUN_ORDER:
        _check_lists(experiment, loss)


def _check_lists(experiment: Experiment, loss: Callable[..., "Tensor"]) -> None:
    """Refuse a loss that has no use for lists with their positives anywhere."""
    import torch

    name = experiment.loss["name"]
    if takes(loss, LABELS):
        if experiment.negatives.without_positive == "keep":
            raise ExperimentError(
                f"negatives.without_positive=keep has lists without a positive, which loss={name} learns nothing from: "
                f"set it to add or error"
            )
        return
    arguments = [torch.arange(-1.0, 5.0)[torch.tensor([order])] for order in ((3, 0, 2, 5, 1, 4), (4, 1, 5, 0, 3, 2))]
    arguments = arguments[: 1 + takes(loss, TEACHER)]
    reversed_QN = [argument.flip(1) for argument in arguments]
    if not torch.isclose(loss(*arguments), loss(*reversed_QN), rtol=1e-4):
        raise ExperimentError(
            f"loss={name} takes the passage at index 0 for the one positive, but lists in run order have positives "
            f"anywhere: choose a loss that takes labels_QN, such as loss=info_nce, or a rule that draws negatives"
        )
