"""Draw a measure over the layers of models: one line per training and pooling, the untrained backbone dashed.

Shapes: Q queries, S seeds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.analysis.findings import Findings
from experiments.analysis.layers import layer_results
from experiments.analysis.load import JobResult
from experiments.analysis.settings import PLACED, SettingResult
from experiments.common.text import number_of_seeds, plural
from experiments.evaluation.comparison import compare
from experiments.evaluation.measure_names import WHOLE_COLLECTION, mean_name
from experiments.job_files.per_query import FloatArray
from experiments.reporting.names import POOLINGS, candidates_name, proper_name
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.line_chart import Chart, Level, draw_chart
from experiments.reporting.plots.line_styles import FEW, Line, LineStyle, draw_lines, sort_key, varying
from experiments.reporting.plots.style import styled
from experiments.reporting.tables.layers import MODELS, probed_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.25  # free space at both sides, in layers
DODGE = 0.03  # distance between two points of one layer, in layers
RESAMPLES = 100  # of a permutation test whose p value is not drawn
OWN_AXES = PLACED | {"layer", "pooling", "candidates"}  # labels that are no axis of lines
PAIRED = {
    "self": "each text paired with itself",
    "single": "each text alone",
    "query_empty": "each text after an empty query",
}

Place = tuple[str, str, str]  # data, candidates, measure
Cell = Mapping[str, Any]  # a probed layer and pooling, as metrics.json has it


def over_layers(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return one figure per data set and candidates with at least two measured layers."""
    places: dict[Place, list[SettingResult]] = {}
    for sample in layer_results(findings.groups):
        data = str(sample.jobs[0].labels["data"])
        places.setdefault((data, str(sample.labels["candidates"]), sample.measure), []).append(sample)
    several = len({data for data, *_ in places}) > 1
    return [
        _of_study(place, samples, losses, several)
        for place, samples in places.items()
        if len({sample.labels["layer"] for sample in samples}) > 1
    ]


def _of_study(place: Place, samples: Sequence[SettingResult], losses: Sequence[str], several: bool) -> ReportFigure:
    data, candidates, measure = place
    members = [job for sample in samples for job in sample.jobs]
    first_stage = candidates if candidates != WHOLE_COLLECTION else next(iter(members[0].test))
    query_ids = samples[0].query_ids
    table = members[0].per_query.get(first_stage)
    level_Q = None
    if table is not None and measure in table.first_stage and set(table.query_ids) == set(query_ids):
        level_Q = table.ordered(query_ids).first_stage[measure]
    cells = [cell for job in members for model, _, cell in probed_cells(job.probe) if model == "model"]
    tied = [cell for cell in cells if cell["candidates"] == candidates and _is_tied(cell)]
    lines = _trained(samples, level_Q) + _controls(members, candidates, measure)
    seeds = max(len(sample.seeds) for sample in samples)
    notes = [_pooled(sample.labels["pooling"] for sample in samples)]
    of_seeds = number_of_seeds(len(sample.seeds) for sample in samples)
    notes.append(f"Points: mean of {of_seeds}." if seeds > 1 else "One seed.")
    levels = {}
    if level_Q is not None:
        levels = {first_stage: float(level_Q.mean())}
        notes.append(f"{_bars(first_stage)}, over {'queries and seeds' if seeds > 1 else 'queries'}.")
    name = f"{data}.{candidates}" if several else candidates
    return _figure(name, place, len(query_ids), lines, levels, notes, tied, losses)


@styled
def probe_figures(probe: Mapping[str, Any], data: str) -> list[ReportFigure]:
    """Return one figure per set of candidates for the ``probe`` in a job's ``metrics.json``."""
    model = probe["model"]
    settings, first_stages = model["settings"], model["first_stages"]
    measure = settings["measures"][0]
    figures = []
    for candidates in dict.fromkeys(cell["candidates"] for cell in model["cells"]):
        tied = [cell for cell in model["cells"] if cell["candidates"] == candidates and _is_tied(cell)]
        lines = [
            line
            for name in MODELS
            if probe.get(name)
            for line in _probed(probe[name]["cells"], candidates, measure, control=name == "control")
        ]
        levels = {
            name: means[measure] for name, means in first_stages.items() if candidates in (name, WHOLE_COLLECTION)
        }
        standardised = ", standardised" if settings["whiten"] == "standardise" else ""
        read = f"{PAIRED[settings['pairing']]}; {settings['similarity']}{standardised}"
        notes = [f"{_pooled(settings['pooling'])[:-1]}; {read}."]
        if any(cell["differences"] for cell in model["cells"]) and levels:
            notes.append(f"{_bars(next(iter(levels)))}, paired bootstrap.")
        place = (data, candidates, measure)
        figures.append(_figure(candidates, place, model["queries"], lines, levels, notes, tied, ()))
    return figures


