"""Read the config of a job with the types that its keys are declared with."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from experiments.common.errors import ExperimentError, shown
from experiments.config.annotations import misfit
from experiments.config.experiment import Experiment
from experiments.config.model import class_of
from experiments.config.values import check_values
from experiments.job_files.checked_results import read_config
from experiments.job_files.files import CONFIG

MODEL = "model"  # a group of settings whose dataclass its ``_target_`` names


def read_job_config(folder: Path) -> Mapping[str, Any]:
    """Read the config of a job. Keys may be missing, or be those of another version.

    Raises:
        ExperimentError: the file is missing, a value has another type than its key, or is no finite number; the message
            names the file and the key.
    """
    config = read_config(folder)
    try:
        check_values(config)
    except ExperimentError as error:
        raise ExperimentError(f"{folder / CONFIG}: {error}") from error
    for key, value, wanted in _misfits(config, Experiment, ""):
        raise ExperimentError(f"{folder / CONFIG}: {key} is {shown(value)}, which should be {wanted}")
    return config


def _misfits(settings: Mapping[str, Any], schema: type, path: str) -> Iterator[tuple[str, Any, str]]:
    """Yield the dotted key, the value and the expected type of each value that is not of the type of its key."""
    for key, (annotation, inner) in _types_of(schema).items():
        if key not in settings:
            continue
        value, name = settings[key], f"{path}{key}"
        if inner is None and name != MODEL:
            if wanted := misfit(value, annotation):
                yield name, value, wanted
        elif not isinstance(value, Mapping):
            yield name, value, "named values"
        else:
            yield from _misfits(value, inner or _own_class(value), f"{name}.")


@cache
def _types_of(schema: type) -> Mapping[str, tuple[str, type | None]]:
    """Return the annotation of each field, and the dataclass of one that is a group of settings."""
    return {
        name: (inspect.formatannotation(kind), kind if isinstance(kind, type) and is_dataclass(kind) else None)
        for name, kind in get_type_hints(schema).items()
    }


def _own_class(model: Mapping[str, Any]) -> type:
    with suppress(ExperimentError):  # a model of a package that is not installed here
        return class_of(model.get("_target_"))
    return type(None)
