"""Draw the dev measure and the loss over training steps, from the history of each job.

A line is the mean over the seeds of a setting, at the steps that all seeds have. Long histories are
averaged in windows, which keeps the files small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.analysis.findings import Findings
from experiments.analysis.measure_choice import dev_measure
from experiments.common.text import amount, number_of_seeds
from experiments.evaluation.measure_names import mean_name
from experiments.job_files.history import FILE, read_history
from experiments.job_files.per_query import FloatArray
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.line_chart import Chart, draw_chart
from experiments.reporting.plots.line_styles import FEW, Line, LineStyle, draw_course, sort_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOWS = 40  # largest number of points per line


@dataclass(frozen=True)
class Training:
    """A setting on one data set, with the histories of its seeds that kept one."""

    data: str
    axes: Mapping[str, Any]
    histories: tuple[Mapping[str, FloatArray], ...]


def trainings_of(findings: Findings) -> dict[str, list[Training]]:
    """Return the settings that have a history, by data set; each once, whatever number of first stages it re-ranks.

    Raises:
        ExperimentError: a history cannot be read.
    """
    by_data: dict[str, list[Training]] = {}
    for data in dict.fromkeys(block.data for block in findings.groups):
        blocks = [block for block in findings.groups if block.data == data]
        cells = {frozenset(job.name for job in cell.jobs): cell for block in blocks for cell in block.settings}
        axes = list(dict.fromkeys(axis for block in blocks for axis in block.axes))
        trainings = []
        for cell in cells.values():
            labels: dict[str, Any] = {"loss": str(cell.labels["loss"]), "negatives": cell.negatives}
            paths = [part.folder / FILE for job in cell.jobs for part in job.parts]
            histories = [read_history(path) for path in paths if path.is_file()]
            if histories:
                named = labels | {axis: cell.labels.get(axis) for axis in axes}
                arrays = ({name: np.array(values) for name, values in history.items()} for history in histories)
                trainings.append(Training(data, named, tuple(arrays)))
        if trainings:
            by_data[data] = sorted(trainings, key=lambda training: list(map(sort_key, training.axes.values())))
    return by_data


def over_steps(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return the dev measure and the training loss over the steps, for each data set."""
    figures = []
    by_data = trainings_of(findings)
    for data, trainings in by_data.items():
        suffix = f".{data}" if len(by_data) > 1 else ""
        seeds = seeds_of(trainings)
        if lines := courses(trainings, "dev", "step"):
            cells = (cell for block in findings.groups if block.data == data for cell in block.settings)
            measure = mean_name(dev_measure(job for cell in cells for job in cell.jobs) or "measure")
            title = f"{measure} on dev queries in training, {data}"
            chart = Chart(title, seeds, f"{measure}, dev", limit=FEW, marked=False)
            figures.append(report_figure(draw_chart(chart, lines, losses, _draw), f"dev_by_step{suffix}", "steps"))
        if lines := courses(trainings, "loss", "step"):
            several = len({line.axes.get("loss") for line in lines}) > 1
            explanation = seeds + (" Losses of different kinds have different scales." if several else "")
            layout: dict[str, Any] = {"limit": FEW, "each": "loss", "alike": False, "marked": False, "share": False}
            chart = Chart(f"Training loss, {data}", explanation, "loss", **layout)
            figures.append(report_figure(draw_chart(chart, lines, losses, _draw), f"loss_by_step{suffix}", "steps"))
    return figures


def _draw(axes: "Axes", lines: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
    ends = [draw_course(axes, line, style) for line, style in zip(lines, styles, strict=True)]
    count_ticks(axes, "step")
    return ends


def count_ticks(axes: "Axes", name: str) -> None:
    """Set whole numbers, written short, as the ticks of the x axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
    axes.set_xlabel(name)


def courses(trainings: Sequence[Training], quantity: str, over: str) -> list[Line]:
    """Return one line per setting with at least two values of the quantity: the mean over its seeds, and each seed."""
    lines = []
    for training in trainings:
        single = [known(history, quantity, over) for history in training.histories]
        single = [(x, y) for x, y in single if x.size > 1]
        if not single:
            continue
        shared = sorted(set.intersection(*(set(x.tolist()) for x, _ in single)))
        means = [float(np.mean([y[np.searchsorted(x, step)] for x, y in single])) for step in shared]
        x, y = thinned(np.array(shared), np.array(means))
        if x.size < 2:
            continue
        axes = {axis: training.axes.get(axis) for axis in varying_axes(trainings)}
        thin = [thinned(*course) for course in single] if len(single) > 1 else []
        seeds = [(seed_x.tolist(), seed_y.tolist()) for seed_x, seed_y in thin]
        lines.append(Line(axes, x.tolist(), y.tolist(), single=seeds))
    return lines


def varying_axes(trainings: Sequence[Training]) -> list[str]:
    """Return the loss and the other axes in which trainings differ."""
    values = {axis: {str(training.axes.get(axis)) for training in trainings} for axis in trainings[0].axes}
    return [axis for axis, different in values.items() if axis == "loss" or len(different) > 1]


def known(history: Mapping[str, FloatArray], quantity: str, over: str) -> tuple[FloatArray, FloatArray]:
    """Return the x and y at which a quantity is known."""
    if quantity not in history or over not in history:
        return np.empty(0), np.empty(0)
    there = ~np.isnan(history[quantity]) & ~np.isnan(history[over])
    return history[over][there], history[quantity][there]


def thinned(x: FloatArray, y: FloatArray, windows: int = WINDOWS) -> tuple[FloatArray, FloatArray]:
    """Reduce a course to at most ``windows`` points: means of neighbours."""
    if x.size <= windows:
        return x, y
    parts = np.array_split(np.arange(x.size), windows)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def seeds_of(trainings: Sequence[Training]) -> str:
    """Explain thick and thin lines."""
    counts = [len(training.histories) for training in trainings]
    return f"Thick: mean of {number_of_seeds(counts)}; thin: each seed." if max(counts) > 1 else "One seed."
