"""Cost against quality: what each setting's training took and what came of it, and the front of those that no other
beats in both.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.analysis.settings import Block
from experiments.common.text import heading, proper_name
from experiments.reporting.plots.by_negatives import ends_of, picture_name
from experiments.reporting.plots.figure import Picture
from experiments.reporting.plots.label_placement import name_points
from experiments.reporting.plots.line_styles import Line, handle, looks_of, marked, word_of
from experiments.reporting.plots.style import FAINT, cut, framed, grid, set_amounts, set_bounds
from experiments.reporting.tables.results import reference_of, results_of

if TYPE_CHECKING:
    from experiments.analysis.findings import Findings, Result

BODY = 3.4  # inches
NAMED = 16  # points that can all have a name
# What a training costs, the best known first: key of ``compute`` -> its name.
COSTS = {"flops": "floating-point operations of the training", "train_seconds": "seconds of the training"}


def cost_against_quality(findings: "Findings", losses: Sequence[str]) -> list[Picture]:
    """A picture for each first stage that two settings or more re-rank whose trainings' cost is known."""
    pictures = []
    for block in findings.blocks:
        results = results_of(findings, block)
        for key in COSTS:
            costs = [result.cell.compute(key) for result in results]
            known = [(cost, result) for cost, result in zip(costs, results, strict=True) if cost]
            if len(known) == len(results) and len({cost for cost, _ in known}) > 1:
                pictures.append(_picture(findings, block, key, sorted(known, key=lambda one: one[0]), losses))
                break
    return pictures


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points, by cost and quality, no other has both at most the cost and at least the quality of (one of them
    strictly); by cost.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    found: list[int] = []
    for index in order:
        if not found or points[index][1] > points[found[-1]][1]:
            found.append(index)
    return found


def _picture(
    findings: "Findings", block: Block, key: str, known: Sequence[tuple[float, "Result"]], losses: Sequence[str]
) -> Picture:
    results = [result for _, result in known]
    points = [(cost, result.mean) for cost, result in known]
    title = f"{heading(block)}: quality against cost"
    heights = [block.first_stage_mean, *(result.mean for result in results)]
    explanation = _explained(findings, block, key, len(points))
    explanation += cut(heights, [end for result in results for end in ends_of(result)])
    lines = [
        Line({"loss": str(one.cell.labels["loss"])}, [x], [y]) for (x, y), one in zip(points, results, strict=True)
    ]
    looks = looks_of(lines, losses)
    told = {line.label: handle(line.label, look, line=False) for line, look in zip(lines, looks, strict=True)}
    frame = framed(title, explanation, BODY, list(told.values()))
    axes = frame.figure.subplots()
    frame.place()
    grid(axes)
    for (x, y), result, look in zip(points, results, looks, strict=True):
        axes.plot([x, x], ends_of(result), color=look.colour, linewidth=1, alpha=0.4, zorder=2)
        axes.plot([x], [y], color=look.colour, linewidth=0, zorder=4, **marked(look))
    best = [points[index] for index in front(points)]
    axes.plot(*zip(*best, strict=True), color=FAINT, linewidth=1, drawstyle="steps-post", zorder=1)
    axes.axhline(block.first_stage_mean, color=FAINT, linewidth=1, dashes=(5, 3), zorder=1)
    axes.margins(x=0.08)
    set_bounds(axes, heights)
    set_amounts(axes, COSTS[key])
    axes.set_ylabel(findings.measure)
    shown = range(len(points)) if len(points) <= NAMED else front(points)
    name_points(axes, points, [_name(result) if index in shown else "" for index, result in enumerate(results)])
    return Picture(picture_name(findings, block, "cost"), "cost", title, explanation, frame.figure, frame.heading)


def _name(result: "Result") -> str:
    """All that tells a point from others of its loss."""
    words = [word_of("negatives", result.cell.negatives)]
    words += [word_of(axis, result.cell.labels.get(axis)) for axis in result.block.axes]
    return ", ".join(word for word in words if word)


def _explained(findings: "Findings", block: Block, key: str, points: int) -> str:
    over = "queries and seeds" if block.seed_counts[-1] > 1 else "queries"
    named = " Only points of the front are named." if points > NAMED else ""
    estimated = " as the algorithm has them" if key == "flops" else ""
    return (
        f"Cost: {COSTS[key]}{estimated}, mean over seeds. Grey steps: the front, where nothing cheaper is as good. "
        f"Bars: 95 % interval of the difference to {reference_of(findings, block)}, over {over}. "
        f"Dashed: {proper_name(block.reference)} {block.first_stage_mean:.3f}.{named}"
    )
