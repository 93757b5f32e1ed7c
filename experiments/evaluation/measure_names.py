"""Parse, check and normalise names of measures.

In every file, table and figure a measure has its ir-measures name: ``RR@10``, or ``RR(rel=2)@10`` if passages are
relevant from grade 2 on. ``Hits@10`` is ``Success@10`` and keeps its name.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from experiments.common.errors import ExperimentError

EXAMPLES = "RR@10, nDCG@10, R@100, AP"
HITS, SUCCESS = re.compile(r"^\s*Hits\b"), re.compile(r"^Success\b")
AT_LEAST_ONE = ("cutoff", "rel")
WHOLE_COLLECTION = "whole_collection"  # replaces a first stage's name if every passage is ranked
MEANS = {"RR": "MRR", "AP": "MAP"}  # usual names of the mean over queries
NAMED = re.compile(r"(?P<name>\w+)(\((?P<parameters>[^)]*)\))?(?P<cutoff>@\d+)?")


def parse(names: Sequence[str], key: str = "measures") -> list[Any]:
    """Return ir-measures' measures by their names, such as ``RR@10``, ``AP``, ``RR(rel=2)@10``, ``Hits@10``.

    ``key``: config key of the names, for messages.

    Raises:
        ExperimentError: no name; a name is no measure, or scores no single queries; two names mean one measure.
    """
    measures = _all_parsed(names, key)
    _refuse_two_names(names, measures, key)
    return measures


def resolve(names: Sequence[str], min_grade: int, key: str = "measures") -> list[str]:
    """Return the name of each measure in the results of a job whose passages are relevant from ``min_grade`` on.

    A measure with a threshold of relevance (``rel``) gets ``rel=min_grade`` unless given. Measures of graded gains
    (``nDCG``) have none and stay as they are. A resolved name resolves to itself.

    Raises:
        ExperimentError: see ``parse``.
    """
    given = _all_parsed(names, key)
    implied = [min_grade > 1 and _has_threshold(measure) and "rel" not in measure.params for measure in given]
    measures = [measure(rel=min_grade) if needed else measure for measure, needed in zip(given, implied, strict=True)]
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
    """Return the usual name of a measure's mean over queries.

    ``MRR@10`` for ``RR@10``, ``MAP`` for ``AP``, ``MRR@10 (grade >= 2)`` for ``RR(rel=2)@10``; other names stay. Names
    joined by `` and `` are converted one by one.
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
    """Return the lowest relevant grade of a resolved config."""
    return int((config.get("data") or {}).get("min_grade") or 1)


def cutoff_of(name: str) -> int | None:
    """Return the cutoff of a measure, or None."""
    cutoff: int | None = _parsed(name, "measures").params.get("cutoff")
    return cutoff


def check_depth(names: Sequence[str], depth: int, key: str, depth_key: str) -> None:
    """Refuse measures with a cutoff beyond a run's depth.

    ``depth``: passages of the run, from ``depth_key``; ``key`` holds the names.

    Raises:
        ExperimentError: a cutoff is deeper; the message names the depth to set and the measures to use instead.
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
        ExperimentError: no installed package of ir-measures computes a measure, or it fails or leaves a query out.
    """
    for name, measure in zip(names, parse(names, key), strict=True):
        if reason := _failure(measure):
            raise ExperimentError(f"{key}: {name} cannot be computed here: {reason}")


def _all_parsed(names: Sequence[str], key: str) -> list[Any]:
    if not names:
        raise ExperimentError(f"{key} is empty: name at least one, such as RR@10")
    return [_parsed(name, key) for name in names]


def _parsed(name: str, key: str) -> Any:
    import ir_measures

    try:
        measure: Any = ir_measures.parse_measure(HITS.sub("Success", name))
    except (ValueError, NameError, SyntaxError, KeyError, TypeError) as error:
        raise ExperimentError(f"{key}: ir-measures does not know {name!r}; examples are {EXAMPLES}") from error
    try:
        measure.validate_params()
    except AssertionError as error:
        takes = ", ".join(
            f"{parameter} ({info.dtype.__name__}{', needed' * info.required})"
            for parameter, info in measure.SUPPORTED_PARAMS.items()
        )
        raise ExperimentError(f"{key}: {name!r} is no measure: {measure.NAME} takes {takes}") from error
    for parameter in AT_LEAST_ONE:
        value = measure.params.get(parameter)
        if value is not None and (isinstance(value, bool) or value < 1):
            raise ExperimentError(f"{key}: {name!r} is no measure: its {parameter} must be a whole number, at least 1")
    if not isinstance(measure.aggregator(), ir_measures.MeanAgg):
        raise ExperimentError(f"{key}: {name} counts queries and scores none: name another, such as {EXAMPLES}")
    return measure


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


def _name(measure: Any, hits: bool, explicit: bool) -> str:
    """Return ir-measures' name. ``explicit``: with ``rel=1``, which ir-measures leaves out."""
    name = str(measure)
    if explicit and measure.params["rel"] == 1:
        name = str(measure(rel=0)).replace("rel=0", "rel=1")
    return SUCCESS.sub("Hits", name) if hits else name


@cache
def _failure(measure: Any) -> str | None:
    """Say why a measure cannot be computed here; None if it can."""
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
    except Exception as error:  # any failure of the provider
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None if sorted(scored) == sorted(judged) else "it leaves out queries whose relevant passages are not found"
