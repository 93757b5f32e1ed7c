"""Read what ``write_groups`` wrote, and what every training shows to be equal before it is timed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def read_groups(settings: Mapping[str, Any], steps: int) -> list[tuple[str, list[str]]]:
    """Return (query, passages with the positive first) of the groups of the first steps, in their order."""
    path = Path(settings["folder"]) / "groups.jsonl"
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    groups = [(row["query"], row["passages"]) for row in rows]
    needed = steps * settings["queries"]
    assert len(groups) >= needed, f"{path} has {len(groups)} groups, not {needed}"
    return groups[:needed]


def pairs_of(groups: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    """Return all pairs of groups."""
    return [(query, passage) for query, passages in groups for passage in passages]


def results_of(before: Any, after: Any, settings: Mapping[str, Any]) -> Any:
    """Return the scores of the first step's pairs, and after the training how far they lie from the mean of
    their group.

    LCE is the same for scores that are shifted together: the shift moves by rounding alone.
    """
    trained = np.reshape(after, (settings["queries"], -1)).astype(np.float64)
    centred = trained - trained.mean(axis=1, keepdims=True)
    return np.stack([np.ravel(before), np.ravel(centred)])
