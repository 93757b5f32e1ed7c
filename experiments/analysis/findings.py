"""Compute the findings of a study once, for the terminal, Markdown, CSV, LaTeX, the page and W&B.

Shapes: S seeds, Q queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.analysis.claims import Verdict, judge
from experiments.analysis.folds import pool
from experiments.analysis.label_matching import matches
from experiments.analysis.layers import layer_results
from experiments.analysis.load import JobResult, read_study
from experiments.analysis.settings import FIRST_STAGE, ResultGroup, SettingResult, group_results
from experiments.common.errors import ExperimentError
from experiments.config.paper_table import PaperTable, Published, table_of
from experiments.evaluation.comparison import Comparison, compare
from experiments.evaluation.significance import holm
from experiments.job_files.files import TABLE, read_yaml


@dataclass(frozen=True)
class Result:
    """A measured setting and its published value.

    ``comparison``: with the group's reference, over seeds and queries; None for the reference itself. ``p_holm``:
    corrected for the study's comparisons over seeds; None for one seed, of which none is made. ``status``: ``within``
    or ``outside`` the published tolerance; ``other data`` if measured on another collection; ``unknown`` without a
    published value; empty if none is declared.
    """

    setting: SettingResult
    group: ResultGroup
    comparison: Comparison | None
    p_holm: float | None
    published: Published | None
    status: str

    @property
    def mean(self) -> float:
        """The measure, averaged over seeds and queries."""
        return self.setting.mean

    @property
    def excludes_zero(self) -> bool | None:
        """Whether the interval excludes 0, for a mark; None if it is over the queries of one seed only."""
        if self.comparison is None or not self.comparison.over_seeds:
            return None
        return self.comparison.excludes_zero


@dataclass(frozen=True)
class Findings:
    """A study as read from its folder.

    ``table``: the published table, if its sweep declares one. ``results``: every measured setting, group by group.
    ``missing``: declared cells without a finished job. ``reference``: the compared setting in words, by (data, first
    stage). ``measure``: its name in the jobs; several names if the data sets' relevance grades differ.
    """

    folder: Path
    measure: str
    table: PaperTable | None
    jobs: tuple[JobResult, ...]
    groups: tuple[ResultGroup, ...]
    results: tuple[Result, ...]
    missing: tuple[Published, ...]
    reference: Mapping[tuple[str, str], str]
    verdicts: tuple[Verdict, ...]

    @property
    def title(self) -> str:
        """The table's title, or the folder's name."""
        return self.table.title if self.table is not None else self.folder.name


def findings_of(folder: Path, measure: str | None = None) -> Findings:
    """Read a study and compute its findings. ``measure``: None for its table's measure, or the jobs' first.

    Raises:
        ExperimentError: the folder is missing, no job has finished, the jobs do not fit in one table, or its table
            cannot be read; the message names the file and the key.
    """
    folder = Path(folder)
    return findings_from(read_study(folder), folder, read_table(folder / TABLE), measure)


def findings_from(
    jobs: Sequence[JobResult], folder: Path, table: PaperTable | None, measure: str | None = None
) -> Findings:
    """Compute the findings of jobs that were read already. ``folder``: names the study."""
    wanted = measure or (table.measure if table is not None else None)
    jobs = pool(jobs)
    groups = group_results(jobs, wanted)
    verdicts: list[Verdict] = []
    if table is not None and groups:
        settings = [setting for group in groups for setting in group.settings]
        verdicts = judge(table.claims, settings, layer_results(groups), table.stand_ins)
    results, reference = _results(groups, table)
    measured = {id(result.published) for result in results}
    declared = table.published if table is not None else ()
    return Findings(
        folder=folder,
        measure=" and ".join(dict.fromkeys(group.measure for group in groups)) or wanted or "",
        table=table,
        jobs=tuple(jobs),
        groups=tuple(groups),
        results=tuple(results),
        missing=tuple(published for published in declared if id(published) not in measured),
        reference=reference,
        verdicts=tuple(verdicts),
    )


def read_table(path: Path) -> PaperTable | None:
    """Read the table of a study; None if its sweep declared none. Raises ExperimentError naming file and key."""
    if not path.is_file():
        return None
    settings = read_yaml(path)
    try:
        return table_of(settings)
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from error


def _results(
    groups: Sequence[ResultGroup], table: PaperTable | None
) -> tuple[list[Result], dict[tuple[str, str], str]]:
    """Compare each setting with the reference of its group."""
    reference: dict[tuple[str, str], str] = {}
    compared: list[tuple[ResultGroup, SettingResult, Comparison | None]] = []
    for group in groups:
        fitting = _references(group.settings, table)
        words = _words(fitting[0], group, table) if fitting else group.reference
        reference[group.data, group.first_stage] = words
        for setting in group.settings:
            comparison = None
            own = _reference_of(setting, fitting, table)
            values_SQ, seeds = (group.first_stage_Q[np.newaxis], None) if own is None else (own.values_SQ, own.seeds)
            if setting is not own:
                pool = group.seeds_variance
                comparison = compare(setting.values_SQ, values_SQ, setting.seeds, seeds, pool=pool)
            compared.append((group, setting, comparison))
    corrected = iter(holm([comparison.p for *_, comparison in compared if comparison and comparison.over_seeds]))
    results = []
    for group, setting, comparison in compared:
        published = _published(setting, table)
        p_holm = float(next(corrected)) if comparison and comparison.over_seeds else None
        results.append(Result(setting, group, comparison, p_holm, published, _status(setting, published, table)))
    return results, reference


def _references(settings: Sequence[SettingResult], table: PaperTable | None) -> list[SettingResult]:
    """Return the settings of a group that the table's reference fits; none if the reference is the first stage."""
    if table is None or not table.reference:
        return []
    return [setting for setting in settings if matches(setting.labels, table.reference, table.stand_ins)]


