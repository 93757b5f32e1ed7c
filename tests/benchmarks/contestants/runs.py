"""Read what ``write_run`` wrote: the pairs of a run, for all who score it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "benchmark"  # of the run file and, for lightning-ir, of its data set


def longest(settings: Mapping[str, Any]) -> int:
    """Return the tokens of the longest pair, with its three special tokens."""
    return int(settings["query_tokens"] + settings["passage_tokens"] + 3)


def read_run(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return ``query_id``, ``query``, ``passage_id`` and ``passage`` of each pair of the run, in its order."""
    text = (Path(settings["folder"]) / "run.jsonl").read_text(encoding="utf-8")
    return list(map(json.loads, text.splitlines()))
