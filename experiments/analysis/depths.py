"""Results of re-ranking to several depths, by setting. Shapes: Q queries, S seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.analysis.load import JobResult
from experiments.analysis.settings import ResultGroup, SettingResult
from experiments.common.errors import ExperimentError
from experiments.evaluation.comparison import Comparison, compare
from experiments.evaluation.variance import PooledVariance, Term, pooled_variance
from experiments.job_files.per_query import DEPTHS, FloatArray


@dataclass(frozen=True)
class DepthResult:
    """A setting re-ranked to one depth.

    ``setting``: with the values at this depth. ``versus``: its difference to the first stage. ``pairs``: that are
    scored for a query, on average. ``milliseconds``: of a query; None if unknown.
    """

    depth: int
    setting: SettingResult
    versus: Comparison
    pairs: float
    milliseconds: float | None


def depth_results(group: ResultGroup) -> list[list[DepthResult]]:
    """Return for each setting of a group its results by depth, ascending; settings of a single depth are left out.

    Raises:
        ExperimentError: a table of a depth lacks the measure.
    """
    settings = [(setting, depths) for setting in group.settings if len(depths := _depths(setting, group)) > 1]
    at = {(number, depth): _at(setting, group, depth)
          for number, (setting, depths) in enumerate(settings) for depth in depths}  # fmt: skip
    pools: dict[int, PooledVariance | None] = {}
    for depth in {depth for _, depth in at}:
        alike = [setting for (_, other), setting in at.items() if other == depth]
        pools[depth] = pooled_variance([[Term(1.0, setting.values_SQ, setting.models)] for setting in alike])
    return [
        [_result(at[number, depth], group, depth, pools[depth]) for depth in depths]
        for number, (_, depths) in enumerate(settings)
    ]


def _depths(setting: SettingResult, group: ResultGroup) -> list[int]:
    """Return the depths that all jobs of a setting measured."""
    tables = [job.per_depth.get(group.first_stage, {}) for job in setting.jobs]
    return [depth for depth in tables[0] if all(depth in table for table in tables)]


def _at(setting: SettingResult, group: ResultGroup, depth: int) -> SettingResult:
    return replace(setting, values_SQ=np.stack([_values(job, group, depth) for job in setting.jobs]))


def _values(job: JobResult, group: ResultGroup, depth: int) -> FloatArray:
    table = job.per_depth[group.first_stage][depth].ordered(group.query_ids)
    if group.measure not in table.reranked:
        raise ExperimentError(f"the job {job.name} has no {group.measure} at depth {depth} of {group.first_stage}")
    return table.reranked[group.measure]


def _result(setting: SettingResult, group: ResultGroup, depth: int, pool: PooledVariance | None) -> DepthResult:
    versus = compare(setting.values_SQ, group.first_stage_Q[np.newaxis], setting.seeds, None, 0, pool)
    parts = [part.test[group.first_stage] for job in setting.jobs for part in job.parts]
    queries, costs = [int(part["queries"]) for part in parts], [part[DEPTHS][str(depth)] for part in parts]
    pairs = sum(cost["pairs"] for cost in costs) / sum(queries)
    return DepthResult(depth, setting, versus, pairs, _mean([cost.get("ms_per_query") for cost in costs], queries))


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if len(known) == len(values) else None
