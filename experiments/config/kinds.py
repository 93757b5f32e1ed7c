"""Refuse a ``_target_`` that is no part of the kind that its key needs, before it is called.

A saved config may come from elsewhere, and ``study verify`` makes the reader and the retrievers that it names. Hydra's
own list of refused targets has gaps, such as ``torch.load``, which would run the code in a pickle.
"""

import inspect
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from experiments.common.errors import ExperimentError

METHODS = {
    "data.source": ("a reader", ("fingerprint", "passages", "queries", "qrels")),
    "retrievers": ("a retriever", ("fingerprint", "retrieve")),
}
ARGUMENTS = {"loss.fn": ("a loss", ("scores_QN",)), "scheduler": ("a schedule", ("step", "steps"))}
BASES = {
    "trainer": "pytorch_lightning.Trainer",
    "callbacks": "pytorch_lightning.Callback",
    "logger": "pytorch_lightning.loggers.Logger",
    "optimizer": "torch.optim.Optimizer",
}
MAY_NEST = ("pytorch_lightning", "lightning_fabric", "torchmetrics", "experiments")  # packages of parts within a part


def check_kind(key: str, settings: Mapping[str, Any], part: Any) -> None:
    """Raise ExperimentError unless ``part``, what the ``_target_`` of a key names, is what the key needs.

    ``key``: in the config, such as ``retrievers.bm25``.
    """
    group = key if key in ARGUMENTS or key in METHODS else key.partition(".")[0]
    kind, wrong = _wrong(group, part)
    if wrong:
        raise ExperimentError(f"{key}._target_: {settings['_target_']} is no {kind}, {wrong}")
    for where, inner in _nested(settings, key):
        if group not in BASES or not _may_nest(inner):
            raise ExperimentError(f"{where}._target_: {inner} may not be made within {key}")


def _wrong(group: str, part: Any) -> tuple[str, str]:
    """Return the kind of part that a group needs, and what is wrong with this one; empty if nothing is."""
    if group in METHODS:
        kind, methods = METHODS[group]
        lacking = [name for name in methods if not callable(getattr(part, name, None))]
        bad = not inspect.isclass(part) or lacking
        return kind.removeprefix("a "), f"which is a class with {', '.join(methods)}" if bad else ""
    if group in ARGUMENTS:
        kind, names = ARGUMENTS[group]
        return kind.removeprefix("a "), "" if _takes(part, names) else f"which is a function of {', '.join(names)}"
    base = resolve_name(BASES[group])
    good = inspect.isclass(part) and issubclass(part, base)
    return group.removesuffix("s"), "" if good else f"which is a class derived from {BASES[group]}"


def _takes(part: Any, names: tuple[str, ...]) -> bool:
    try:
        return set(names) <= inspect.signature(part).parameters.keys()
    except (TypeError, ValueError):
        return False


def _may_nest(target: str) -> bool:
    try:
        part = resolve_name(target)
    except (ImportError, AttributeError, ValueError):
        return False
    return inspect.isclass(part) and part.__module__.partition(".")[0] in MAY_NEST


def _nested(value: Any, where: str) -> list[tuple[str, str]]:
    """Return the place and the target of each part within the settings of another."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for name, setting in inner:
        place = f"{where}.{name}"
        if isinstance(setting, Mapping) and "_target_" in setting:
            found.append((place, str(setting["_target_"])))
        found += _nested(setting, place)
    return found