def _figure(
    name: str,
    place: Place,
    queries: int,
    lines: Sequence[Line],
    levels: Mapping[str, float],
    notes: list[str],
    tied: Sequence[Cell],
    losses: Sequence[str],
) -> ReportFigure:
    data, candidates, measure = place
    names = dict.fromkeys(f"layer {cell['layer']} {POOLINGS.get(cell['pooling'], cell['pooling'])}" for cell in tied)
    if names:
        notes.append(f"Not drawn, as its scores are tied: {', '.join(names)}.")
    if any(line.control for line in lines):
        notes.append("Hollow, dashed: the backbone before training.")
    title = f"Layers, {candidates_name(candidates)}, {data}, {plural(queries, 'test query', 'test queries')}"
    drawn = tuple(Level(proper_name(first_stage), level) for first_stage, level in levels.items())
    parted = "pooling" if len(varying(lines)) > 1 else None
    chart = Chart(title, " ".join(notes), mean_name(measure), drawn, FEW, each=parted, bottom=True)
    stem = f"{re.sub(r'[^a-z0-9]', '', measure.lower())}_by_layer"
    return report_figure(draw_chart(chart, lines, losses, _draw), f"{stem}.{name}", "layers")


def _trained(samples: Sequence[SettingResult], level_Q: FloatArray | None) -> list[Line]:
    """Return one line per training and pooling, with the interval of its difference to the first stage."""
    names = dict.fromkeys(name for sample in samples for name in sample.labels if name not in OWN_AXES)
    axes = [
        name
        for name in ("loss", "negatives", *names, "pooling")
        if name == "loss" or len({str(sample.labels.get(name)) for sample in samples}) > 1
    ]
    groups: dict[tuple[Any, ...], list[SettingResult]] = {}
    for sample in sorted(samples, key=lambda sample: int(sample.labels["layer"])):
        groups.setdefault(tuple(sample.labels.get(name) for name in axes), []).append(sample)
    lines = []
    for key, members in sorted(groups.items(), key=lambda group: list(map(sort_key, group[0]))):
        gains, level = [], 0.0
        if level_Q is not None:
            level = float(level_Q.mean())
            own_1Q = level_Q[np.newaxis]
            gains = [compare(sample.values_SQ, own_1Q, sample.seeds, None, RESAMPLES) for sample in members]
        layers = [float(sample.labels["layer"]) for sample in members]
        means = [float(sample.values_SQ.mean()) for sample in members]
        low, high = [level + gain.low for gain in gains], [level + gain.high for gain in gains]
        lines.append(Line(dict(zip(axes, key, strict=True)), layers, means, low, high))
    return lines


def _controls(jobs: Sequence[JobResult], candidates: str, measure: str) -> list[Line]:
    by_backbone: dict[str, list[Cell]] = {}
    for job in jobs:
        cells = [cell for model, _, cell in probed_cells(job.probe) if model == "control"]
        by_backbone.setdefault(str(job.labels.get("backbone", "")), cells)
    lines = []
    for backbone, cells in by_backbone.items():
        axes = {"backbone": backbone} if len(by_backbone) > 1 else {}
        lines += _probed(cells, candidates, measure, control=True, axes=axes)
    return lines


def _probed(
    cells: Iterable[Cell], candidates: str, measure: str, *, control: bool, axes: Mapping[str, Any] | None = None
) -> list[Line]:
    """Return one line per pooling of a probe, with bars; the control has none."""
    by_pooling: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: int(cell["layer"])):
        if cell["candidates"] == candidates and not _is_tied(cell):
            by_pooling.setdefault(str(cell["pooling"]), []).append(cell)
    lines = []
    for pooling, members in by_pooling.items():
        means = [float(cell["mean"][measure]) for cell in members]
        gains = [next(iter(cell["differences"].values())) for cell in members if cell.get("differences")]
        barred = not control and len(gains) == len(members)
        bars = zip(means, gains, strict=True) if barred else ()
        ends = [(mean - gain["mean"] + gain["low"], mean - gain["mean"] + gain["high"]) for mean, gain in bars]
        named = {"pooling": pooling} if not control or len(by_pooling) > 1 else {}
        low, high = [end for end, _ in ends], [end for _, end in ends]
        layers = [float(cell["layer"]) for cell in members]
        lines.append(Line({**(axes or {}), **named}, layers, means, low, high, control=control))
    return lines


def _is_tied(cell: Cell) -> bool:
    """Return whether most scores are tied, so that the first stage's order remains."""
    return 2 * (cell.get("ties") or 0) > (cell.get("pairs") or 0)


def _draw(axes: "Axes", lines: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
    layers = sorted({layer for line in lines for layer in line.x})
    axes.set_xlim(layers[0] - MARGIN, layers[-1] + MARGIN)
    axes.set_xticks(layers, [f"{layer:g}" for layer in layers])
    axes.set_xlabel("layer (0: the embeddings)" if 0 in layers else "layer")
    return draw_lines(axes, lines, styles, shift=DODGE)


def _pooled(poolings: Iterable[str]) -> str:
    different = list(dict.fromkeys(poolings))
    pooled = f", pooled: {POOLINGS.get(different[0], different[0])}" if len(different) == 1 else ""
    return f"Each layer's hidden states as embeddings{pooled}."


def _bars(first_stage: str) -> str:
    return f"Bars: 95 % interval of the difference to {proper_name(first_stage)} (dashed)"
