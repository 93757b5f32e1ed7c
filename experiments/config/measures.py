"""Whether the measures of a job can be computed, and see as many passages as they look at."""

from experiments.common.errors import ExperimentError
from experiments.config.experiment import Experiment
from experiments.config.paper_table import table_of
from experiments.evaluation.measure_names import check_computable, check_depth, cutoff_of, resolve


def check_measures(experiment: Experiment) -> None:
    """Refuse measures that cannot be computed here or look deeper than the runs, and a table of another measure.

    Raises:
        ExperimentError: the message names the measure, and what to install or set.
    """
    probe, depth = experiment.probe, experiment.first_stage_depth
    check_computable(experiment.measures)
    check_computable(probe.measures, "probe.measures")
    check_depth(experiment.measures, depth, "measures", "first_stage_depth")
    if probe.layers is not None:
        check_depth(probe.measures, probe.depth, "probe.measures", "probe.depth")
        check_depth(probe.measures[:1], depth, "probe.measures", "first_stage_depth")
    _check_table(experiment)


def check_selection(experiment: Experiment) -> None:
    """Refuse a first measure that looks at more passages than are re-ranked of a development query.

    Raises:
        ExperimentError: the message says how to raise the depth.
    """
    first, depth = experiment.measures[0], experiment.validation.depth
    cutoff = cutoff_of(first)
    if cutoff is not None and cutoff > depth:
        raise ExperimentError(
            f"measures: the first, {first}, is computed on the development queries too and looks at {cutoff:,} "
            f"passages, but validation.depth={depth}: set validation.depth={cutoff}, or name another measure first"
        )


def _check_table(experiment: Experiment) -> None:
    wanted = table_of(experiment.table).measure if experiment.table is not None else None
    if wanted is None:
        return
    (name,) = resolve([wanted], experiment.data.min_grade, "table.measure")
    if name not in experiment.measures:
        raise ExperimentError(
            f"table.measure is {wanted}, which the jobs do not measure: add {wanted} to measures (now "
            f"{', '.join(experiment.measures)}), or set table.measure=null for the first of them"
        )
