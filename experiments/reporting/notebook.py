"""Read a study in a notebook: pandas DataFrames of results, comparisons with intervals, and the report's figures.

>>> import experiments
>>> study = experiments.load("outputs/quickstart")  # or its archive, "sweeps/results/quickstart.zip"
>>> study.results[["loss", "negatives", "seed", "first_stage", "RR@10", "train_seconds"]]
>>> study.settings.sort_values("mean")[["loss", "negatives", "mean", "low", "high", "p_holm"]]
>>> study.per_query.pivot_table("value", "query_id", ["loss", "negatives", "seed"])
>>> study.compare({"loss": "lce"}, {"loss": "bce"})  # at equal numbers of negatives, a row each
>>> study.compare({"loss": "lce"}, {"loss": "bce"}, average=True).loc[0, ["difference", "low", "high", "p"]]
>>> study.compare({"loss": "lce", "negatives": 7}, measure="nDCG@10")  # with the first stage
>>> list(study.figures())
>>> study.figure("rr10_by_negatives.bm25").savefig("figure.pdf")

DataFrames need pandas, the extra ``notebook``. Shapes: Q queries, S seeds.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.analysis.combine import PROJECT, Combined, combine
from experiments.analysis.contrasts import find
from experiments.analysis.findings import Findings
from experiments.analysis.label_matching import matching
from experiments.analysis.load import JobResult
from experiments.analysis.settings import ResultGroup, group_results
from experiments.common.errors import ExperimentError
from experiments.config.paper_table import Claim
from experiments.evaluation.comparison import Comparison, compare, contrast
from experiments.evaluation.variance import Term
from experiments.job_files.archive import as_given, study_folder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = ("low", "high", "p", "over", "wins", "ties", "losses", "queries", "seeds", "detectable")  # of a comparison

Labels = Mapping[str, Any]


def load(
    *places: str | Path,
    measure: str | None = None,
    project: str = PROJECT,
    entity: str | None = None,
    offline: bool = False,
) -> "Study":
    """Read studies. The arguments are those of ``experiments.analysis.combine.combine``; a place may be an archive.

    Raises:
        ExperimentError: a study is missing or has no finished job, or the jobs do not fit in one table.
    """
    if not places:
        raise ExperimentError('load: name the folder of a study: experiments.load("outputs/quickstart")')
    try:
        folders = [str(study_folder(Path(place))) for place in places]
        return Study(combine(folders, measure, project, entity, offline))
    except ExperimentError as error:
        raise ExperimentError(as_given(error)) from error


class Study:
    """Hold the finished jobs of one or several studies as tables.

    ``findings``: the report's content as objects. ``sources``: places of the jobs, with the number of finished ones.
    ``remarks``: on jobs that several studies share.
    """

    def __init__(self, combined: Combined) -> None:
        self.findings: Findings = combined.findings
        self.sources, self.remarks = tuple(map(as_given, combined.sources)), combined.remarks

    def __repr__(self) -> str:
        return f"<Study {self.findings.title!r} by {self.findings.measure}: {'; '.join(self.sources)}>"

    @cached_property
    def results(self) -> "pd.DataFrame":
        """One row per job and first stage: labels, means, the first stage's means (``first_stage:RR@10``), costs."""
        rows = []
        for group, job, labels in self._jobs():
            table = job.per_query[group.first_stage]
            means = {name: float(values_Q.mean()) for name, values_Q in table.columns.items()}
            costs = {name: value for name, value in job.compute.items() if not isinstance(value, Mapping)}
            rows.append({**labels, **means, **costs, "job": job.name, "hash": job.hash})
        return _pandas().DataFrame(rows)

    @cached_property
    def per_query(self) -> "pd.DataFrame":
        """One row per job, first stage, query and measure, with ``value`` and ``first_stage_value``."""
        pandas, frames = _pandas(), []
        for group, job, labels in self._jobs():
            table = job.per_query[group.first_stage]
            for measure, values_Q in table.reranked.items():
                own_Q = table.first_stage.get(measure, np.full(len(values_Q), np.nan))
                query_ids = np.array(table.query_ids, dtype=object)
                columns = {"query_id": query_ids, "measure": measure, "value": values_Q, "first_stage_value": own_Q}
                frames.append(pandas.DataFrame({**labels, "job": job.name, **columns}))
        return pandas.concat(frames, ignore_index=True)

    @cached_property
    def settings(self) -> "pd.DataFrame":
        """One row per setting and first stage, seeds averaged.

        ``low`` to ``high``: 95 % interval of ``mean``, over queries or seeds as ``over`` says; ``sd`` is over seeds.
        ``difference``: to ``reference``, with its interval and ``p``; ``p_holm`` is corrected for all rows of several
        seeds. With one seed the interval is over this seed's queries only, and there is no p value.
        """
        rows = []
        for result in self.findings.results:
            setting, group, versus = result.setting, result.group, result.comparison
            own = contrast([Term(1.0, setting.values_SQ, setting.models)], 0, group.seeds_variance)
            measured: dict[str, Any] = {"measure": setting.measure, "mean": own.mean, "low": own.low, "high": own.high}
            measured |= {"over": own.over, "sd": setting.sd, "seeds": len(setting.jobs), "queries": own.queries}
            compared: dict[str, Any] = {"reference": self.findings.reference[group.data, group.first_stage]}
            if versus is not None:
                compared |= {"difference": versus.mean, "difference_low": versus.low, "difference_high": versus.high}
                compared |= {"p": versus.p if versus.over_seeds else None, "p_holm": result.p_holm}
            rows.append({**setting.labels, **measured, **compared})
        return _pandas().DataFrame(rows)

    def compare(
        self,
        a: Labels,
        b: Labels | None = None,
        measure: str | None = None,
        where: Labels | None = None,
        average: bool = False,
    ) -> "pd.DataFrame":
        """Compare settings that differ in the labels ``a`` and ``b`` alone: one row per pair, or their ``average``.

        ``difference`` is the mean of ``a`` minus the mean of ``b``, query by query; interval and p value are over
        queries and seeds (``experiments.evaluation.comparison``), not corrected for the number of rows. No row takes
        the seeds to vary less than they do on average over all rows. With one seed there is no p value.

        ``a``: labels, such as ``{"loss": "lce"}``; a list names alternatives. ``b``: the same labels with other values;
        None for the first stage that ``a`` re-ranks. ``measure``: None for the study's. ``where``: labels of both.

        Raises:
            ExperimentError: no setting, pair or measure matches.
        """
        groups = self.findings.groups if measure is None else group_results(self.findings.jobs, measure)
        where = dict(where or {})
        if b is None:
            if average:
                raise ExperimentError("compare: average=True averages pairs of settings: name the other setting as b")
            return _pandas().DataFrame(_with_first_stage(groups, {**where, **a}))
        if set(a) != set(b):
            raise ExperimentError(f"compare: a and b must name the same labels, not {', '.join(a)} and {', '.join(b)}")
        claim = Claim(says=f"{dict(a)} against {dict(b)}", kind="beats", where=where, better=a, worse=b)
        settings = [setting for group in groups for setting in group.settings]
        contrasts = find(claim, settings, {})
        if contrasts.average is None:
            raise ExperimentError(f"compare: {contrasts.lacking}")
        if contrasts.lacking:
            warnings.warn(contrasts.lacking, stacklevel=2)
        shown = [contrasts.average] if average else contrasts.pairs
        by = " and ".join(dict.fromkeys(group.measure for group in groups))
        rows = [{**pair.labels, "measure": by, **_columns(pair.comparison)} for pair in shown]
        return _pandas().DataFrame(rows)

    def figures(self) -> "dict[str, Figure]":
        """Return the report's figures, as matplotlib figures by file name.

        Raises:
            ExperimentError: a job's history or its table of probed layers cannot be read.
        """
        return dict(self._figures)

    def figure(self, name: str) -> "Figure":
        """Return one figure of the report.

        Raises:
            ExperimentError: no figure has this name.
        """
        if name not in self._figures:
            raise ExperimentError(f"there is no figure {name!r}: choose from {', '.join(self._figures)}")
        return self._figures[name]

    @cached_property
    def _figures(self) -> "dict[str, Figure]":
        from experiments.reporting.plots.build import figures_of

        return {drawn.name: drawn.figure for drawn in figures_of(self.findings)}

    def _jobs(self) -> Iterator[tuple[ResultGroup, JobResult, dict[str, Any]]]:
        for group in self.findings.groups:
            for setting in group.settings:
                for job in setting.jobs:
                    yield group, job, {**setting.training, "seed": job.seed, "first_stage": group.first_stage}


def _with_first_stage(groups: Sequence[ResultGroup], labels: Labels) -> list[dict[str, Any]]:
    """Compare each setting that has the given labels with the first stage it re-ranks."""
    wanted = matching([setting for group in groups for setting in group.settings], labels, {})
    if not wanted:
        raise ExperimentError(f"compare: no finished setting has {dict(labels)}")
    rows = []
    for group in groups:
        for setting in group.settings:
            if any(setting is match for match in wanted):
                first_stage_SQ = group.first_stage_Q[np.newaxis]
                versus = compare(setting.values_SQ, first_stage_SQ, setting.seeds, None, 0, group.seeds_variance)
                rows.append({**setting.labels, "measure": setting.measure, **_columns(versus)})
    return rows


def _columns(comparison: Comparison) -> dict[str, Any]:
    shown = {name: getattr(comparison, name) for name in SHOWN}
    return {"difference": comparison.mean, **shown, "p": comparison.p if comparison.over_seeds else None}


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ExperimentError("DataFrames need pandas: pip install 'rerank-ablations[notebook]'") from error
    return pandas
