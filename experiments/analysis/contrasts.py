"""Find the settings that a claim compares: pairs and trends at equal other labels, and the contrasts over them."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from experiments.analysis.label_matching import matching, number_of, unknown_labels
from experiments.analysis.settings import FIRST_STAGE, SettingResult, first_stage_of
from experiments.common.errors import ExperimentError
from experiments.config.paper_table import Claim
from experiments.evaluation.comparison import Comparison, contrast
from experiments.evaluation.variance import Term, pooled_variance
from experiments.job_files.per_query import FloatArray

LAYER = "layer"
VARIANT = "variant"
TRENDS = ("rises", "falls")

# a setting and its weight in a contrast
Weighted = tuple[float, SettingResult]


@dataclass(frozen=True)
class Contrast:
    """A comparison of settings. ``labels``: where it differs from its claim's others; ``margin``: of a ``within``."""

    labels: Mapping[str, Any]
    comparison: Comparison
    margin: float = math.nan


@dataclass(frozen=True)
class ClaimContrasts:
    """The ``pairs`` of a claim (a trend's steps) and their ``average`` (a trend's slope); None and no pairs if there is
    nothing to compare. ``lacking``: a sentence on the settings that are missing or left out.
    """

    average: Contrast | None = None
    pairs: tuple[Contrast, ...] = ()
    lacking: str = ""


class _DifferentQueriesError(Exception):
    """Cells of one claim were measured on different queries."""


@dataclass
class _Matched:
    """Settings on both sides of a claim that are equal in all other labels."""

    labels: dict[str, Any]
    better: list[SettingResult] = field(default_factory=list)
    worse: list[SettingResult] = field(default_factory=list)


def find(claim: Claim, settings: Sequence[SettingResult], stand_ins: Mapping[str, str]) -> ClaimContrasts:
    """Find the settings that a claim compares; raises as ``experiments.analysis.claims.judge`` does."""
    named = {**claim.where, **claim.better, **({claim.over: "a number"} if claim.over else {})}
    if unknown := unknown_labels(settings, named):
        return ClaimContrasts(lacking=f"No finished cell has the label {worded(unknown[0])!r}.")
    how = _trend if claim.kind in TRENDS else {"improves": _improved}.get(claim.kind, _opposed)
    try:
        return how(claim, settings, stand_ins)
    except _DifferentQueriesError:
        return ClaimContrasts(
            lacking="Its cells were measured on different queries: name the data that it speaks of in its where."
        )


def worded(label: str) -> str:
    """Write a label as a word."""
    return label.replace("_", " ")


def _opposed(claim: Claim, settings: Sequence[SettingResult], stand_ins: Mapping[str, str]) -> ClaimContrasts:
    better = matching(settings, {**claim.where, **claim.better}, stand_ins)
    worse = matching(settings, {**claim.where, **claim.worse}, stand_ins)
    for side, wanted in ((better, claim.better), (worse, claim.worse)):
        if not side:
            return ClaimContrasts(lacking=f"No finished cell has {_in_words({**claim.where, **wanted})}.")
    apart = {*claim.better, *_one_sided(better, worse, claim.better), *_of_variants(better, worse, claim.better)}
    matched = _matched(better, worse, apart)
    alone = [match for match in matched if not (match.better and match.worse)]
    pairs = [(match.labels, good, bad) for match in matched for good in match.better for bad in match.worse]
    if not pairs:
        differ = ", ".join(_differing([match.labels for match in matched]))
        return ClaimContrasts(lacking=f"No two finished cells are equal in all other labels: they differ in {differ}.")
    varying = _differing([labels for labels, _, _ in pairs])
    margins = [_margin(claim, bad) for _, _, bad in pairs]
    share = 1 / len(pairs)
    average = [(sign * share, side) for _, good, bad in pairs for sign, side in ((1.0, good), (-1.0, bad))]
    overall, *single = _compared(average, [[(1.0, good), (-1.0, bad)] for _, good, bad in pairs])
    contrasts = tuple(
        Contrast({name: labels.get(name) for name in varying}, comparison, margin)
        for (labels, _, _), comparison, margin in zip(pairs, single, margins, strict=True)
    )
    return ClaimContrasts(Contrast({}, overall, float(np.mean(margins))), contrasts, _left_alone(alone, matched))


