"""Compare the settings of each part of a config with the parameters of its target."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from experiments.common.errors import ExperimentError, shown
from experiments.config.annotations import misfit
from experiments.config.experiment import Experiment
from experiments.config.keys import no_such_key
from experiments.config.signatures import Parameters, parameters_of

LOSS_KEYS = ("name", "logits", "fn", "teacher", "teacher_file", "job")
OF_INSTANTIATE = {  # keys that Hydra reads itself, and their types
    "_target_": "str",
    "_partial_": "bool",
    "_recursive_": "bool",
    "_convert_": "Literal['none', 'partial', 'object', 'all']",
}
GIVEN = {  # arguments that the framework passes, so that they are no settings
    "loss.fn": {"scores_QN", "teacher_QN", "labels_QN", "mask_QN"},
    "scheduler": {"step", "steps"},
    "optimizer": {"params"},
}
GIVEN_TO_OWN = {"files", "monitor", "interval", "resumed", "path", "label", "groups", "identity", "folder"}


def check_parts(experiment: Experiment) -> None:
    """Check every part that is named by ``_target_``.

    Raises:
        ExperimentError: a target cannot be imported, does not take a setting, or not such a value; the message names
            the key.
    """
    _check_part("data.source", experiment.data.source)
    _check_loss(experiment.loss)
    _check_part("trainer", experiment.trainer.settings())
    _check_part("optimizer", {"_target_": experiment.optimizer._target_, **experiment.optimizer.arguments()})
    _check_part("scheduler", experiment.scheduler)
    for name, callback in experiment.callbacks.items():
        if callback is not None:
            _check_part(f"callbacks.{name}", callback)
    if experiment.logger is not None:
        _check_part("logger", experiment.logger)
    for name, retriever in experiment.retrievers.items():
        if "name" in settings_of_part(f"retrievers.{name}", retriever):
            raise ExperimentError(
                f"retrievers.{name}.name cannot be set: a retriever is called by its key under retrievers"
            )
        _check_part(f"retrievers.{name}", {key: value for key, value in retriever.items() if key != "job"})


def settings_of_part(key: str, part: Any) -> dict[str, Any]:
    """Return a part's ``_target_`` and settings.

    Raises:
        ExperimentError: it has no ``_target_``, which cannot be imported, or a setting is of another type than the
            parameter that takes it.
    """
    if not isinstance(part, Mapping) or "_target_" not in part:
        raise ExperimentError(f"{key} has no _target_: choose one of the files of its group in conf/")
    for name, annotation in {**_taken(key, part).annotations, **OF_INSTANTIATE}.items():
        if name in part and (expected := misfit(part[name], annotation)):
            raise ExperimentError(f"{key}.{name} is {shown(part[name])}: it must be {expected}")
    return dict(part)


def no_key_of_loss(name: str, loss: Mapping[Any, Any]) -> str:
    """Return the message for a key next to ``loss.fn`` that is a setting of the function, or does not exist."""
    if name in {*loss["fn"], *_taken("loss.fn", loss["fn"]).names}:
        return f"loss.{name} does not exist: the function's settings are below fn, set loss.fn.{name}"
    return no_such_key(f"loss.{name}", LOSS_KEYS)


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Mapping) or "fn" not in loss:
        raise ExperimentError("loss has no fn, the function by _target_: choose a file of conf/loss")
    for name in set(loss) - set(LOSS_KEYS):
        raise ExperimentError(no_key_of_loss(name, loss))
    _check_part("loss.fn", loss["fn"])


def _taken(key: str, part: Mapping[Any, Any]) -> Parameters:
    """Return the parameters of a part's target that can be set."""
    target = str(part["_target_"])
    try:
        parameters = parameters_of(target)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ExperimentError(f"{key}._target_: {target} cannot be imported ({error})") from error
    own = key.startswith(("callbacks.", "logger")) and target.startswith("experiments.")
    given = GIVEN_TO_OWN if own else GIVEN.get(key, set())
    return replace(parameters, names=tuple(name for name in parameters.names if name not in given))


def _check_part(key: str, part: Any) -> None:
    settings = settings_of_part(key, part)
    taken = _taken(key, settings)
    if taken.open_ended:
        return  # the target passes on what it does not name
    for name in sorted(set(settings) - set(taken.names) - set(OF_INSTANTIATE)):
        meant = "".join(f" (did you mean {key}.{near}?)" for near in get_close_matches(name, taken.names, 1, 0.7))
        raise ExperimentError(
            f"{key}.{name} does not exist{meant}: "
            f"{settings['_target_']} takes {', '.join(sorted(taken.names)) or 'no setting'}"
        )
