"""Do the saved results of finished jobs still say what their saved runs say?

Each run that a job left is scored again with today's measures and qrels, query by query. A difference is one line.

Shapes: Q queries.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.common.text import plural
from experiments.config.identity import RETRIEVED, first_stages_hash, job_hash
from experiments.data.collection import Collection
from experiments.data.run import read_trec
from experiments.evaluation.measure_names import min_grade_in, resolve
from experiments.evaluation.measures import evaluate
from experiments.job_files.records import CONFIG, METRICS, STATUS, PerQuery, read_per_query

TOLERANCE = 1e-6
DIGITS = 6  # significant ones of a value in a per-query file of earlier versions; now all


@dataclass(frozen=True)
class Today:
    """What a job is held against. ``relevance``: query row -> passage row -> grade of the test queries. ``input``: of
    the name of one of a job's inputs, the digest of its content now; it raises ExperimentError if there is none.
    ``before``: what is wrong with the jobs that the job needs, a line each.
    """

    collection: Collection
    relevance: Mapping[int, Mapping[int, int]]
    input: Callable[[str], str]
    before: Callable[[], Sequence[str]] = tuple


@dataclass(frozen=True)
class Verified:
    """What came of one job. ``runs`` and ``values`` (of a query and a measure): how many were compared."""

    job: str
    runs: int = 0
    values: int = 0
    differences: tuple[str, ...] = ()


@dataclass
class _Findings:
    """Differences of one job, as they are found."""

    job: str
    runs: int = 0
    values: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, expected: object, found: object) -> None:
        self.lines.append(f"{self.job}: {where}: expected {_said(expected)}, found {_said(found)}")

    def cannot(self, where: str, error: Exception) -> None:
        self.lines.append(f"{self.job}: {where}: {' '.join(str(error).split())}")


def verify_job(folder: Path, today: Callable[[Mapping[str, Any]], Today]) -> Verified:
    """Hold a finished job against its config, its inputs and its runs.

    ``today``: of a job's config, what it is held against; it raises ExperimentError if that cannot be had. Nothing that
    is wrong with the job raises: it is a difference.
    """
    findings = _Findings(folder.name)
    try:
        config, status, metrics = _yaml(folder / CONFIG), _json(folder / STATUS), _json(folder / METRICS)
        _verify_name(folder, config, findings)
        # First stages measured alone say whose queries these were; a training is tested on test, whatever its config.
        now = today({**config, "retrieve": {"split": str(metrics.get("split", "test"))}})
    except ExperimentError as error:
        findings.cannot("it cannot be verified", error)
        return _verified(findings)
    if _verify_inputs(status, now, findings):
        for first_stage in metrics.get("test") or {}:
            try:
                _verify_run(folder, str(first_stage), config, metrics["test"][first_stage], now, findings)
            except ExperimentError as error:
                findings.cannot(f"first stage {first_stage}", error)
    return _verified(findings)


def summary(found: Sequence[Verified]) -> str:
    """All in one line: how much was compared, and how much of it differs."""
    runs, values, drift = (
        sum(counts) for counts in zip(*((one.runs, one.values, len(one.differences)) for one in found), strict=True)
    )
    said = "no drift" if not drift else plural(drift, "difference")
    jobs = f"{plural(len(found), 'job')} verified"
    return f"{jobs}: {plural(runs, 'run')}, {plural(values, 'value')}, {said}"


def _verify_name(folder: Path, config: Mapping[str, Any], findings: _Findings) -> None:
    try:
        expected = first_stages_hash(config) if folder.name.startswith(RETRIEVED) else job_hash(config)
    except (KeyError, TypeError) as error:
        raise ExperimentError(f"{CONFIG} is not the config of a job of this version: {error!r}") from error
    named = folder.name.rpartition("-")[2]
    if named != expected:
        findings.add(f"{CONFIG} is not what the folder is named after, or is of another version: hash", named, expected)


def _verify_inputs(status: Mapping[str, Any], now: Today, findings: _Findings) -> bool:
    """Compare the inputs that a job noted; whether its runs are about the collection as it is now."""
    inputs = status.get("inputs")
    if not isinstance(inputs, Mapping) or "collection" not in inputs:
        findings.lines.append(f"{findings.job}: {STATUS} names no inputs: it was written by another version")
        return False
    same = bool(inputs["collection"] == now.collection.fingerprint)
    if not same:
        findings.add(
            f"{STATUS}, fingerprint of the collection {now.collection.name} (its files have changed, or the packages "
            "that it is made of have other versions here; the runs are not scored again)",
            inputs["collection"], now.collection.fingerprint,
        )  # fmt: skip
    for name, noted in inputs.items():
        if name == "collection":
            continue
        try:
            digest = now.input(name)
        except ExperimentError as error:
            findings.cannot(f"{STATUS}, input {name}", error)
            continue
        if digest != noted:
            findings.add(f"{STATUS}, digest of the input {name}", noted, digest)
    try:
        findings.lines += [f"{findings.job}: {line}" for line in now.before()]
    except ExperimentError as error:
        findings.cannot("a job that it needs", error)
    return same


def _verify_run(
    folder: Path, first_stage: str, config: Mapping[str, Any], saved: Mapping[str, Any], now: Today, findings: _Findings
) -> None:
    """Score one run again and compare it with the per-query file, and both with the metrics."""
    measures = resolve(config["measures"], min_grade_in(config))
    run_name, table_name = f"run.{first_stage}.trec.gz", f"per_query.{first_stage}.tsv"
    if not (folder / run_name).is_file():
        raise ExperimentError(f"{run_name} is missing")
    run = read_trec(folder / run_name, now.collection, first_stage, may_be_empty=saved.get("pairs") == 0)
    scored = evaluate(run, now.relevance, measures)
    table = read_per_query(folder / table_name)
    findings.runs += 1
    query_ids = now.collection.queries.ids(scored.queries)
    rows = {query_id: row for row, query_id in enumerate(table.query_ids)}
    for query_id in rows.keys() - set(query_ids):
        findings.lines.append(f"{findings.job}: {table_name}, query {query_id}: it is none of the test queries")
    for measure in measures:
        if measure not in table.reranked:
            findings.lines.append(f"{findings.job}: {table_name}: it has no column {measure}")
            continue
        for query_id, expected in zip(query_ids, scored.per_query[measure], strict=True):
            found = table.reranked[measure][rows[query_id]] if query_id in rows else None
            findings.values += 1
            if found is None or abs(found - expected) > _rounding(expected):
                findings.add(f"{table_name}, query {query_id}, {measure}", expected, found)
    for where, expected, found in _means(scored.mean, table, saved, measures):
        if not isinstance(found, int | float) or abs(found - expected) > max(TOLERANCE, _rounding(expected)):
            findings.add(f"{METRICS}, test.{first_stage}.{where}", expected, found)


def _means(
    scored: Mapping[str, float], table: PerQuery, saved: Mapping[str, Any], measures: Sequence[str]
) -> Iterator[tuple[str, float, Any]]:
    """Key, what it should be and what it is, of each mean in the metrics: of the run scored again, and of the first
    stage's own values, whose run is not kept beside the job.
    """
    own = saved.get("first_stage") or {}
    for measure in measures:
        yield measure, scored[measure], saved.get(measure)
        if measure in table.first_stage:
            yield f"first_stage.{measure}", float(table.first_stage[measure].mean()), own.get(measure)


def _rounding(value: float) -> float:
    """How far a value in a per-query file may be from what it was: 1e-6, and more only where the six digits of earlier
    versions hold less.
    """
    return TOLERANCE if abs(value) < 1 else abs(value) * 10.0 ** (1 - DIGITS)


def _verified(findings: _Findings) -> Verified:
    return Verified(findings.job, findings.runs, findings.values, tuple(findings.lines))


def _said(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "nothing" if value is None else str(value)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path.name} cannot be read ({error})") from error


def _yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        return _mapping(yaml.safe_load(path.read_text(encoding="utf-8")), path)
    except (OSError, yaml.YAMLError) as error:
        raise ExperimentError(f"{path.name} cannot be read ({error})") from error


def _mapping(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ExperimentError(f"{path.name} should hold named values, not {type(value).__name__}")
    return value