def _improved(claim: Claim, settings: Sequence[SettingResult], stand_ins: Mapping[str, str]) -> ClaimContrasts:
    wanted = {**claim.where, **claim.better}
    better = matching(settings, wanted, stand_ins)
    if not better:
        return ClaimContrasts(lacking=f"No finished cell has {_in_words(wanted)}.")
    pairs: list[list[Weighted]] = [[(1.0, setting), (-1.0, first_stage_of(setting))] for setting in better]
    average = [(weight / len(pairs), setting) for pair in pairs for weight, setting in pair]
    overall, *single = _compared(average, pairs)
    varying = _differing([setting.labels for setting in better])
    contrasts = tuple(
        Contrast({name: setting.labels.get(name) for name in varying}, comparison)
        for setting, comparison in zip(better, single, strict=True)
    )
    return ClaimContrasts(Contrast({}, overall), contrasts)


def _trend(claim: Claim, settings: Sequence[SettingResult], stand_ins: Mapping[str, str]) -> ClaimContrasts:
    over = str(claim.over)
    numbered = [
        setting
        for setting in matching(settings, claim.where, stand_ins)
        if number_of(setting.labels.get(over)) is not None
    ]
    matched = _matched(numbered, [], {over})
    ordered = [sorted(match.better, key=lambda setting: _place(claim, setting)) for match in matched]
    rows = [
        (match.labels, row)
        for match, row in zip(matched, ordered, strict=True)
        if _place(claim, row[-1]) > _place(claim, row[0])
    ]
    if not rows:
        return ClaimContrasts(lacking=_no_trend(claim, numbered, matched))
    varying = _differing([labels for labels, _ in rows])
    steps = [(labels, low, high) for labels, row in rows for low, high in pairwise(row)]
    average = [(weight / len(rows), setting) for _, row in rows for weight, setting in _slope(claim, row)]
    overall, *single = _compared(average, [[(1.0, high), (-1.0, low)] for _, low, high in steps])
    pairs = tuple(
        Contrast(
            {over: f"{low.labels[over]} to {high.labels[over]}", **{name: labels.get(name) for name in varying}},
            comparison,
        )
        for (labels, low, high), comparison in zip(steps, single, strict=True)
    )
    return ClaimContrasts(Contrast({}, overall), pairs)


def _slope(claim: Claim, row: Sequence[SettingResult]) -> list[Weighted]:
    """Return the least-squares slope over the places of a trend, as weights of the settings."""
    places = np.array([_place(claim, setting) for setting in row])
    centred = places - places.mean()
    return list(zip((centred / (centred @ centred)).tolist(), row, strict=True))


def _no_trend(claim: Claim, numbered: Sequence[SettingResult], matched: Sequence[_Matched]) -> str:
    over = str(claim.over)
    what = f" with {_in_words(claim.where)}" if claim.where else ""
    values = sorted({number_of(setting.labels[over]) or 0.0 for setting in numbered})
    if len(values) < 2:
        only = f"; there is {values[0]:g} only" if values else ""
        return f"A trend needs finished cells{what} of two or more values of {worded(over)}{only}."
    differ = ", ".join(_differing([match.labels for match in matched]))
    return f"No two finished cells{what} are equal but for {worded(over)}: they differ in {differ} too."


def _compared(average: Sequence[Weighted], pairs: Sequence[Sequence[Weighted]]) -> list[Comparison]:
    """Return the comparisons of the average and of each pair, none with less variance of seeds than all pairs have."""
    terms = [_terms(pair) for pair in pairs]
    pool = pooled_variance(terms)
    return [contrast(each, 0, pool) for each in (_terms(average), *terms)]


