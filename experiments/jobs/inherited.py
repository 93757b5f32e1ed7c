"""What a job that is trained first takes over from the one that needs it, and what it may therefore not say itself."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.compute import INCIDENTAL_TRAINER_ARGUMENTS
from experiments.config.identity import deciding, located

# The inherited settings that decide results, in words.
DECIDING = {"data": "on the data", "trainer": "by the trainer", "backbone": "from the backbone"}


def inherited_by(key: str, job: str, parent: Experiment) -> dict[str, Any]:
    """The settings of a job that are those of the one that needs it, whatever the job says. ``key``: names the job."""
    inherited: dict[str, Any] = {part: asdict(getattr(parent, part)) for part in ("data", "compute")}
    inherited |= {"trainer": parent.trainer.settings(), "logger": parent.logger}
    # Layers are copied from a cross-encoder of the same backbone; a teacher may be of another one, if its job says so.
    if key == "model.dual_encoder.job" or (key == "loss.job" and not _overrides_of(job, "backbone")):
        inherited["backbone"] = asdict(parent.backbone)
    return inherited | {"outputs": parent.outputs, "cache": parent.cache, "study": f"for_{key.split('.')[-2]}"}


def check_inherited(job: str, config: DictConfig, inherited: Mapping[str, Any]) -> None:
    """Refuse a job that asks for data, a trainer or a backbone which it would not get.

    ``config``: as the job composes by itself. What it says is no matter if it is what it inherits anyway.

    Raises:
        ExperimentError: the message names the overrides to leave out.
    """
    for part, what in DECIDING.items():
        said = _overrides_of(job, part) if part in inherited else []
        if said and not _is(config[part], inherited[part]):
            raise ExperimentError(
                f"it says {' '.join(said)}, but is trained {what} of the job that needs it: leave {part}= and "
                f"{part}.*= out of it"
            )


def overrides_in(job: str) -> list[str]:
    """The overrides of a job, one by one.

    Raises:
        ExperimentError: a quotation in it is not closed.
    """
    try:
        return shlex.split(job)
    except ValueError as error:
        raise ExperimentError(f"{job!r} cannot be read as overrides ({error})") from error


def _overrides_of(job: str, part: str) -> list[str]:
    """The overrides of a job that choose or change one part of its config."""
    keys = ((override, override.partition("=")[0].lstrip("+~")) for override in overrides_in(job))
    return [override for override, key in keys if key == part or key.startswith((f"{part}.", f"{part}@"))]


def _is(settings: DictConfig, inherited: Mapping[str, Any]) -> bool:
    """Whether settings decide the same as those that are inherited."""
    try:
        own = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:  # something is missing, or refers to what is
        return False
    assert isinstance(own, dict)
    return _deciding(own) == _deciding(inherited)


def _deciding(settings: Mapping[Any, Any]) -> dict[str, Any]:
    return deciding(located(settings), INCIDENTAL_TRAINER_ARGUMENTS)
