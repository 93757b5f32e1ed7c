"""Find the settings that a prerequisite job inherits from the job that needs it, and refuse other values for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import ExperimentError
from experiments.config import Experiment, compose
from experiments.config.identity import deciding, located
from experiments.config.init_from import JOB as INIT_FROM_JOB
from experiments.config.job_overrides import overrides_of
from experiments.config.retriever_references import is_run_file
from experiments.data.splits import TEST, TRAIN

# Inherited settings that decide results -> their words in a message.
DECIDING = {"data": "on the data", "trainer": "by the trainer", "backbone": "from the backbone"}


def makes_run(key: str, parent: Experiment) -> bool:
    """Return whether a prerequisite job ranks the training queries, for a retriever that reads its run file."""
    group, _, name = key.removesuffix(".job").partition(".")
    return group == "retrievers" and is_run_file(parent.retrievers.get(name) or {})


def may_change_data(key: str, parent: Experiment) -> bool:
    """Return whether a job may say other data than its parent's: it is no part of the parent's comparison."""
    return key == INIT_FROM_JOB or makes_run(key, parent)


def inherited_by(key: str, job: Mapping[str, Any], parent: Experiment, config: DictConfig) -> dict[str, Any]:
    """Return the settings that a job inherits from ``parent``. ``key``: names the job in the parent's config.

    ``config``: the job's, as it composes without its parent; of data that it may change, its overrides go before.
    """
    inherited: dict[str, Any] = {part: asdict(getattr(parent, part)) for part in ("data", "compute")}
    inherited |= {"trainer": parent.trainer.settings(), "logger": parent.logger}
    # A model is made from another model of the same backbone; the job of a teacher may choose its own.
    of_model = key.startswith("model.") or key == INIT_FROM_JOB
    if inherited["data"]["measured_on"] == TRAIN:  # of a job that ranks the training queries; its model's is trained
        inherited["data"]["measured_on"] = TEST
    if may_change_data(key, parent):
        inherited["data"] = _own_data(overrides_of(key, job), config, inherited["data"])
    if makes_run(key, parent):
        inherited["data"]["measured_on"] = TRAIN
    if of_model or (key == "loss.job" and not _of_part(overrides_of(key, job), "backbone")):
        inherited["backbone"] = asdict(parent.backbone)
    owner = parent.model.name if key.startswith("model.") else key.split(".")[-2]
    return inherited | {"outputs": parent.outputs, "cache": parent.cache, "study": f"for_{owner}"}


def _own_data(overrides: Sequence[str], config: DictConfig, inherited: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a job: its own collection if it chooses one, else the inherited one with its changes.

    Raises:
        ExperimentError: its own collection lacks a value.
    """
    changed = [override.partition("=")[0].lstrip("+~") for override in _of_part(overrides, "data")]
    if "data" in changed:
        missing = sorted(OmegaConf.missing_keys(config.data))
        if missing:
            raise ExperimentError(f"data.{missing[0]} must be given: add data.{missing[0]}=... to the command")
        own: dict[str, Any] = compose.plain(config)["data"]
        return own
    data = OmegaConf.create({"data": dict(inherited)})
    for key in changed:
        OmegaConf.update(data, key, OmegaConf.select(config, key))
    return OmegaConf.to_container(data.data)  # type: ignore[return-value]


def check_inherited(
    overrides: Sequence[str], config: DictConfig, inherited: Mapping[str, Any], own_data: bool = False
) -> None:
    """Refuse a job that asks for other data, another trainer or another backbone than it inherits.

    ``overrides``: the job's. ``config``: the job's, as it composes without its parent. ``own_data``: see
    ``may_change_data``.

    Raises:
        ExperimentError: the message names the overrides to leave out.
    """
    for part, words in DECIDING.items():
        inherits = part in inherited and not (own_data and part == "data")
        asked = _of_part(overrides, part) if inherits else []
        if asked and not _same(part, config[part], inherited[part]):
            raise ExperimentError(
                f"it says {' '.join(asked)}, but is trained {words} of the job that needs it: leave {part}= and "
                f"{part}.*= out of it"
            )


def _of_part(overrides: Sequence[str], part: str) -> list[str]:
    """Return the overrides that choose or change one part of a config."""
    keys = ((override, override.partition("=")[0].lstrip("+~")) for override in overrides)
    return [override for override, key in keys if key == part or key.startswith((f"{part}.", f"{part}@"))]


def _same(part: str, settings: DictConfig, inherited: Mapping[str, Any]) -> bool:
    """Return whether settings decide the same results as the inherited ones."""
    try:
        own = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:  # a value, or a referenced one, is missing
        return False
    return deciding(located({part: own}), Experiment) == deciding(located({part: inherited}), Experiment)
