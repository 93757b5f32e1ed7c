"""Check that a job's measures can be computed and that the runs are deep enough for them."""

from experiments.common.errors import ExperimentError
from experiments.config.experiment import Experiment
from experiments.config.paper_table import table_of
from experiments.evaluation.measure_names import check_computable, check_depth, cutoff_of, resolve


def check_measures(experiment: Experiment) -> None:
    """Raise ExperimentError if a measure cannot be computed or needs deeper runs, or the table's is not measured."""
    probe, depth = experiment.probe, experiment.rerank_depth
    check_computable(experiment.measures)
    check_computable(probe.measures, "probe.measures")
    check_depth(experiment.measures, depth, "measures", "first_stage_depth")
    if probe.layers is not None:
        check_depth(probe.measures, probe.depth, "probe.measures", "probe.depth")
        check_depth(probe.measures[:1], depth, "probe.measures", "first_stage_depth")
    wanted = table_of(experiment.table).measure if experiment.table is not None else None
    if wanted is not None:
        (name,) = resolve([wanted], experiment.data.min_grade, "table.measure")
        if name not in experiment.measures:
            raise ExperimentError(
                f"table.measure is {wanted}, which the jobs do not measure: add {wanted} to measures (now "
                f"{', '.join(experiment.measures)}), or set table.measure=null for the first of them"
            )


def check_selection(experiment: Experiment) -> None:
    """Raise ExperimentError if the first measure needs more passages than are re-ranked for a dev query."""
    if not experiment.model.trains:
        return
    first, depth = experiment.measures[0], experiment.validation.depth
    cutoff = cutoff_of(first)
    if cutoff is not None and cutoff > depth:
        raise ExperimentError(
            f"measures: the first, {first}, is computed on the development queries too and looks at {cutoff:,} "
            f"passages, but validation.depth={depth}: set validation.depth={cutoff}, or name another measure first"
        )
