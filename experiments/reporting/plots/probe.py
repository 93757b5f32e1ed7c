"""A probed model as pictures: its first measure over the layers, a line a pooling, in the colours of the other
pictures; one picture for the whole collection and one for each first stage that is re-ranked.

The first stage and, if it was probed too, the untrained backbone stand beside it. The lines of the backbone are dashed
and its markers hollow; they are references and have no bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.common.errors import ExperimentError
from experiments.common.text import proper_name
from experiments.probing.evaluate_layers import WHOLE, ProbeCell, ProbeResult
from experiments.reporting.plots.label_placement import Label, write_labels
from experiments.reporting.plots.line_styles import NAMES
from experiments.reporting.plots.style import COLOURS, DASHES, DPI, FAINT, HEIGHT, MARKERS, STYLE, WIDTH, grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DODGE = 0.03  # layers between two lines' points of one layer
MARGIN = 0.25  # layers left free at both sides
PAIRED = {
    "self": "each text paired with itself",
    "single": "each text alone",
    "query_empty": "each text after an empty query",
}


@dataclass(frozen=True)
class _Line:
    """One pooling of one model. ``control``: of the untrained backbone."""

    pooling: str
    cells: Sequence[ProbeCell]
    control: bool

    @property
    def label(self) -> str:
        name = NAMES.get(self.pooling, self.pooling)
        return f"{name}, untrained" if self.control else name


def draw_probe(result: ProbeResult, folder: Path, data: str, control: ProbeResult | None = None) -> list[Path]:
    """Draw all pictures as PNG and SVG into ``folder``; the paths of the files.

    ``data``: the collection's name. ``control``: the untrained backbone, probed with the same settings.

    Raises:
        ExperimentError: the control was probed otherwise.
    """
    import matplotlib

    check_control(result, control)
    paths: list[Path] = []
    with matplotlib.rc_context(STYLE):
        for candidates in (WHOLE, *result.first_stages):
            figure = probe_figure(result, candidates, data, control)
            for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
                paths.append(folder / f"{picture_name(result, candidates)}.{suffix}")
                figure.savefig(paths[-1], dpi=DPI, metadata=metadata)
    return paths


def picture_name(result: ProbeResult, candidates: str) -> str:
    """The file name without its ending: ``rr10_by_layer.whole_collection``."""
    measure = "".join(letter for letter in result.measure.lower() if letter.isalnum())
    return f"{measure}_by_layer.{candidates}"


def check_control(result: ProbeResult, control: ProbeResult | None) -> None:
    """Refuse a control whose values cannot stand beside the result's.

    Raises:
        ExperimentError: other queries, or other settings than the layers.
    """
    if control is None:
        return
    own, other = (
        {"queries": list(one.queries), **{key: value for key, value in one.settings.items() if key != "layers"}}
        for one in (result, control)
    )
    different = [key for key in own if own[key] != other[key]]
    if different:
        raise ExperimentError(
            f"{control.model!r} was probed with another {different[0]} than {result.model!r}: probe both alike"
        )


def probe_figure(result: ProbeResult, candidates: str, data: str, control: ProbeResult | None = None) -> "Figure":
    """The first measure over the layers on ``candidates``, with the 95 % interval of its difference to the first
    stage.
    """
    from matplotlib.figure import Figure

    lines = [
        line
        for found, other in ((result, False), (control, True))
        if found is not None
        for pooling in found.settings["pooling"]
        if (line := _Line(pooling, _drawn(found, pooling, candidates), other)).cells
    ]
    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.subplots()
    _set_axes(axes, result.settings["layers"], result.measure)
    poolings = list(result.settings["pooling"])
    labels = []
    for index, line in enumerate(lines):
        shift = DODGE * (index - (len(lines) - 1) / 2)
        labels.append(_draw_line(axes, line, poolings.index(line.pooling), shift))
    references = [candidates] if candidates != WHOLE else list(result.first_stages)
    for name in references:
        level = result.first_stages[name][result.measure]
        axes.axhline(level, color=FAINT, linewidth=1, dashes=(5, 3), zorder=1)
        labels.append(Label(f"{proper_name(name)} {level:.3f}", FAINT, axes.get_xlim()[1], level))
    axes.set_ylim(bottom=0)
    write_labels(axes, labels)
    where = f"{data}, {len(result.queries):,} test queries"
    title = f"Layers on {where}" if candidates == WHOLE else f"Layers re-ranking {proper_name(candidates)} on {where}"
    figure.text(0.02, 0.965, title, size=11, weight="bold", va="top")
    explanation = _explanation(result, candidates, references)
    figure.text(0.02, 0.905, explanation, size=7.5, color=FAINT, va="top", linespacing=1.35)
    widest = max(len(label.text) for label in labels)
    figure.subplots_adjust(left=0.115, right=max(0.45, 0.95 - 0.0122 * widest), bottom=0.125, top=0.8)
    return figure


def _drawn(result: ProbeResult, pooling: str, candidates: str) -> list[ProbeCell]:
    """The cells of a line. Left out are re-rankings that mostly keep the first stage's order because scores are tied:
    they would stand at its level as if the layer were as good.
    """
    return [
        cell for cell in result.cells if (cell.pooling, cell.candidates) == (pooling, candidates) and not cell.undecided
    ]


def _set_axes(axes: "Axes", layers: Sequence[int], measure: str) -> None:
    axes.set_xlim(layers[0] - MARGIN, layers[-1] + MARGIN)
    axes.set_xticks(layers, [str(layer) for layer in layers])
    grid(axes)
    axes.set_xlabel("layer (0: the embeddings)" if 0 in layers else "layer")
    axes.set_ylabel(measure)


def _draw_line(axes: "Axes", line: _Line, index: int, shift: float) -> Label:
    """Draw one line with its intervals, moved by ``shift`` layers; its label."""
    colour = COLOURS[index % len(COLOURS)]
    x = [cell.layer + shift for cell in line.cells]
    y = [next(iter(cell.mean.values())) for cell in line.cells]
    gaps = [gap for cell in line.cells for gap in list(cell.differences.values())[:1]]
    if gaps and not line.control:
        bars = [[gap.mean - gap.low for gap in gaps], [gap.high - gap.mean for gap in gaps]]
        axes.errorbar(x, y, yerr=bars, fmt="none", ecolor=colour, elinewidth=1, capsize=2, alpha=0.75, zorder=2)
    axes.plot(
        x,
        y,
        color=colour,
        linewidth=1.6,
        dashes=DASHES[1 if line.control else 0],
        marker=MARKERS[index % len(MARKERS)],
        markersize=5.5,
        markeredgecolor=colour if line.control else "white",
        markeredgewidth=0.9 if line.control else 0.6,
        markerfacecolor="white" if line.control else colour,
        zorder=3,
    )
    return Label(line.label, colour, x[-1], y[-1])


def _explanation(result: ProbeResult, candidates: str, references: Sequence[str]) -> str:
    settings = result.settings
    task = "the whole collection searched" if candidates == WHOLE else f"{proper_name(candidates)}'s passages re-ranked"
    read = f"{PAIRED[settings['pairing']]}; {settings['similarity']}"
    read += ", standardised" if settings["whiten"] == "standardise" else ""
    lines = [f"Hidden states as embeddings: {read}; {task}."]
    if any(cell.differences for cell in result.cells):
        lines.append(f"Bars: 95 % interval of the difference to {proper_name(references[0])}, paired bootstrap.")
    tied = [one for one in result.cells if one.candidates == candidates and one.undecided]
    if tied:
        names = ", ".join(f"layer {one.layer} {NAMES.get(one.pooling, one.pooling)}" for one in tied)
        lines[-1] += f" Not drawn, as its scores are tied: {names}."
    return "\n".join(lines)
