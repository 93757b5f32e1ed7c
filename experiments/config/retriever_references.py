"""Find the retrievers that a retriever reads: ``candidates_from`` names one, ``of`` several."""

from collections.abc import Mapping
from typing import Any

ONE, SEVERAL = "candidates_from", "of"  # settings whose values name other retrievers


def references(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the key and the name of each retriever that a retriever's settings name, such as ``("of", "bm25")``."""
    one = settings.get(ONE)
    return [*([(ONE, one)] if one else []), *((SEVERAL, name) for name in _several(settings))]


def in_place_of_names(settings: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that name other retrievers, with the retrievers themselves (``made``, by name)."""
    one = {ONE: made[settings[ONE]]} if settings.get(ONE) else {}
    return {**one, SEVERAL: [made[name] for name in _several(settings)]} if SEVERAL in settings else one


def _several(settings: Mapping[str, Any]) -> list[str]:
    names = settings.get(SEVERAL) or []
    return [names] if isinstance(names, str) else list(names)


def is_run_file(part: Mapping[str, Any]) -> bool:
    """Return whether a retriever of a config reads a run file."""
    return str(part.get("_target_")).endswith(".RunFile")


def place_of(part: Mapping[str, Any]) -> str:
    """Return the key of what a retriever's ``job`` makes: the ``path`` of a run file, or the ``checkpoint``."""
    return "path" if is_run_file(part) else "checkpoint"
