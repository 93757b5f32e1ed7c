"""Read the config, the metrics and the status of a job, with the types that every reader of them relies on.

A file that was edited or damaged is refused here, with the key that is wrong, rather than somewhere in a report.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError, shown
from experiments.common.manifest import is_broken
from experiments.job_files.files import CONFIG, METRICS, STATUS, as_mapping, read_mapping

LARGEST = 2**63  # of a number
TEXTS_OF_STATUS = ("state", "error", "started", "updated", "git", "version", "hash")
TEXTS_OF_RUN = ("compared_to", "first_stage_digest")
COUNTS_OF_RUN = ("ties", "pairs", "queries", "without_relevant")
TEXTS_OF_COMPUTE = ("machine", "device", "layout", "precision")
FLAGS_OF_COMPUTE = ("memory_spared",)
COUNTS_BY_KIND = ("cache_hits", "cache_builds")  # of entries of the cache
PARTS = (
    "data", "backbone", "model", "loss", "negatives", "retrievers", "budget", "batch", "optimizer", "scheduler",
    "validation", "probe", "trainer", "compute", "callbacks", "logger", "init_from", "run_files", "audit", "retrieve",
    "tests",
)  # fmt: skip
LISTS = ("first_stage", "measures")


def read_status(folder: Path) -> Mapping[str, Any]:
    """Read the status of a job. Raises ExperimentError if it is missing, altered, or a value has another type."""
    path = folder / STATUS
    noted = read_mapping(path)
    if is_broken(noted):
        raise ExperimentError(f"{path} was altered: run the study again, which restores it or the job")
    for key in TEXTS_OF_STATUS:
        _text(path, key, noted.get(key))
    for key in ("attempts", "seconds"):
        _number(path, key, noted.get(key), whole=key == "attempts")
    for key, value in _part(path, "inputs", noted.get("inputs")).items():
        _text(path, f"inputs.{key}", value)
    return noted


def read_config(folder: Path) -> Mapping[str, Any]:
    """Read the config of a job. Raises ExperimentError if it is missing or a part of it has another type."""
    path = folder / CONFIG
    config = read_mapping(path)
    for key in PARTS:
        _part(path, key, config.get(key))
    for name, retriever in (config.get("retrievers") or {}).items():
        as_mapping(path, retriever, f"retrievers.{name}")
    for key in LISTS:
        names = config.get(key)
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ExperimentError(f"{path}: {key} is {shown(names)}, which should be a list of names")
    return config


def read_metrics(folder: Path) -> Mapping[str, Any]:
    """Read the metrics of a job. Raises ExperimentError if they are missing or a value has another type."""
    path = folder / METRICS
    metrics = read_mapping(path)
    labels, test, compute = (_part(path, key, metrics.get(key)) for key in ("labels", "test", "compute"))
    for key, value in labels.items():
        _scalar(path, f"labels.{key}", value)
    check_compute(path, compute)
    for name, measured in test.items():
        _check_run(path, f"test.{name}", as_mapping(path, measured, f"test.{name}"))
    return metrics


def check_compute(where: Path | str, compute: Mapping[str, Any]) -> None:
    """Check what a job cost. Raises ExperimentError, which begins with ``where``, if a value has another type."""
    for key, value in compute.items():
        name = f"compute.{key}"
        if key in TEXTS_OF_COMPUTE:
            _text(where, name, value)
        elif key in FLAGS_OF_COMPUTE:
            if not isinstance(value, bool):
                raise ExperimentError(f"{where}: {name} is {shown(value)}, which should be true or false")
        elif key in COUNTS_BY_KIND:
            for kind, count in _part(where, name, value).items():
                _number(where, f"{name}.{kind}", count, given=True)
        else:
            _number(where, name, value)


def read_launch(path: Path) -> Mapping[str, list[str]]:
    """Read the overrides in a launch record of Hydra: its own by ``hydra``, those of the jobs by ``task``.

    Raises:
        ExperimentError: it is no such record.
    """
    record = read_mapping(path)
    try:
        overrides = record["hydra"]["overrides"]
        launched = {name: overrides[name] for name in ("hydra", "task")}
    except (KeyError, TypeError) as error:
        raise ExperimentError(f"{path} is not a launch record of Hydra ({error!r}): delete it") from error
    for name, given in launched.items():
        if not isinstance(given, list) or not all(isinstance(override, str) for override in given):
            raise ExperimentError(
                f"{path} is not a launch record of Hydra (hydra.overrides.{name} is no list of texts): delete it"
            )
    return launched


def _check_run(path: Path, key: str, measured: Mapping[str, Any]) -> None:
    """Check what was measured on one first stage."""
    for name, value in measured.items():
        if name in TEXTS_OF_RUN:
            _text(path, f"{key}.{name}", value)
        elif name == "depths":
            for depth, at_depth in _part(path, f"{key}.depths", value).items():
                _numbers(path, f"{key}.depths.{depth}", at_depth)
                if not isinstance(measured.get("queries"), int) or at_depth.get("pairs") is None:
                    raise ExperimentError(f"{path}: {key} has depths without the numbers of queries and pairs")
        elif name in COUNTS_OF_RUN:
            _number(path, f"{key}.{name}", value, whole=True, given=True)
        elif name == "first_stage" or isinstance(value, Mapping):
            _numbers(path, f"{key}.{name}", value)
        else:
            _number(path, f"{key}.{name}", value)


def _part(path: Path | str, key: str, value: Any) -> Mapping[str, Any]:
    """Return a part that may be missing."""
    return {} if value is None else as_mapping(path, value, key)


def _numbers(path: Path, key: str, value: Any) -> None:
    for name, number in as_mapping(path, value, key).items():
        _number(path, f"{key}.{name}", number)


def _text(path: Path | str, key: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise ExperimentError(f"{path}: {key} is {shown(value)}, which should be a text")


def _number(path: Path | str, key: str, value: Any, *, whole: bool = False, given: bool = False) -> None:
    if value is None and not given:
        return
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not _is_usable(value) or (whole and value < 0):
        raise ExperimentError(
            f"{path}: {key} is {shown(value)}, which should be a {'count' if whole else 'finite number'}"
        )


def _scalar(path: Path, key: str, value: Any) -> None:
    if not (value is None or isinstance(value, str | bool) or (isinstance(value, int | float) and _is_usable(value))):
        raise ExperimentError(f"{path}: {key} is {shown(value)}, which should be a text or a finite number")


def _is_usable(value: float) -> bool:
    return -LARGEST < value < LARGEST and math.isfinite(value)