def _reference_of(
    setting: SettingResult, fitting: Sequence[SettingResult], table: PaperTable | None
) -> SettingResult | None:
    """Return the reference of a setting: the only one that fits, or the one at its own other labels.

    Raises:
        ExperimentError: several fit, and none is at the setting's own other labels.
    """
    if table is None or len(fitting) < 2:
        return fitting[0] if fitting else None

    def others(labels: Mapping[str, object]) -> dict[str, object]:
        return {label: value for label, value in labels.items() if label not in table.reference}

    at_equal = [reference for reference in fitting if others(reference.labels) == others(setting.labels)]
    if len(at_equal) == 1:
        return at_equal[0]
    differing = [label for label in fitting[0].labels if len({str(other.labels.get(label)) for other in fitting}) > 1]
    raise ExperimentError(
        f"table.reference {dict(table.reference)} fits {len(fitting)} settings, and none with the other labels of "
        f"{dict(setting.labels)}: name {' and '.join(differing)} in it, too"
    )


def _words(reference: SettingResult, group: ResultGroup, table: PaperTable | None) -> str:
    """Write the reference as the labels in which other settings of the group differ."""
    named = [label for label in (table.reference if table is not None else {}) if label != FIRST_STAGE]
    own = reference.labels
    varying = [label for label in named if any(other.labels.get(label) != own.get(label) for other in group.settings)]
    return ", ".join(f"{label} {own[label]}" for label in varying or named)


def _published(setting: SettingResult, table: PaperTable | None) -> Published | None:
    if table is None:
        return None
    return next((cell for cell in table.published if matches(setting.labels, cell.where, table.stand_ins)), None)


def _status(setting: SettingResult, published: Published | None, table: PaperTable | None) -> str:
    if published is None or table is None:
        return ""
    if published.value is None:
        return "unknown"
    stands_in = any(str(value) in table.stand_ins for value in setting.labels.values())
    if stands_in or table.data is None or setting.labels.get("data") != published.where.get("data", table.data):
        return "other data"
    if table.tolerance is None:
        return ""
    return "within" if abs(setting.mean - published.value) <= table.tolerance + 1e-12 else "outside"
