"""What the layers of trained models know: a measure over the layers, a line a training and pooling, the untrained
backbone dashed.

Shapes: Q queries, S seeds.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.analysis.samples import Sample, layer_samples
from experiments.analysis.settings import PLACED
from experiments.common.text import WHOLE, proper_name
from experiments.job_files.records import FloatArray, Job
from experiments.reporting.plots.figure import Picture
from experiments.reporting.plots.line_chart import Chart, Level, draw_chart
from experiments.reporting.plots.line_styles import FEW, Line, Look, draw_line, word_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.analysis.findings import Findings

MARGIN = 0.25  # layers left free at both sides
DODGE = 0.03  # layers between two lines' points of one layer
RESAMPLES = 100  # of a permutation test whose result is not drawn

Place = tuple[str, str, str]  # data, candidates, measure


def over_layers(findings: "Findings", losses: Sequence[str]) -> list[Picture]:
    """A picture for each data set and candidates that layers were measured on, where there are two layers or more."""
    jobs = {job.name: job for job in findings.jobs}
    places: dict[Place, list[Sample]] = {}
    for sample in layer_samples(findings.blocks):
        data = str(jobs[sample.jobs[0]].labels["data"])
        places.setdefault((data, str(sample.labels["candidates"]), sample.measure), []).append(sample)
    several = len({data for data, *_ in places}) > 1
    return [
        _picture(findings, where, samples, jobs, losses, several)
        for where, samples in places.items()
        if len({sample.labels["layer"] for sample in samples}) > 1
    ]


def _picture(
    findings: "Findings",
    where: Place,
    samples: Sequence[Sample],
    jobs: Mapping[str, Job],
    losses: Sequence[str],
    several: bool,
) -> Picture:
    data, candidates, measure = where
    first_stage = candidates if candidates != WHOLE else next(iter(jobs[samples[0].jobs[0]].test))
    level_Q = _first_stage(jobs[samples[0].jobs[0]], first_stage, measure, samples[0].query_ids)
    lines = _trained(samples, level_Q) + _controls([jobs[name] for one in samples for name in one.jobs], where)
    queries = len(samples[0].query_ids)
    task = "searching the whole collection" if candidates == WHOLE else f"re-ranking {proper_name(candidates)}"
    title = f"Layers {task}, {data}, {queries:,} test queries"
    explanation = _explained(samples, lines, proper_name(first_stage), level_Q is not None)
    levels = () if level_Q is None else (Level(proper_name(first_stage), float(level_Q.mean())),)
    chart = Chart(title, explanation, measure, levels, limit=FEW, each="pooling", bottom=True)
    stem = f"{re.sub(r'[^a-z0-9]', '', measure.lower())}_by_layer"
    name = ".".join([stem, *([data] if several else []), candidates])
    frame = draw_chart(chart, lines, losses, _draw)
    return Picture(name, "layers", title, explanation, frame.figure, frame.heading)


def _trained(samples: Sequence[Sample], level_Q: FloatArray | None) -> list[Line]:
    """A line for each training and pooling, with the interval of its difference to the first stage."""
    names = [name for name in dict.fromkeys(name for one in samples for name in one.labels) if name not in _PLACED]
    axes = ["loss", "negatives", *names, "pooling"]
    axes = [name for name in axes if name == "loss" or len({str(one.labels.get(name)) for one in samples}) > 1]
    groups: dict[tuple[Any, ...], list[Sample]] = {}
    for sample in sorted(samples, key=lambda one: int(one.labels["layer"])):
        groups.setdefault(tuple(sample.labels.get(name) for name in axes), []).append(sample)
    lines = []
    for key, members in sorted(groups.items(), key=lambda group: [_rank(value) for value in group[0]]):
        ends = [] if level_Q is None else [_ends(sample, level_Q) for sample in members]
        lines.append(
            Line(
                dict(zip(axes, key, strict=True)),
                [float(sample.labels["layer"]) for sample in members],
                [float(sample.values_SQ.mean()) for sample in members],
                [low for low, _ in ends],
                [high for _, high in ends],
            )
        )
    return lines


_PLACED = PLACED | {"layer", "pooling", "candidates"}


def _rank(value: Any) -> tuple[bool, float, str]:
    return (True, float(value), "") if isinstance(value, int | float) else (False, 0.0, str(value))


def _ends(sample: Sample, level_Q: FloatArray) -> tuple[float, float]:
    """The ends of a point's bar."""
    from experiments.evaluation.comparison import compare

    versus = compare(sample.values_SQ, level_Q[np.newaxis], sample.seeds, None, RESAMPLES)
    return float(level_Q.mean()) + versus.low, float(level_Q.mean()) + versus.high


def _first_stage(job: Job, first_stage: str, measure: str, query_ids: tuple[str, ...]) -> FloatArray | None:
    """The first stage's own values of the probed queries; None where the job was not tested on them by this measure."""
    table = job.per_query.get(first_stage)
    if table is None or measure not in table.first_stage or set(table.query_ids) != set(query_ids):
        return None
    return table.ordered(query_ids).first_stage[measure]


def _controls(jobs: Sequence[Job], where: Place) -> list[Line]:
    """The untrained backbone, which all jobs of one probe alike: by backbone and pooling."""
    _, candidates, measure = where
    found: dict[tuple[str, str], dict[int, float]] = {}
    for job in jobs:
        probed = (job.probe or {}).get("control") or {"cells": []}
        for cell in probed["cells"]:
            if cell["candidates"] == candidates:
                key = (str(job.labels.get("backbone", "")), str(cell["pooling"]))
                found.setdefault(key, {})[int(cell["layer"])] = float(cell["mean"][measure])
    backbones, poolings = ({key[index] for key in found} for index in (0, 1))
    lines = []
    for (backbone, pooling), by_layer in found.items():
        axes = {"backbone": backbone} if len(backbones) > 1 else {}
        axes |= {"pooling": pooling} if len(poolings) > 1 else {}
        layers = sorted(by_layer)
        lines.append(Line(axes, [float(one) for one in layers], [by_layer[one] for one in layers], control=True))
    return lines


def _draw(axes: "Axes", lines: Sequence[Line], looks: Sequence[Look]) -> list[tuple[float, float]]:
    layers = sorted({layer for line in lines for layer in line.x})
    axes.set_xlim(layers[0] - MARGIN, layers[-1] + MARGIN)
    axes.set_xticks(layers, [f"{layer:g}" for layer in layers])
    axes.set_xlabel("layer (0: the embeddings)" if 0 in layers else "layer")
    drawn = enumerate(zip(lines, looks, strict=True))
    return [draw_line(axes, line, look, shift=DODGE * (i - (len(lines) - 1) / 2)) for i, (line, look) in drawn]


def _explained(samples: Sequence[Sample], lines: Sequence[Line], first_stage: str, barred: bool) -> str:
    seeds = max(len(sample.seeds) for sample in samples)
    poolings = {sample.labels["pooling"] for sample in samples}
    pooled = f", pooled: {word_of('pooling', poolings.pop())}" if len(poolings) == 1 else ""
    sentences = [f"Each layer's hidden states as embeddings{pooled}."]
    sentences.append(f"Points: mean of {seeds} seeds." if seeds > 1 else "One seed.")
    if barred:
        over = "queries and seeds" if seeds > 1 else "queries"
        sentences.append(f"Bars: 95 % interval of the difference to {first_stage} (dashed), over {over}.")
    if any(line.control for line in lines):
        sentences.append("Hollow, dashed: the backbone before training.")
    return " ".join(sentences)
