"""The pictures of a study's report, in its order; as files, and as SVG for its page."""

from typing import TYPE_CHECKING

from experiments.reporting.plots.figure import Picture, svg, write_pictures

if TYPE_CHECKING:
    from experiments.analysis.findings import Findings

__all__ = ["Picture", "pictures_of", "svg", "write_pictures"]


def pictures_of(findings: "Findings") -> list[Picture]:
    """Every picture that there is something to draw for: curves over negatives, computing, layers and steps, the
    diagnostics of the losses, cost against quality, and the claims.

    Raises:
        ExperimentError: a job's history or its table of probed layers cannot be read; the message names file and line.
    """
    import matplotlib

    from experiments.reporting.plots.by_negatives import by_negatives, by_pairs
    from experiments.reporting.plots.claims import forest
    from experiments.reporting.plots.cost import cost_against_quality
    from experiments.reporting.plots.diagnostics import over_training
    from experiments.reporting.plots.layers import over_layers
    from experiments.reporting.plots.style import STYLE
    from experiments.reporting.plots.training_curves import over_steps

    losses = sorted({str(cell.labels["loss"]) for block in findings.blocks for cell in block.cells})
    with matplotlib.rc_context(STYLE):
        return [
            *by_negatives(findings, losses),
            *by_pairs(findings, losses),
            *over_layers(findings, losses),
            *over_steps(findings, losses),
            *over_training(findings, losses),
            *cost_against_quality(findings, losses),
            *forest(findings),
        ]
