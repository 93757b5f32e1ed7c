"""Names of measures: which measure a name means, the one name that it has in all results, and whether it can be used.

In every file, table and figure a measure has the name that ir-measures gives it: ``RR@10``, or ``RR(rel=2)@10`` where a
passage is relevant from grade 2 on. ``Hits@10`` stands for ``Success@10`` and keeps its name.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from experiments.common.errors import ExperimentError

EXAMPLES = "RR@10, nDCG@10, R@100, AP"
HITS, SUCCESS = re.compile(r"^\s*Hits\b"), re.compile(r"^Success\b")
AT_LEAST_ONE = ("cutoff", "rel")
WHOLE_COLLECTION = "whole_collection"  # in place of a first stage's name, where every passage is ranked
MEANS = {"RR": "MRR", "AP": "MAP"}  # what the field calls the mean over queries
NAMED = re.compile(r"(?P<name>\w+)(\((?P<parameters>[^)]*)\))?(?P<cutoff>@\d+)?")


def parse(names: Sequence[str], key: str = "measures") -> list[Any]:
    """Return the measures of ir-measures by their names, such as ``RR@10``, ``AP``, ``RR(rel=2)@10``, ``Hits@10``.

    ``key``: the key of the config that holds the names, for messages.

    Raises:
        ExperimentError: there is no name; a name is no measure, or counts instead of scoring queries; two names mean
            one measure.
    """
    measures = [_parsed(name, key) for name in _some(names, key)]
    _refuse_two_names(names, measures, key)
    return measures


def resolve(names: Sequence[str], min_grade: int, key: str = "measures") -> list[str]:
    """Return the name of each measure in the results of a job, whose passages are relevant from ``min_grade`` on.

    A measure with a threshold of relevance (``rel``) that is not given gets ``rel=min_grade``. Measures of graded gains
    (``nDCG``) have none and stay as they are. A resolved name resolves to itself.

    Raises:
        ExperimentError: see ``parse``.
    """
    given = [_parsed(name, key) for name in _some(names, key)]
    measures = [_with_threshold(measure, min_grade) for measure in given]
    _refuse_two_names(names, measures, key)
    explicit = [min_grade > 1 and "rel" in measure.params for measure in given]
    rows = zip(names, measures, explicit, strict=True)
    return [_name(measure, bool(HITS.match(name)), threshold) for name, measure, threshold in rows]


def unresolved(name: str, min_grade: int) -> str:
    """Return the shortest name that resolves to ``name``: without the threshold that ``min_grade`` implies."""
    if min_grade == 1:
        return name
    measure = _parsed(name, "measures")
    if not _has_threshold(measure) or measure.params.get("rel") != min_grade:
        return name
    bare = type(measure)(**{key: value for key, value in measure.params.items() if key != "rel"})
    return _name(bare, bool(HITS.match(name)), False)


def mean_name(name: str) -> str:
    """Return what people call the mean of a measure over queries.

    ``MRR@10`` for ``RR@10``, ``MAP`` for ``AP``, ``MRR@10 (grade >= 2)`` for ``RR(rel=2)@10``; other names stay.
    Several names joined by `` and `` are named one by one.
    """
    return " and ".join(_mean_name(part) for part in name.split(" and "))


def _mean_name(name: str) -> str:
    known = NAMED.fullmatch(name)
    if known is None:
        return name
    parameters, cutoff = known["parameters"], known["cutoff"] or ""
    called = MEANS.get(known["name"], known["name"])
    if parameters and (grade := re.fullmatch(r"rel=(\d+)", parameters)):
        return f"{called}{cutoff} (grade >= {grade[1]})"
    return f"{called}({parameters}){cutoff}" if parameters else f"{called}{cutoff}"


def min_grade_in(config: Mapping[str, Any]) -> int:
    """Return the grade from which a passage is relevant to the job of a resolved config."""
    return int((config.get("data") or {}).get("min_grade") or 1)


def cutoff_of(name: str) -> int | None:
    """Return how many passages a measure looks at; None for a measure that looks at all."""
    cutoff: int | None = _parsed(name, "measures").params.get("cutoff")
    return cutoff


def check_depth(names: Sequence[str], depth: int, key: str, depth_key: str) -> None:
    """Refuse measures that look at more passages than a run has.

    ``depth``: passages of the run, from ``depth_key``; ``key`` holds the names.

    Raises:
        ExperimentError: a measure looks deeper; the message says how to raise the depth and what to measure instead.
    """
    deep = {name: cutoff for name in names if (cutoff := cutoff_of(name)) is not None and cutoff > depth}
    if deep:
        deepest = max(deep.values())
        instead = dict.fromkeys(name.replace(f"@{cutoff}", f"@{depth}") for name, cutoff in deep.items())
        looks = "looks at" if len(deep) == 1 else "look at up to"
        raise ExperimentError(
            f"{key}: {' and '.join(deep)} {looks} {deepest:,} passages, but {depth_key}={depth}: set "
            f"{depth_key}={deepest}, or measure {' and '.join(instead)}"
        )


def check_computable(names: Sequence[str], key: str = "measures") -> None:
    """Compute each measure on a run of three queries, one of which finds nothing relevant.

    Raises:
        ExperimentError: ir-measures has no package here that computes a measure, or one fails, or leaves a query out.
    """
    for name, measure in zip(names, parse(names, key), strict=True):
        if reason := _failure(measure):
            raise ExperimentError(f"{key}: {name} cannot be computed here: {reason}")


def _some(names: Sequence[str], key: str) -> Sequence[str]:
    if not names:
        raise ExperimentError(f"{key} is empty: name at least one, such as RR@10")
    return names


def _parsed(name: str, key: str) -> Any:
    import ir_measures

    try:
        measure: Any = ir_measures.parse_measure(HITS.sub("Success", name))
    except (ValueError, NameError, SyntaxError, KeyError, TypeError) as error:
        raise ExperimentError(f"{key}: ir-measures does not know {name!r}; examples are {EXAMPLES}") from error
    try:
        measure.validate_params()
    except AssertionError as error:
        raise ExperimentError(f"{key}: {name!r} is no measure: {measure.NAME} takes {_parameters(measure)}") from error
    for parameter in AT_LEAST_ONE:
        value = measure.params.get(parameter)
        if value is not None and (isinstance(value, bool) or value < 1):
            raise ExperimentError(f"{key}: {name!r} is no measure: its {parameter} must be a whole number, at least 1")
    if not isinstance(measure.aggregator(), ir_measures.MeanAgg):
        raise ExperimentError(
            f"{key}: {name} counts and scores no query, so it has no mean to compare: name another, such as {EXAMPLES}"
        )
    return measure


def _parameters(measure: Any) -> str:
    parameters = measure.SUPPORTED_PARAMS.items()
    return ", ".join(f"{name} ({info.dtype.__name__}{', needed' * info.required})" for name, info in parameters)


def _refuse_two_names(names: Sequence[str], measures: Sequence[Any], key: str) -> None:
    first: dict[Any, str] = {}
    for name, measure in zip(names, measures, strict=True):
        if measure in first:
            raise ExperimentError(f"{key}: {first[measure]} and {name} are one measure, {measure}: name it once")
        first[measure] = name


def _has_threshold(measure: Any) -> bool:
    """Whether a grade divides relevant from not; RBP without ``rel`` takes graded gains, as nDCG does."""
    rel = measure.SUPPORTED_PARAMS.get("rel")
    return rel is not None and isinstance(rel.default, int)


def _with_threshold(measure: Any, min_grade: int) -> Any:
    implied = min_grade > 1 and _has_threshold(measure) and "rel" not in measure.params
    return measure(rel=min_grade) if implied else measure


def _name(measure: Any, hits: bool, explicit: bool) -> str:
    """The name of ir-measures. ``explicit``: with ``rel=1``, which ir-measures leaves out."""
    name = str(measure)
    if explicit and measure.params["rel"] == 1:
        name = str(measure(rel=0)).replace("rel=0", "rel=1")
    return SUCCESS.sub("Hits", name) if hits else name


@cache
def _failure(measure: Any) -> str | None:
    """Why a measure cannot be computed here; None if it can."""
    from ir_measures import DefaultPipeline

    able = [provider for provider in DefaultPipeline.providers if provider.supports(measure)]
    if not able:
        return "ir-measures has nothing that computes it with these parameters"
    if not any(provider.is_available() for provider in able):
        ways = (provider.install_instructions() or f"install {provider.NAME}" for provider in able)
        return f"what computes it is not installed ({'; or '.join(ways)})"
    judged = {"1": {"a": 3, "b": 0}, "2": {"a": 2, "b": 1}, "3": {"a": 3}}
    run = {"1": {"b": 3.0, "a": 2.0, "c": 1.0}, "2": {"a": 2.0, "b": 1.0}, "3": {"c": 1.0}}
    try:
        scored = [metric.query_id for metric in DefaultPipeline.iter_calc([measure], judged, run)]
    except Exception as error:  # of whatever computes it: each means that it does not work here
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None if sorted(scored) == sorted(judged) else "it leaves out queries whose relevant passages are not found"
