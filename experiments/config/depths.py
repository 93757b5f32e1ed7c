"""Read the depths of re-ranking: one number, or several that are measured from one scoring."""

from itertools import pairwise
from typing import Any

from experiments.common.checks import at_least
from experiments.common.errors import ExperimentError

KEY = "first_stage_depth"


def depths_of(value: Any, key: str = KEY) -> tuple[int, ...]:
    """Return the depths of ``first_stage_depth``, ascending. ``key``: its name in messages.

    Raises:
        ExperimentError: it is neither a whole number of at least 1 nor a rising list of such numbers.
    """
    depths = list(value) if isinstance(value, list | tuple) else [value]
    if not depths or not all(isinstance(depth, int) and not isinstance(depth, bool) for depth in depths):
        raise ExperimentError(f"{key} is {value!r}: it must be a whole number, or several in a list such as [10,20,50]")
    for depth in depths:
        at_least(key, depth, 1)
    if any(later <= depth for depth, later in pairwise(depths)):
        raise ExperimentError(f"{key} is {value!r}: its depths must rise and be different: set it to {_rising(depths)}")
    return tuple(depths)


def _rising(depths: list[int]) -> str:
    return f"[{','.join(map(str, sorted(set(depths))))}]"
