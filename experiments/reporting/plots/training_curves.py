"""What went on while models were trained, from the history of each job: the dev measure and the loss over steps.

A line is the mean over the seeds of a setting, at the steps that all of them have. Long histories are averaged in
windows, which also keeps the figures small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.analysis.load import JobResult
from experiments.analysis.measure_choice import dev_measure
from experiments.analysis.settings import SettingResult
from experiments.common.text import amount
from experiments.evaluation.measure_names import mean_name
from experiments.job_files.history import FILE, read_history
from experiments.job_files.per_query import FloatArray
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.line_chart import Chart, draw_chart
from experiments.reporting.plots.line_styles import FEW, Line, LineStyle, draw_course

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.analysis.findings import Findings

WINDOWS = 40  # points of a line at most


@dataclass(frozen=True)
class Training:
    """A setting on one data set and the histories of its seeds, without those of jobs that kept none."""

    data: str
    axes: Mapping[str, Any]
    histories: tuple[Mapping[str, FloatArray], ...]


def trainings_of(findings: "Findings") -> dict[str, list[Training]]:
    """Return the settings that have a history, by data set; each once, though its models re-rank several first stages.

    Raises:
        ExperimentError: a history cannot be read; the message names file and line.
    """
    by_data: dict[str, list[Training]] = {}
    for data in dict.fromkeys(block.data for block in findings.groups):
        blocks = [block for block in findings.groups if block.data == data]
        cells = {frozenset(job.name for job in cell.jobs): cell for block in blocks for cell in block.settings}
        axes = list(dict.fromkeys(axis for block in blocks for axis in block.axes))
        named = [(_named(cell, axes), _histories(cell.jobs)) for cell in cells.values()]
        trainings = [Training(data, labels, histories) for labels, histories in named if histories]
        if trainings:
            by_data[data] = sorted(trainings, key=lambda training: [_rank(value) for value in training.axes.values()])
    return by_data


def _named(cell: SettingResult, axes: Sequence[str]) -> dict[str, Any]:
    labels: dict[str, Any] = {"loss": str(cell.labels["loss"]), "negatives": cell.negatives}
    return labels | {axis: cell.labels.get(axis) for axis in axes}


def _rank(value: Any) -> tuple[bool, float, str]:
    return (True, float(value), "") if isinstance(value, int | float) else (False, 0.0, str(value))


def _histories(jobs: Sequence[JobResult]) -> tuple[Mapping[str, FloatArray], ...]:
    paths = [part.folder / FILE for job in jobs for part in job.parts]
    return tuple(
        {name: np.array(values) for name, values in read_history(path).items()} for path in paths if path.is_file()
    )


def over_steps(findings: "Findings", losses: Sequence[str]) -> list[ReportFigure]:
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
            figures.append(_course(f"dev_by_step{suffix}", chart, lines, losses))
        if lines := courses(trainings, "loss", "step"):
            several = len({line.axes.get("loss") for line in lines}) > 1
            further = " Losses of different kinds have scales of their own." if several else ""
            title = f"Training loss, {data}"
            chart = Chart(
                title, seeds + further, "loss", limit=FEW, marked=False, share=False, alike=False, each="loss"
            )
            figures.append(_course(f"loss_by_step{suffix}", chart, lines, losses))
    return figures


def _course(name: str, chart: Chart, lines: Sequence[Line], losses: Sequence[str]) -> ReportFigure:
    def draw(axes: "Axes", members: Sequence[Line], styles: Sequence[LineStyle]) -> list[tuple[float, float]]:
        ends = [draw_course(axes, line, style) for line, style in zip(members, styles, strict=True)]
        count_ticks(axes, "step")
        return ends

    return report_figure(draw_chart(chart, lines, losses, draw), name, "steps")


def count_ticks(axes: "Axes", name: str) -> None:
    """Whole numbers, written short, along the x axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
    axes.set_xlabel(name)


def courses(trainings: Sequence[Training], quantity: str, over: str) -> list[Line]:
    """A line a setting that has the quantity at two points or more: the mean over its seeds, and each seed."""
    varying = [
        axis for axis in trainings[0].axes if len({str(one.axes.get(axis)) for one in trainings}) > 1 or axis == "loss"
    ]
    lines = []
    for training in trainings:
        single = [course for one in training.histories if len((course := known(one, quantity, over))[0]) > 1]
        if not single:
            continue
        shared = sorted(set.intersection(*(set(x.tolist()) for x, _ in single)))
        means = [float(np.mean([y[np.searchsorted(x, one)] for x, y in single])) for one in shared]
        x, y = thinned(np.array(shared), np.array(means))
        if x.size < 2:
            continue
        axes = {axis: training.axes.get(axis) for axis in varying}
        thin = [tuple(part.tolist() for part in thinned(*course)) for course in single] if len(single) > 1 else []
        lines.append(Line(axes, x.tolist(), y.tolist(), single=[(one[0], one[1]) for one in thin]))
    return lines


def known(history: Mapping[str, FloatArray], quantity: str, over: str) -> tuple[FloatArray, FloatArray]:
    """Where a quantity is known, and its values there."""
    if quantity not in history or over not in history:
        return np.empty(0), np.empty(0)
    there = ~np.isnan(history[quantity]) & ~np.isnan(history[over])
    return history[over][there], history[quantity][there]


def thinned(x: FloatArray, y: FloatArray, windows: int = WINDOWS) -> tuple[FloatArray, FloatArray]:
    """The same course in at most so many points: means of neighbouring ones."""
    if x.size <= windows:
        return x, y
    parts = np.array_split(np.arange(x.size), windows)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def seeds_of(trainings: Sequence[Training]) -> str:
    """What thick and thin lines are."""
    most = max(len(one.histories) for one in trainings)
    return f"Thick: mean of {most} seeds; thin: each seed." if most > 1 else "One seed."
