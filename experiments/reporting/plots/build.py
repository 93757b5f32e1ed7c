"""Draw the figures of a study's report."""

from experiments.analysis.findings import Findings
from experiments.reporting.plots.figure import ReportFigure
from experiments.reporting.plots.style import styled


@styled
def figures_of(findings: Findings) -> list[ReportFigure]:
    """Return every figure that has data, in the report's order.

    Raises:
        ExperimentError: a job's history or its table of probed layers cannot be read.
    """
    from experiments.reporting.plots.by_depth import by_depth
    from experiments.reporting.plots.by_negatives import by_negatives, by_pairs
    from experiments.reporting.plots.claims import forest
    from experiments.reporting.plots.cost import cost_against_quality
    from experiments.reporting.plots.diagnostics import over_training
    from experiments.reporting.plots.layers import over_layers
    from experiments.reporting.plots.training_curves import over_steps

    losses = sorted({str(setting.labels["loss"]) for group in findings.groups for setting in group.settings})
    return [
        *by_negatives(findings, losses),
        *by_pairs(findings, losses),
        *by_depth(findings, losses),
        *over_layers(findings, losses),
        *over_steps(findings, losses),
        *over_training(findings, losses),
        *cost_against_quality(findings, losses),
        *forest(findings),
    ]
