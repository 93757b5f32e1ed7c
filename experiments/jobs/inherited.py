"""What a job that is trained first takes over from the one that needs it, and what it may therefore not say itself."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.identity import deciding, located
from experiments.config.job_overrides import overrides_of

# The inherited settings that decide results, in words.
DECIDING = {"data": "on the data", "trainer": "by the trainer", "backbone": "from the backbone"}


def inherited_by(key: str, job: Mapping[str, Any], parent: Experiment) -> dict[str, Any]:
    """Return the settings that a job takes over from the one that needs it. ``key``: names the job in the config."""
    inherited: dict[str, Any] = {part: asdict(getattr(parent, part)) for part in ("data", "compute")}
    inherited |= {"trainer": parent.trainer.settings(), "logger": parent.logger}
    # A model is made from another one of the same backbone; a teacher may be of another one, if its job says so.
    of_model = key.startswith("model.")
    if of_model or (key == "loss.job" and not _of_part(overrides_of(key, job), "backbone")):
        inherited["backbone"] = asdict(parent.backbone)
    owner = parent.model.name if of_model else key.split(".")[-2]
    return inherited | {"outputs": parent.outputs, "cache": parent.cache, "study": f"for_{owner}"}


def check_inherited(overrides: Sequence[str], config: DictConfig, inherited: Mapping[str, Any]) -> None:
    """Refuse a job that asks for data, a trainer or a backbone which it would not get.

    ``overrides``: the job's. ``config``: as it composes by itself. What it says is no matter if it is what it inherits
    anyway.

    Raises:
        ExperimentError: the message names the overrides to leave out.
    """
    for part, what in DECIDING.items():
        said = _of_part(overrides, part) if part in inherited else []
        if said and not _is(part, config[part], inherited[part]):
            raise ExperimentError(
                f"it says {' '.join(said)}, but is trained {what} of the job that needs it: leave {part}= and "
                f"{part}.*= out of it"
            )


def _of_part(overrides: Sequence[str], part: str) -> list[str]:
    """Return those overrides that choose or change one part of a config."""
    keys = ((override, override.partition("=")[0].lstrip("+~")) for override in overrides)
    return [override for override, key in keys if key == part or key.startswith((f"{part}.", f"{part}@"))]


def _is(part: str, settings: DictConfig, inherited: Mapping[str, Any]) -> bool:
    """Return whether settings decide the same as those that are inherited."""
    try:
        own = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:  # something is missing, or refers to what is
        return False
    return deciding(located({part: own}), Experiment) == deciding(located({part: inherited}), Experiment)
