"""Read the overrides of a prerequisite job from a mapping: ``{loss: lce, negatives: {count: 7}}``.

A value under the name of a config group chooses the group's file. Keys may be nested or dotted:
``{backbone: local, backbone.path: my/model}`` chooses a file and sets one of its keys.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.common.errors import ExperimentError

PLAIN = re.compile(r"[A-Za-z_/][\w./-]*")
RESERVED = ("true", "false", "null", "nan", "inf")


def check_job(key: str, job: Any) -> None:
    """Raise ExperimentError if a job is not a mapping. ``key``: names the job in the config."""
    if job is None or isinstance(job, Mapping):
        return
    try:
        parts = [part.partition("=") for part in shlex.split(str(job))]
    except ValueError:
        parts = []
    pairs = [f"{name}: {value}" for name, equals, value in parts if equals]
    mapping = ", ".join(pairs) or "loss: lce, negatives: {count: 7}"
    raise ExperimentError(f"{key} is {job!r}: write the overrides of the job as a mapping, {key}: {{{mapping}}}")


def overrides_of(key: str, job: Any) -> list[str]:
    """Return the overrides of a job for Hydra, such as ``negatives.count=7``; see ``check_job``."""
    check_job(key, job)
    return list(_overrides(job or {}))


def _overrides(job: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in job.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping) and name.rpartition(".")[2] == "job":
            yield f"++{name}={_written(value)}"  # of a job that this one needs: its overrides stay together
        elif isinstance(value, Mapping):
            yield from _overrides(value, f"{name}.")
        else:
            yield f"{name}={_written(value)}"


def quoted(value: str) -> str:
    """Quote a value for Hydra, which reads backslashes as escapes only before a quotation mark, the closing one too."""
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"'{escaped}'"


def _written(value: Any) -> str:
    """Write a value so that Hydra reads the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    if not isinstance(value, str) or (PLAIN.fullmatch(value) and value.lower() not in RESERVED):
        return str(value)
    return quoted(value)