def _terms(weighted: Sequence[Weighted]) -> list[Term]:
    """Return weighted settings on the queries of the first; layers or first stages of one model are paired."""
    query_ids = weighted[0][1].query_ids
    weights: dict[int, float] = {}
    settings = {id(setting): setting for _, setting in weighted}
    for weight, setting in weighted:
        weights[id(setting)] = weights.get(id(setting), 0.0) + weight
    return [
        Term(weights[key], _values(setting, query_ids), setting.models or None) for key, setting in settings.items()
    ]


def _values(setting: SettingResult, query_ids: tuple[str, ...]) -> FloatArray:
    if setting.query_ids == query_ids:
        return setting.values_SQ
    if set(setting.query_ids) != set(query_ids):
        raise _DifferentQueriesError
    column = {query_id: index for index, query_id in enumerate(setting.query_ids)}
    return setting.values_SQ[:, [column[query_id] for query_id in query_ids]]


def _matched(better: Sequence[SettingResult], worse: Sequence[SettingResult], compared: Set[str]) -> list[_Matched]:
    """Match settings that are equal in all labels except ``compared``."""
    by_labels: dict[str, _Matched] = {}
    for side, settings in (("better", better), ("worse", worse)):
        for setting in settings:
            labels = {
                name: value for name, value in setting.labels.items() if value is not None and name not in compared
            }
            match = by_labels.setdefault(json.dumps(labels, sort_keys=True, default=str), _Matched(labels))
            getattr(match, side).append(setting)
    return list(by_labels.values())


def _one_sided(better: Sequence[SettingResult], worse: Sequence[SettingResult], compared: Iterable[str]) -> set[str]:
    """Return config keys below a compared label that only one side has, such as a loss's temperature."""
    sides = [
        {name for setting in side for name, value in setting.labels.items() if value is not None}
        for side in (better, worse)
    ]
    return {name for name in sides[0] ^ sides[1] if any(name.startswith(f"{label}.") for label in compared)}


def _of_variants(better: Sequence[SettingResult], worse: Sequence[SettingResult], compared: Iterable[str]) -> set[str]:
    """Return the labels of which each side has one value, where variants are compared: a variant is a setting of many
    keys, such as a loss with its budget. Where both were measured has to be the same still.
    """
    if VARIANT not in compared:
        return set()
    sides = [[setting.labels for setting in side] for side in (better, worse)]
    names = {name for side in sides for labels in side for name in labels} - {"data", FIRST_STAGE}
    return {name for name in names if all(len({str(labels.get(name)) for labels in side}) == 1 for side in sides)}


def _place(claim: Claim, setting: SettingResult) -> float:
    """Return a setting's position on the axis of a trend."""
    value = setting.labels[str(claim.over)]
    number = number_of(value) or 0.0
    if claim.over == LAYER:
        return number
    if number <= 0:
        raise ExperimentError(
            f"the claim {claim.says!r} is about a trend over log2 of {claim.over}, which {value} does not have: leave "
            "that cell out by its where"
        )
    return math.log2(number)


def _margin(claim: Claim, worse: SettingResult) -> float:
    margin = math.nan if claim.margin is None else float(claim.margin)
    return margin * float(worse.values_SQ.mean()) if claim.relative else margin


def _differing(labels: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the labels whose values differ between settings."""
    names = dict.fromkeys(name for values in labels for name in values)
    return [name for name in names if len({json.dumps(values.get(name), default=str) for values in labels}) > 1]


def _left_alone(alone: Sequence[_Matched], matched: Sequence[_Matched]) -> str:
    """Say which of the settings lack their counterpart."""
    varying = _differing([match.labels for match in matched])
    which = "; ".join(_in_words({name: match.labels.get(name, "-") for name in varying}) for match in alone)
    return f"Without a counterpart, and so left out: {which}." if which else ""


def _in_words(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{worded(name)} {value}" for name, value in where.items())
