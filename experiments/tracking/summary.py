"""Convert a job's results to its W&B run, so that tables can be made from W&B alone. The run holds

- its config: the job's, with ``labels`` and ``hash`` among them;
- its summary: ``FIRST_STAGE/...`` as ``test`` of the job's ``metrics.json``, nested names joined by slashes,
  ``compute/...`` likewise, and the probed layers as one text, ``probe_json``;
- the tables ``per_query/FIRST_STAGE``, and ``per_query/FIRST_STAGE@DEPTH`` for each smaller depth of re-ranking.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

LABELS = "labels"
HASH = "hash"
TRAINED_BY = "trained_by"  # the scientific config of the training, for a job that measures another job's model
COMPUTE = "compute"
PROBE = "probe_json"
PER_QUERY = "per_query"


def depth_table(first_stage: str, depth: int) -> str:
    """Return the name of the table of a smaller depth than the job's."""
    return f"{PER_QUERY}/{first_stage}@{depth}"


def summary_of(metrics: Mapping[str, Any], measures: Sequence[str]) -> dict[str, float | int | str | None]:
    """Return the summary of a job's run: all that the job is read back from, and the first first stage's measures under
    their plain names.
    """
    summary: dict[str, Any] = {}
    for name, values in metrics["test"].items():
        for measure in measures:
            summary.setdefault(measure, values[measure])
        summary |= flat(values, name)
    for split, by_run in metrics.get("retrieval", {}).items():
        for name, values in by_run.items():
            summary |= {f"retrieval/{split}/{name}/{measure}": values[measure] for measure in measures}
    if "probe" in metrics:
        summary[PROBE] = json.dumps(metrics["probe"])  # one text: its many keys would be a column each
    return summary | flat(metrics["compute"], COMPUTE)


def flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Join nested names by slashes: ``{"first_stage": {"AP": 1}}`` becomes ``{"bm25/first_stage/AP": 1}``."""
    joined: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}/{key}"
        joined |= flat(value, name) if isinstance(value, Mapping) else {name: value}
    return joined


def nested(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Invert ``flat`` for one prefix."""
    unfolded: dict[str, Any] = {}
    for key, value in values.items():
        if key.startswith(f"{prefix}/"):
            *above, name = key.removeprefix(f"{prefix}/").split("/")
            place = unfolded
            for part in above:
                place = place.setdefault(part, {})
            place[name] = value
    return unfolded
