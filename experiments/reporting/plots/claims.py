"""Draw a study's claims as a forest plot: each estimate with its interval, a zero line, and the verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.analysis.claims import Verdict
from experiments.analysis.findings import Findings
from experiments.common.text import difference, plural
from experiments.evaluation.comparison import QUERIES, Comparison
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import THIS_SEED
from experiments.reporting.plots.figure import ReportFigure, report_figure
from experiments.reporting.plots.style import COLOURS, FAINT, GRID, INK, PAPER, framed, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 8.0  # inches
LEFT, RIGHT = 3.35, 2.05  # inches for the claim left, and for its estimate right of the axes
LETTERS = 50  # per line of a claim
LINE, GAP = 0.155, 0.17  # inches per line of a claim, and between two claims
COLOUR = {"supported": COLOURS[2], "contradicted": COLOURS[1], "undecided": FAINT}
MARKER = {"supported": "o", "contradicted": "X", "undecided": "o"}


def forest(findings: Findings) -> list[ReportFigure]:
    """Return one figure of all claims that have an estimate, if any."""
    known = [(verdict, verdict.estimate) for verdict in findings.verdicts if verdict.estimate is not None]
    if not known:
        return []
    explanation = _explained(findings, [verdict for verdict, _ in known])
    claims = [wrapped(verdict.claim.says, LETTERS) for verdict, _ in known]
    heights = [LINE * max(2, len(lines)) + GAP for lines in claims]
    body = sum(heights) + 0.6
    frame = framed(f"Claims, {findings.title}", explanation, body, width=WIDTH)
    axes = frame.figure.subplots()
    height = body + frame.header
    frame.figure.subplots_adjust(
        left=LEFT / WIDTH, right=1 - RIGHT / WIDTH, bottom=0.5 / height, top=1 - (frame.header + 0.1) / height
    )
    axes.set_ylim(-sum(heights), 0)
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    top = 0.0
    for (verdict, estimate), lines, room in zip(known, claims, heights, strict=True):
        _row(axes, top - room / 2, verdict, estimate, "\n".join(lines))
        top -= room
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_xlabel(f"difference in {mean_name(findings.measure)}")
    axes.margins(x=0.06)
    return [report_figure(frame, "claims", "claims")]


def _row(axes: "Axes", y: float, verdict: Verdict, estimate: Comparison, says: str) -> None:
    colour = COLOUR.get(verdict.state, FAINT)
    decided = verdict.state != "undecided"
    margin = verdict.claim.margin
    if margin is not None and not verdict.claim.relative:
        axes.plot([-margin, margin], [y, y], color=GRID, linewidth=9, solid_capstyle="butt", zorder=0)
    if len(verdict.pairs) > 1:
        means = [pair.comparison.mean for pair in verdict.pairs]
        axes.plot(means, [y] * len(means), "|", color=colour, markersize=9, alpha=0.6, zorder=1)
    axes.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.6, zorder=2)
    axes.plot(
        [estimate.mean],
        [y],
        MARKER.get(verdict.state, "o"),
        color=colour,
        markersize=7,
        markeredgecolor=PAPER if decided else colour,
        markerfacecolor=colour if decided else PAPER,
        zorder=3,
    )
    placed: dict[str, Any] = {"textcoords": "offset points", "va": "center", "annotation_clip": False}
    placed |= {"xycoords": axes.get_yaxis_transform(), "size": 8}
    axes.annotate(says, (0, y), (-8, 0), ha="right", linespacing=1.25, **placed)
    axes.annotate(difference(estimate.mean, estimate.low, estimate.high), (1, y), (8, 5.5), **placed)
    axes.annotate(verdict.state, (1, y), (8, -5.5), color=colour, weight="bold", **placed)


def _explained(findings: Findings, judged: Sequence[Verdict]) -> str:
    over = sorted({verdict.estimate.over for verdict in judged if verdict.estimate is not None})
    sample = " or, with one seed, over ".join(THIS_SEED if name == QUERIES else name for name in reversed(over))
    sentences = [f"Estimates with their 95 % intervals, over {sample}."]
    if any(len(verdict.pairs) > 1 for verdict in judged):
        sentences.append("Ticks: the pairs that an estimate averages.")
    if any(verdict.claim.kind in ("rises", "falls") for verdict in judged):
        sentences.append("For a rise or a fall: the slope, by doubling or by layer.")
    if any(verdict.claim.margin is not None and not verdict.claim.relative for verdict in judged):
        sentences.append("Grey: the margin within which two settings count as equal.")
    sentences.append("Verdicts are corrected for the number of claims; a single interval is not.")
    if missing := len(findings.verdicts) - len(judged):
        sentences.append(f"Not yet measured: {plural(missing, 'claim')}.")
    return " ".join(sentences)
