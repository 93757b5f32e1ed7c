"""Compare settings over several test sets, with the set as a factor.

Demšar 2006 (JMLR 7, sections 3.2.2 and 4.1): rank the settings within each set, average the ranks, test by Friedman's
test, and by Nemenyi's whether two average ranks differ. Queries of one set are no independent evidence about another,
so an interval of a difference is over the sets alone.

Shapes: S settings, D test sets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.analysis.settings import FIRST_STAGE, ResultGroup, SettingResult
from experiments.evaluation.measure_names import min_grade_in, unresolved
from experiments.evaluation.significance import FloatArray, Interval

LEVEL = 0.05
OF_A_SET = (FIRST_STAGE, "data")  # labels that name no setting


@dataclass(frozen=True)
class OverSets:
    """Settings that were measured on the same test sets.

    ``sets``: names of the data. ``labels``: of each setting. ``means_SD``: over seeds, queries and the first stages of
    a set. ``ranks_S``: average ranks, 1 for the best. ``friedman_p``: of equal settings; None for fewer than three
    settings or sets. ``critical_difference``: by Nemenyi, of two average ranks at the 5 % level; None likewise.
    """

    measure: str
    sets: tuple[str, ...]
    labels: tuple[Mapping[str, Any], ...]
    means_SD: FloatArray
    ranks_S: FloatArray
    friedman_p: float | None
    critical_difference: float | None

    @property
    def best(self) -> int:
        """The index of the setting with the highest mean over sets."""
        return int(self.means_SD.mean(axis=1).argmax())

    def difference_to_best(self, setting: int) -> Interval:
        """Return the mean over sets of a setting's difference to the best, with Student's 95 % interval over sets."""
        return mean_over_sets(self.means_SD[setting] - self.means_SD[self.best])


def over_sets(groups: Sequence[ResultGroup]) -> list[OverSets]:
    """Return the comparison over test sets (``tests``) for each measure that two or more sets have; settings that lack
    a set are left out, and so is a comparison of fewer than two settings.
    """
    by_measure: dict[str, list[ResultGroup]] = {}
    for group in groups:
        jobs = [job for setting in group.settings for job in setting.jobs]
        if all(job.config.get("test_set") for job in jobs):
            by_measure.setdefault(unresolved(group.measure, min_grade_in(jobs[0].config)), []).append(group)
    compared = [_compared(measure, members) for measure, members in by_measure.items()]
    return [one for one in compared if len(one.sets) > 1 and len(one.labels) > 1]


def _compared(measure: str, groups: Sequence[ResultGroup]) -> OverSets:
    means: dict[str, dict[str, list[float]]] = {}  # setting -> data -> a mean for each first stage
    labels: dict[str, Mapping[str, Any]] = {}
    for group in groups:
        for setting in group.settings:
            own = _labels(setting)
            key = repr(sorted(own.items(), key=str))
            labels.setdefault(key, own)
            means.setdefault(key, {}).setdefault(group.data, []).append(setting.mean)
    sets = tuple(dict.fromkeys(group.data for group in groups))
    wanted = {data: sum(group.data == data for group in groups) for data in sets}
    whole = [key for key, found in means.items() if {data: len(found.get(data, ())) for data in sets} == wanted]
    means_SD = np.array([[np.mean(means[key][data]) for data in sets] for key in whole]).reshape(len(whole), len(sets))
    ranks_SD = _ranks(means_SD)
    testable = len(whole) > 2 and len(sets) > 2
    return OverSets(
        measure=measure,
        sets=sets,
        labels=tuple(labels[key] for key in whole),
        means_SD=means_SD,
        ranks_S=ranks_SD.mean(axis=1) if whole else np.empty(0),
        friedman_p=friedman(means_SD) if testable else None,
        critical_difference=nemenyi(len(whole), len(sets)) if testable else None,
    )


def _labels(setting: SettingResult) -> Mapping[str, Any]:
    return {label: value for label, value in setting.labels.items() if label not in OF_A_SET}


def _ranks(means_SD: FloatArray) -> FloatArray:
    """Rank settings within each set, 1 for the best; equal ones share the mean of their ranks."""
    from scipy.stats import rankdata

    ranks_SD: FloatArray = rankdata(-means_SD, axis=0) if means_SD.size else means_SD
    return ranks_SD


def friedman(means_SD: FloatArray) -> float:
    """Return the p value of Friedman's test that S >= 3 settings are equal on D sets; 1 if all tie on each."""
    from scipy.stats import friedmanchisquare

    if (means_SD == means_SD[:1]).all():
        return 1.0
    return float(friedmanchisquare(*means_SD).pvalue)


def nemenyi(settings: int, sets: int) -> float:
    """Return Nemenyi's critical difference of two average ranks at the 5 % level.

    q sqrt(S (S + 1) / (6 D)), where q is the studentised range's quantile for S groups and infinite degrees of freedom
    divided by sqrt(2) (Demšar 2006, section 3.2.2).
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - LEVEL, settings, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(settings * (settings + 1) / (6 * sets)))


def mean_over_sets(difference_D: FloatArray) -> Interval:
    """Return the mean of differences on D >= 2 sets with Student's 95 % interval."""
    from scipy.stats import t

    mean, error = float(difference_D.mean()), float(difference_D.std(ddof=1) / np.sqrt(len(difference_D)))
    half = float(t.ppf(1 - LEVEL / 2, len(difference_D) - 1)) * error
    return Interval(mean, mean - half, mean + half)
