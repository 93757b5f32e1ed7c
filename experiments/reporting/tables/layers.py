"""The probed layers of a study's models side by side: a row a training, a column a layer."""

from collections.abc import Sequence

import numpy as np

from experiments.common.text import WHOLE, proper_name
from experiments.job_files.records import Job
from experiments.reporting.tables.table import Sheet

EXPLAINED = (
    "Mean over test queries, and over seeds where there are several, of each layer's embeddings; layer 0 is the "
    "embedding layer. Intervals stand in each job's metrics.json and pictures."
)

Key = tuple[str, ...]


def layer_sheets(jobs: Sequence[Job]) -> list[Sheet]:
    """A table for each data set and candidates that the layers of finished jobs were measured on, by the probe's first
    measure.
    """
    found: dict[tuple[str, str, str], dict[Key, dict[int, list[float]]]] = {}
    for job in jobs:
        for who in ("model", "control"):
            probed = (job.probe or {}).get(who) or {"cells": []}
            for cell in probed["cells"]:
                measure = probed["settings"]["measures"][0]
                place = (str(job.labels["data"]), cell["candidates"], measure)
                row = _row(job, who, cell["pooling"])
                values = found.setdefault(place, {}).setdefault(row, {}).setdefault(cell["layer"], [])
                values.append(float(cell["mean"][measure]))
    return [_sheet(place, rows) for place, rows in found.items()]


def _row(job: Job, who: str, pooling: str) -> Key:
    """The training, or the backbone before it, and the pooling. Every job probes the same backbone."""
    if who == "control":
        return (f"{job.labels.get('backbone', '')} untrained", "", pooling)
    return (str(job.labels["loss"]), str(job.labels.get("negatives", "-")), pooling)


def _sheet(place: tuple[str, str, str], rows: dict[Key, dict[int, list[float]]]) -> Sheet:
    data, candidates, measure = place
    layers = sorted({layer for values in rows.values() for layer in values})
    where = "the whole collection searched" if candidates == WHOLE else f"{proper_name(candidates)} re-ranked"
    # the untrained backbone first, then by loss and number of negatives
    order = sorted(rows, key=lambda key: (bool(key[1]), key[0], float(key[1]) if key[1].isdigit() else 0.0, key[2]))
    words = ("loss", "n", "pooling")
    return Sheet(
        f"{measure} by layer, {where}, {data}",
        (*words, *(f"layer {layer}" for layer in layers)),
        tuple((*key, *(_mean(rows[key].get(layer)) for layer in layers)) for key in order),
        frozenset(words),
        caption=EXPLAINED,
    )


def _mean(values: list[float] | None) -> str:
    return "-" if not values else f"{np.mean(values):.3f}"
