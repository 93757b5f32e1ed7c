"""Which cells a claim compares: pairs and trends at equal other labels, and the contrasts over them."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from experiments.analysis.samples import Sample, matching, number_of, unknown_labels
from experiments.common.errors import ExperimentError
from experiments.config.paper_table import Claim
from experiments.evaluation.comparison import Comparison, contrast
from experiments.evaluation.variance import Term
from experiments.job_files.records import FloatArray

LAYER = "layer"
TRENDS = ("rises", "falls")

# a sample and its weight in a contrast
Weighted = tuple[float, Sample]


@dataclass(frozen=True)
class Contrast:
    """A comparison of cells. ``labels``: what tells it from the others of its claim; ``margin``: of a claim of kind
    ``within``, in the unit of the measure.
    """

    labels: Mapping[str, Any]
    comparison: Comparison
    margin: float = math.nan


@dataclass(frozen=True)
class Found:
    """What a claim compares: its ``pairs`` (a trend's steps) and their ``average`` (a trend's slope); None and no pairs
    where there is nothing to compare. ``lacking``: a sentence on the cells that would be needed, or were left out.
    """

    average: Contrast | None = None
    pairs: tuple[Contrast, ...] = ()
    lacking: str = ""


@dataclass
class _Setting:
    """The cells that are equal but for what a claim compares."""

    labels: dict[str, Any]
    better: list[Sample] = field(default_factory=list)
    worse: list[Sample] = field(default_factory=list)


def find(claim: Claim, samples: Sequence[Sample], stand_ins: Mapping[str, str]) -> Found:
    """What a claim compares among the samples; see ``experiments.analysis.claims.judge`` for what it raises."""
    named = {**claim.where, **claim.better, **({claim.over: "a number"} if claim.over else {})}
    if unknown := unknown_labels(samples, named):
        return Found(lacking=f"No finished cell has the label {worded(unknown[0])!r}.")
    if claim.kind in TRENDS:
        return _trend(claim, samples, stand_ins)
    return _opposed(claim, samples, stand_ins)


def worded(label: str) -> str:
    """A label as a word."""
    return label.replace("_", " ")


def _opposed(claim: Claim, samples: Sequence[Sample], stand_ins: Mapping[str, str]) -> Found:
    better = matching(samples, {**claim.where, **claim.better}, stand_ins)
    worse = matching(samples, {**claim.where, **claim.worse}, stand_ins)
    for side, wanted in ((better, claim.better), (worse, claim.worse)):
        if not side:
            return Found(lacking=f"No finished cell has {_in_words({**claim.where, **wanted})}.")
    settings = _settings(better, worse, {*claim.better, *_one_sided(better, worse, claim.better)})
    paired = [one for one in settings if one.better and one.worse]
    alone = [one for one in settings if not (one.better and one.worse)]
    if not paired:
        differ = ", ".join(_differing([one.labels for one in settings]))
        return Found(lacking=f"No two finished cells are equal in all other labels: they differ in {differ}.")
    pairs = [(one.labels, good, bad) for one in paired for good in one.better for bad in one.worse]
    told = _differing([labels for labels, _, _ in pairs])
    margins = [_margin(claim, bad) for _, _, bad in pairs]
    contrasts = tuple(
        Contrast({name: labels.get(name) for name in told}, _contrast(claim, [(1.0, good), (-1.0, bad)]), margin)
        for (labels, good, bad), margin in zip(pairs, margins, strict=True)
    )
    share = 1 / len(pairs)
    terms = [(sign * share, one) for _, good, bad in pairs for sign, one in ((1.0, good), (-1.0, bad))]
    average = _contrast(claim, terms)
    return Found(Contrast({}, average, float(np.mean(margins))), contrasts, _left_alone(alone, settings))


def _trend(claim: Claim, samples: Sequence[Sample], stand_ins: Mapping[str, str]) -> Found:
    over = str(claim.over)
    numbered = [one for one in matching(samples, claim.where, stand_ins) if number_of(one.labels.get(over)) is not None]
    settings = _settings(numbered, [], {over})
    ordered = [sorted(one.better, key=lambda sample: _place(claim, sample)) for one in settings]
    rows = [(one.labels, row) for one, row in zip(settings, ordered, strict=True) if _extent(claim, row) > 0]
    if not rows:
        return Found(lacking=_no_trend(claim, numbered, settings))
    told = _differing([labels for labels, _ in rows])
    pairs = tuple(
        Contrast(
            {over: f"{low.labels[over]} to {high.labels[over]}", **{name: labels.get(name) for name in told}},
            _contrast(claim, [(1.0, high), (-1.0, low)]),
        )
        for labels, row in rows
        for low, high in pairwise(row)
    )
    average = [(weight / len(rows), sample) for _, row in rows for weight, sample in _slope(claim, row)]
    return Found(Contrast({}, _contrast(claim, average)), pairs)


def _slope(claim: Claim, row: Sequence[Sample]) -> list[Weighted]:
    """The least-squares slope over the places of a trend, as weights of the samples."""
    places = np.array([_place(claim, sample) for sample in row])
    centred = places - places.mean()
    return list(zip((centred / (centred @ centred)).tolist(), row, strict=True))


def _extent(claim: Claim, row: Sequence[Sample]) -> float:
    return _place(claim, row[-1]) - _place(claim, row[0])


def _no_trend(claim: Claim, numbered: Sequence[Sample], settings: Sequence[_Setting]) -> str:
    over = str(claim.over)
    what = f" with {_in_words(claim.where)}" if claim.where else ""
    values = sorted({number_of(one.labels[over]) or 0.0 for one in numbered})
    if len(values) < 2:
        found = f"; there is {values[0]:g} only" if values else ""
        return f"A trend needs finished cells{what} of two or more values of {worded(over)}{found}."
    differ = ", ".join(_differing([one.labels for one in settings]))
    return f"No two finished cells{what} are equal but for {worded(over)}: they differ in {differ} too."


def _contrast(claim: Claim, weighted: Sequence[Weighted]) -> Comparison:
    """The weighted sum of samples on the queries of the first; the layers or first stages of one model are paired."""
    query_ids = weighted[0][1].query_ids
    weights: dict[int, float] = {}
    samples = {id(sample): sample for _, sample in weighted}
    for weight, sample in weighted:
        weights[id(sample)] = weights.get(id(sample), 0.0) + weight
    return contrast([Term(weights[key], _values(claim, one, query_ids), one.jobs) for key, one in samples.items()])


def _values(claim: Claim, sample: Sample, query_ids: tuple[str, ...]) -> FloatArray:
    if sample.query_ids == query_ids:
        return sample.values_SQ
    if set(sample.query_ids) != set(query_ids):
        raise ExperimentError(
            f"the claim {claim.says!r} compares cells that were measured on different queries: name the data that it "
            "speaks of in its where"
        )
    column = {query_id: index for index, query_id in enumerate(sample.query_ids)}
    return sample.values_SQ[:, [column[query_id] for query_id in query_ids]]


def _settings(better: Sequence[Sample], worse: Sequence[Sample], compared: Set[str]) -> list[_Setting]:
    """The samples by all their labels but those that are compared."""
    found: dict[str, _Setting] = {}
    for side, samples in (("better", better), ("worse", worse)):
        for sample in samples:
            labels = {
                name: value for name, value in sample.labels.items() if value is not None and name not in compared
            }
            setting = found.setdefault(json.dumps(labels, sort_keys=True, default=str), _Setting(labels))
            getattr(setting, side).append(sample)
    return list(found.values())


def _one_sided(better: Sequence[Sample], worse: Sequence[Sample], compared: Iterable[str]) -> set[str]:
    """Config keys below a compared label that only one side has, such as the temperature of one of two losses."""
    sides = [
        {name for one in side for name, value in one.labels.items() if value is not None} for side in (better, worse)
    ]
    return {name for name in sides[0] ^ sides[1] if any(name.startswith(f"{label}.") for label in compared)}


def _place(claim: Claim, sample: Sample) -> float:
    """Where a sample stands on the axis of a trend."""
    value = sample.labels[str(claim.over)]
    number = number_of(value) or 0.0
    if claim.over == LAYER:
        return number
    if number <= 0:
        raise ExperimentError(
            f"the claim {claim.says!r} is about a trend over log2 of {claim.over}, which {value} does not have: leave "
            "that cell out by its where"
        )
    return math.log2(number)


def _margin(claim: Claim, worse: Sample) -> float:
    margin = math.nan if claim.margin is None else float(claim.margin)
    return margin * float(worse.values_SQ.mean()) if claim.relative else margin


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels whose values differ between settings."""
    names = dict.fromkeys(name for labels in settings for name in labels)
    return [name for name in names if len({json.dumps(one.get(name), default=str) for one in settings}) > 1]


def _left_alone(alone: Sequence[_Setting], settings: Sequence[_Setting]) -> str:
    """Which of the settings lack their counterpart, in words."""
    told = _differing([one.labels for one in settings])
    which = "; ".join(_in_words({name: one.labels.get(name, "-") for name in told}) for one in alone)
    return f"Without a counterpart, and so left out: {which}." if which else ""


def _in_words(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{worded(name)} {value}" for name, value in where.items())
