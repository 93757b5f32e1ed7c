"""Compare the keys of a config with the dataclasses that declare them.

Hydra's ``+key=value`` accepts any key; one that no dataclass declares would be hashed and read by nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, get_origin, get_type_hints

from experiments.common.errors import ExperimentError
from experiments.config.part import OpenPart

MOVED = {  # keys of earlier versions -> today's keys
    "model.kind": "the model by its file (such as model=colbert)",
    "model.late_interaction": "its keys as keys of model (such as model.dimension)",
    "model.dual_encoder": "its keys as keys of model (such as model.layers)",
    "trainer.threads": "compute.threads",
    "trainer.workers": "compute.workers",
    "trainer.layout": "compute.layout",
    "trainer.tokens_per_batch": "compute.tokens_per_batch",
    "trainer.log_every": "trainer.log_every_n_steps",
    "trainer.checkpoint_minutes": "callbacks.checkpoint.minutes",
    "optimizer.schedule": "scheduler (such as scheduler=linear)",
    "optimizer.warmup": "scheduler.warmup",
    "optimizer.decay": "scheduler.decay",
    "validation.patience": "callbacks=early_stopping and callbacks.early_stopping.patience",
}


def moved(key: str) -> str | None:
    """Return the message for a key of an earlier version; None for any other key."""
    place = next((old for old in MOVED if key == old or key.startswith(f"{old}.")), None)
    return f"{key} has moved: set {MOVED[place]}{key.removeprefix(place)} instead" if place is not None else None


def check_moved(key: str) -> None:
    """Raise ExperimentError for a key of an earlier version, with the name of today's key."""
    if message := moved(key):
        raise ExperimentError(message)


@cache
def _types_of(schema: type) -> Mapping[str, Any]:
    return get_type_hints(schema)


def undeclared(settings: Mapping[str, Any], schema: type, path: str = "") -> Iterator[str]:
    """Yield the dotted name of each key of nested settings that no dataclass declares, parts and free values aside.

    ``path``: prefix of the names.
    """
    types = _types_of(schema)
    for key, value in settings.items():
        name = f"{path}{key}"
        if key not in types:
            yield name
        elif is_dataclass(types[key]) and isinstance(value, Mapping) and not issubclass(types[key], OpenPart):
            yield from undeclared(value, types[key], f"{name}.")


def groups_of_one_value(settings: Mapping[str, Any], schema: type, path: str = "") -> Iterator[str]:
    """Yield the dotted name of each group of settings that is given as one text, such as ``validation: ${seed}``."""
    types = _types_of(schema)
    for key, value in settings.items():
        kind = types.get(key)
        if isinstance(value, str) and (is_dataclass(kind) or get_origin(kind) is dict):
            yield f"{path}{key}"
        elif is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
            yield from groups_of_one_value(value, kind, f"{path}{key}.")


def declared(schema: type, path: str = "") -> Iterator[str]:
    """Yield the dotted name of every key that a dataclass and its nested dataclasses declare."""
    types = _types_of(schema)
    for item in fields(schema):
        name, kind = f"{path}{item.name}", types[item.name]
        if item.name == "_target_":
            continue
        if is_dataclass(kind) and isinstance(kind, type):
            yield from declared(kind, f"{name}.")
        else:
            yield name


def no_such_key(key: str, siblings: Iterable[str], everywhere: Iterable[str] = ()) -> str:
    """Return the message for a key that does not exist: the nearest key and the existing ones.

    ``siblings``: names of the keys of the same parent. ``everywhere``: all dotted keys, used if no sibling is near.
    """
    if message := moved(key):
        return message
    parent, _, name = key.rpartition(".")
    known = list(siblings)
    near = [f"{parent}.{match}" if parent else match for match in get_close_matches(name, known, 1, 0.7)]
    near = near or [dotted for dotted in everywhere if dotted.rpartition(".")[2] == name][:1]
    near = near or get_close_matches(key, list(everywhere), 1, 0.8)
    meant = f": did you mean {near[0]}? The" if near else "; the"
    return f"there is no key {key}{meant} keys{f' of {parent}' if parent else ''} are {', '.join(known) or 'none'}"
