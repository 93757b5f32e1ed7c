"""Turn errors of Hydra and OmegaConf into one line: what is wrong, and what to write instead."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationToMissingValueError,
    OmegaConfBaseException,
)

from experiments.common.errors import ExperimentError, one_line
from experiments.common.text import first_line
from experiments.config import Experiment
from experiments.config.keys import declared, no_such_key
from experiments.config.launchers import missing_extra
from experiments.config.part_checks import no_key_of_loss

CARETS = re.compile(r"\n *\^ *(?=\n|$)")  # Hydra's mark below the letter that it cannot read


@contextmanager
def explained(where: str = "", within: str = "the command") -> Iterator[None]:
    """Turn errors of Hydra and OmegaConf into an ExperimentError.

    ``where``: beginning of the message. ``within``: place to add a missing key to.
    """
    try:
        yield
    except (ExperimentError, HydraException, OmegaConfBaseException) as error:
        raise ExperimentError(where + explain(error).replace(" to the command", f" to {within}")) from error


def explain(error: BaseException) -> str:
    """Return the message of an error on one line: the wrong key or option, and the existing ones."""
    return one_line(CARETS.sub("", _explained(error))) or type(error).__name__


def _explained(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(error, ExperimentError):  # explained already, whatever its cause
        return str(error)
    if isinstance(error, InstantiationException) and isinstance(cause, ExperimentError):
        return str(cause)
    if isinstance(error, InterpolationToMissingValueError):
        key = first_line(error.msg or error).rpartition(" ")[2]
        return f"{key} must be given: add {key}=... to the command"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        parent = cause.parent_node
        siblings = sorted(str(key) for key in parent) if isinstance(parent, DictConfig) else []
        if ".job." in cause.full_key:
            return f"{cause.full_key} is not among the overrides of the job: add it with +{cause.full_key}=..."
        if cause.full_key.startswith("loss.") and isinstance(parent, DictConfig) and "fn" in parent:
            return no_key_of_loss(cause.full_key.removeprefix("loss."), parent)
        return no_such_key(cause.full_key, siblings, declared(Experiment))
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return f"{cause.full_key}: {first_line(cause.msg or cause)}"
    if isinstance(error, MissingConfigException) and (extra := missing_extra(error.missing_cfg_file)) is not None:
        return extra
    message = str(error).split("\nConfig search path:")[0].strip()
    return message.removeprefix("In 'config': ").replace("\n\t", " ").replace("\n\n", ". ")
