"""Draw the loss diagnostics over the course of training, and at its end over the number of negatives."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.findings import Findings
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.line_styles import FEW, Line, draw_course, draw_line, handle, panels_of, styles_of
from experiments.reporting.plots.style import WIDTH, framed, grid, panel_titles, set_counts, set_shares
from experiments.reporting.plots.training_curves import (
    Training,
    count_ticks,
    courses,
    known,
    seeds_of,
    trainings_of,
    varying_axes,
)

COLUMNS = 4  # settings side by side
SUMMED = 3  # diagnostics side by side in the summary
LAST = 2 / 3  # share of the training after which the summary averages
# Column of the history -> its name next to an axis.
DIAGNOSTICS = {
    "effective_negatives": "effective\nnegatives",
    "hardest_share": "share of\nthe hardest",
    "saturated_bce": "saturated\n(BCE)",
    "margin": "margin",
    "positive_on_top": "positive\non top",
}
SHARES = ("hardest_share", "saturated_bce", "positive_on_top")
NAME_AT = 0.58  # inches from the axes to the middle of a diagnostic's name
EXPLAINED = (
    "Effective negatives: exp(entropy) of the softmax over a group's negatives. Share of the hardest: of the gradient "
    "that LCE has on them. Saturated: pairs with a BCE gradient below .01. Margin: positive minus mean negative. "
    "Positive on top: share of groups."
)


def over_training(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return figures of the diagnostics (rows) over the groups seen by setting (columns), and at the end."""
    figures = []
    by_data = trainings_of(findings)
    for data, trainings in by_data.items():
        suffix = f".{data}" if len(by_data) > 1 else ""
        lines = {name: drawn for name in DIAGNOSTICS if (drawn := courses(trainings, name, "groups"))}
        if not lines:
            continue
        explanation = f"{seeds_of(trainings)} {EXPLAINED}"
        figures += _grids(f"diagnostics_by_groups{suffix}", f"Loss diagnostics, {data}", explanation, lines, losses)
        figures += _summaries(f"diagnostics_by_negatives{suffix}", data, trainings, losses)
    return figures


def _grids(
    name: str, title: str, explanation: str, by_diagnostic: Mapping[str, Sequence[Line]], losses: Sequence[str]
) -> list[ReportFigure]:
    """Return one figure for every four columns."""
    everyone = max(by_diagnostic.values(), key=len)
    panels, parted = panels_of(everyone, FEW)
    styles = {line.label: style for line, style in zip(everyone, styles_of(everyone, losses, parted), strict=True)}
    chunks = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    figures = []
    for number, chunk in enumerate(chunks, 1):
        part = f".{number}" if len(chunks) > 1 else ""
        named = f"{title} ({number} of {len(chunks)})" if len(chunks) > 1 else title
        entries = {line.without(parted): styles[line.label] for panel in chunk for line in panel.lines}
        handles = [handle(word, style, markers=False) for word, style in entries.items() if word]
        frame = framed(named, explanation, 0.55 + 1.0 * len(by_diagnostic), handles)
        grids = frame.figure.subplots(len(by_diagnostic), len(chunk), sharex=True, sharey="row", squeeze=False)
        frame.place(titles=panel_titles(grids[:1], [panel.title for panel in chunk]), left=0.9)
        frame.figure.subplots_adjust(hspace=0.22, wspace=0.08)
        for row, (word, lines) in zip(grids, by_diagnostic.items(), strict=True):
            by_label = {line.label: line for line in lines}
            for axes, panel in zip(row, chunk, strict=True):
                grid(axes)
                for label in (line.label for line in panel.lines if line.label in by_label):
                    draw_course(axes, by_label[label], styles[label])
            row[0].set_ylabel(DIAGNOSTICS[word], size=8)
            row[0].locator_params(axis="y", nbins=3)
            row[0].yaxis.set_label_coords(-NAME_AT / (row[0].get_position().width * WIDTH), 0.5)
            if word in SHARES:
                set_shares(row[0])
        for axes in grids[-1]:
            count_ticks(axes, "groups seen")
        figures.append(report_figure(frame, f"{name}{part}", "diagnostics"))
    return figures


def ended(training: Training, quantity: str) -> float:
    """Average a quantity over the last third of the groups and all seeds; NaN if unknown."""
    values = []
    for history in training.histories:
        x, y = known(history, quantity, "groups")
        if x.size:
            values.append(float(y[x >= LAST * x[-1]].mean()))
    return float(np.mean(values)) if values else math.nan


def _summaries(name: str, data: str, trainings: Sequence[Training], losses: Sequence[str]) -> list[ReportFigure]:
    """Return each diagnostic at the end of training over n, one line per loss; none for a single n."""
    counted = [training for training in trainings if training.axes["negatives"]]
    counts = sorted({int(training.axes["negatives"]) for training in counted})
    lines = {name: ends for name in DIAGNOSTICS if len(counts) > 1 and (ends := _ends(counted, name))}
    if not lines:
        return []
    panels, parted = panels_of(max(lines.values(), key=len))
    down = math.ceil(len(lines) / SUMMED)
    figures = []
    for number, panel in enumerate(panels, 1):
        part = f".{number}" if len(panels) > 1 else ""
        title = ", ".join(filter(None, (f"Loss diagnostics at the end of training, {data}", panel.title)))
        labels = [line.label for line in panel.lines]
        styles = dict(zip(labels, styles_of(panel.lines, losses, parted), strict=True))
        entries = [handle(line.without(parted), styles[line.label]) for line in panel.lines]
        explanation = f"Means over the last third of the groups seen, and over seeds. {EXPLAINED}"
        frame = framed(title, explanation, 0.5 + 1.9 * down, entries)
        grids = frame.figure.subplots(down, min(SUMMED, len(lines)), squeeze=False)
        frame.place(titles=panel_titles(grids, [DIAGNOSTICS[word].replace("\n", " ") for word in lines]))
        frame.figure.subplots_adjust(hspace=0.42, wspace=0.32)
        for axes in grids.flat[len(lines) :]:
            axes.remove()
        for index, (axes, (word, drawn)) in enumerate(zip(grids.flat, lines.items(), strict=False)):
            grid(axes)
            for line in drawn:
                if line.label in styles:
                    draw_line(axes, line, styles[line.label])
            if word in SHARES:
                set_shares(axes)
            set_counts(axes, counts, 0.35)
            axes.set_xlabel("n" if index + SUMMED >= len(lines) else "")
        figures.append(report_figure(frame, f"{name}{part}", "diagnostics"))
    return figures


def _ends(trainings: Sequence[Training], quantity: str) -> list[Line]:
    axes = [axis for axis in varying_axes(trainings) if axis != "negatives"]
    groups: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for training in trainings:
        if not math.isnan(value := ended(training, quantity)):
            key = tuple(training.axes.get(axis) for axis in axes)
            groups.setdefault(key, []).append((float(training.axes["negatives"]), value))
    lines = []
    for key, points in groups.items():
        x, y = zip(*sorted(points), strict=True)
        lines.append(Line(dict(zip(axes, key, strict=True)), x, y))
    return lines
