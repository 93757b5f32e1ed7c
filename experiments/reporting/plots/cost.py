"""Draw each setting's quality against its training cost, and the Pareto front."""

from collections.abc import Sequence

from experiments.analysis.findings import Findings, Result
from experiments.analysis.settings import ResultGroup
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import THIS_SEED, group_heading, phrase, proper_name, reference_name
from experiments.reporting.plots.by_negatives import ends_of, figure_name
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.label_placement import name_points
from experiments.reporting.plots.line_styles import Line, handle, marked, styles_of
from experiments.reporting.plots.style import FAINT, cut, framed, grid, set_amounts, set_bounds
from experiments.reporting.tables.results import results_of

BODY = 3.4  # inches
NAMED = 16  # largest number of points that are all named
# Key of ``compute`` -> its name, the preferred first.
COSTS = {"flops": "floating-point operations of the training", "train_seconds": "seconds of the training"}


def cost_against_quality(findings: Findings, losses: Sequence[str]) -> list[ReportFigure]:
    """Return one figure for each first stage with at least two settings of known training cost."""
    figures = []
    for block in findings.groups:
        results = results_of(findings, block)
        for key in COSTS:
            costs = [result.setting.compute(key) for result in results]
            known = [(cost, result) for cost, result in zip(costs, results, strict=True) if cost]
            if len(known) == len(results) and len({cost for cost, _ in known}) > 1:
                figures.append(_figure(findings, block, key, sorted(known, key=lambda pair: pair[0]), losses))
                break
    return figures


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the Pareto front of (cost, quality) points, by cost."""
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    best: list[int] = []
    for index in order:
        if not best or points[index][1] > points[best[-1]][1]:
            best.append(index)
    return best


def _figure(
    findings: Findings, block: ResultGroup, key: str, known: Sequence[tuple[float, Result]], losses: Sequence[str]
) -> ReportFigure:
    results = [result for _, result in known]
    points = [(cost, result.mean) for cost, result in known]
    heights = [block.first_stage_mean, *(result.mean for result in results)]
    explanation = _explained(findings, block, key, len(points))
    explanation += cut(heights, [end for result in results for end in ends_of(result)])
    lines = [
        Line({"loss": str(result.setting.labels["loss"])}, [x], [y])
        for (x, y), result in zip(points, results, strict=True)
    ]
    styles = styles_of(lines, losses)
    entries = {line.label: handle(line.label, style, line=False) for line, style in zip(lines, styles, strict=True)}
    frame = framed(f"{group_heading(block)}: quality against cost", explanation, BODY, list(entries.values()))
    axes = frame.figure.subplots()
    frame.place()
    grid(axes)
    for (x, y), result, style in zip(points, results, styles, strict=True):
        axes.plot([x, x], ends_of(result), color=style.colour, linewidth=1, alpha=0.4, zorder=2)
        axes.plot([x], [y], color=style.colour, linewidth=0, zorder=4, **marked(style))
    best = [points[index] for index in front(points)]
    axes.plot(*zip(*best, strict=True), color=FAINT, linewidth=1, drawstyle="steps-post", zorder=1)
    axes.axhline(block.first_stage_mean, color=FAINT, linewidth=1, dashes=(5, 3), zorder=1)
    axes.margins(x=0.08)
    set_bounds(axes, heights)
    set_amounts(axes, COSTS[key])
    axes.set_ylabel(mean_name(block.measure))
    shown = range(len(points)) if len(points) <= NAMED else front(points)
    name_points(axes, points, [_name(result) if index in shown else "" for index, result in enumerate(results)])
    return report_figure(frame, figure_name(findings, block, "cost"), "cost")


def _name(result: Result) -> str:
    words = (phrase(axis, result.setting.labels.get(axis)) for axis in result.group.axes)
    return ", ".join(filter(None, (phrase("negatives", result.setting.negatives), *words)))


def _explained(findings: Findings, block: ResultGroup, key: str, points: int) -> str:
    over = "queries and seeds" if block.seed_counts[-1] > 1 else THIS_SEED
    named = " Only points of the front are named." if points > NAMED else ""
    estimated = " as the algorithm has them" if key == "flops" else ""
    return (
        f"Cost: {COSTS[key]}{estimated}, mean over seeds. Grey steps: the front, where nothing cheaper is as good. "
        f"Bars: 95 % interval of the difference to {reference_name(findings, block)}, over {over}. "
        f"Dashed: {proper_name(block.reference)} {block.first_stage_mean:.3f}.{named}"
    )
