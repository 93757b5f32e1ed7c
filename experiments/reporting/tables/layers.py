"""Tabulate the probed layers of a study's models, or of one model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.load import JobResult
from experiments.common.text import decimals, value_or_dash
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import POOLINGS, candidates_name, proper_name
from experiments.reporting.tables.table import Table

NOTES = (
    "Mean over test queries, and over seeds where there are several, of each layer's embeddings; layer 0 is the "
    "embedding layer.",
    "Each job's metrics.json has the intervals, the figures show them.",
)
FIRST, LAST = ("loss", "n"), "pooling"
NO_AXES = ("seed", "data", "loss", "negatives", "fold", "folds")  # labels that are no columns of their own
MODELS = ("model", "control")  # keys of a probe: the trained model and its untrained backbone

Place = tuple[str, str, str]  # data, candidates, measure
Row = tuple[str, ...]


def probed_cells(probe: Mapping[str, Any] | None) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield model, first measure and metrics of each layer and pooling of a job's probe."""
    for model in MODELS:
        if probed := (probe or {}).get(model):
            yield from ((model, probed["settings"]["measures"][0], cell) for cell in probed["cells"])


def layer_tables(jobs: Sequence[JobResult]) -> list[Table]:
    """Return one table per data set and candidates: a row per training, a column per layer. Other labels than the loss
    and the number of negatives are columns where the jobs differ in them.
    """
    axes = _axes([job.labels for job in jobs if job.probe])
    places: dict[Place, dict[Row, dict[int, list[float]]]] = {}
    for job in jobs:
        for model, measure, cell in probed_cells(job.probe):
            rows = places.setdefault((str(job.labels["data"]), cell["candidates"], measure), {})
            own = (value_or_dash(job.labels.get(axis)) for axis in axes)
            training = (str(job.labels["loss"]), value_or_dash(job.labels.get("negatives")), *own)
            if model == "control":  # the same for all jobs of a backbone
                training = (f"{job.labels.get('backbone', '')} untrained", "", *("" for _ in axes))
            layers = rows.setdefault((*training, POOLINGS.get(cell["pooling"], cell["pooling"])), {})
            layers.setdefault(cell["layer"], []).append(float(cell["mean"][measure]))
    return [_table(place, (*FIRST, *axes, LAST), rows) for place, rows in places.items()]


def _axes(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the labels in which jobs differ."""
    labels = dict.fromkeys(label for job in jobs for label in job if label not in NO_AXES)
    return [label for label in labels if len({repr(job.get(label)) for job in jobs}) > 1]


def _table(place: Place, labels: tuple[str, ...], rows: dict[Row, dict[int, list[float]]]) -> Table:
    data, candidates, measure = place
    layers = sorted({layer for values in rows.values() for layer in values})
    means = {row: {layer: float(np.mean(seeds)) for layer, seeds in values.items()} for row, values in rows.items()}
    # the untrained backbone first, then by loss and number of negatives
    order = sorted(rows, key=lambda row: (bool(row[1]), row[0], float(row[1]) if row[1].isdigit() else 0.0, row[2:]))
    return Table(
        title=f"{mean_name(measure)} by layer, {candidates_name(candidates)}, {data}",
        columns=(*labels, *(f"layer {layer}" for layer in layers)),
        rows=tuple((*row, *(decimals(means[row].get(layer)) for layer in layers)) for row in order),
        words=frozenset(labels),
        labels=len(labels),
        notes=NOTES,
    )


def probe_table(probe: Mapping[str, Any]) -> Table:
    """Return the layers of a model and its control: a row per layer and pooling, a column per candidates."""
    rows: dict[tuple[int, str], dict[tuple[str, str], str]] = {}
    for model, measure, cell in probed_cells(probe):
        row = rows.setdefault((cell["layer"], cell["pooling"]), {})
        row[cell["candidates"], model] = decimals(cell["mean"][measure])
    candidates = dict.fromkeys(name for row in rows.values() for name, _ in row)
    columns = [(name, model) for name in candidates for model in MODELS if probe.get(model)]
    trained = probe["model"]
    measure = trained["settings"]["measures"][0]
    return Table(
        title=f"{mean_name(measure)} by layer, {trained['queries']:,} test queries",
        columns=("layer", "pooling", *(f"{model}: {candidates_name(name)}" for name, model in columns)),
        rows=tuple(
            (str(layer), POOLINGS.get(pooling, pooling), *(rows[layer, pooling].get(column, "-") for column in columns))
            for layer, pooling in sorted(rows)
        ),
        words=frozenset({"pooling"}),
        labels=2,
        notes=tuple(
            f"{proper_name(name)} itself: {decimals(means[measure])}."
            for name, means in trained["first_stages"].items()
        ),
    )
