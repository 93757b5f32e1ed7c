"""The pictures of a study's report, in its order; as files, and as SVG for its page."""

from typing import TYPE_CHECKING

from experiments.studies.picture import Picture, svg, write_pictures

if TYPE_CHECKING:
    from experiments.studies.findings import Findings

__all__ = ["Picture", "pictures_of", "svg", "write_pictures"]


def pictures_of(findings: "Findings") -> list[Picture]:
    """Every picture that there is something to draw for: curves over negatives, computing, layers and steps, the
    diagnostics of the losses, cost against quality, and the claims.

    Raises:
        ExperimentError: a job's history or its table of probed layers cannot be read; the message names file and line.
    """
    import matplotlib

    from experiments.studies.claims_plot import forest
    from experiments.studies.cost_plot import cost_against_quality
    from experiments.studies.diagnostics_plot import over_training
    from experiments.studies.layer_curves import over_layers
    from experiments.studies.plots import by_negatives, by_pairs
    from experiments.studies.style import STYLE
    from experiments.studies.training_curves import over_steps

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
