"""Checks of single values, whose messages name the key and what is allowed."""

import math
from typing import Any

from experiments.common.errors import ExperimentError, shown


def one_of(key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise ExperimentError unless a value is among the allowed ones."""
    if not any(value == choice for choice in allowed):  # an unhashable value is none of them
        choices = ", ".join(str(choice) for choice in allowed if choice is not None)
        raise ExperimentError(f"{key} is {shown(value)}: it must be {'null or ' * (None in allowed)}one of {choices}")


def at_least(key: str, value: float | None, least: float, *, strictly: bool = False) -> None:
    """Raise ExperimentError if a value is given and is below ``least``, or not above it, or not finite."""
    if value is not None and (not math.isfinite(value) or value < least or (strictly and value == least)):
        raise ExperimentError(f"{key} is {value}: it must be {'above' if strictly else 'at least'} {least}")


def at_most(key: str, value: float | None, most: float) -> None:
    """Raise ExperimentError if a value is given and is above ``most``."""
    if value is not None and value > most:
        raise ExperimentError(f"{key} is {value}: it must be at most {most}")
