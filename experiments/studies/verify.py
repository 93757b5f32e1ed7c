"""Verify finished jobs: score their saved runs again, query by query, with the current measures and qrels.

Each difference from the saved results is one line.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.common.manifest import FILES, FULL, MANIFEST, damages
from experiments.common.text import plural
from experiments.config.identity import RETRIEVED, first_stages_hash, job_hash
from experiments.config.saved import read_job_config
from experiments.data.run import read_trec
from experiments.evaluation.measure_names import min_grade_in, resolve
from experiments.evaluation.measures import evaluate
from experiments.job_files.checked_results import read_metrics, read_status
from experiments.job_files.files import CONFIG, METRICS, STATUS, run_path
from experiments.job_files.per_query import DEPTHS, PerQuery, per_query_path, read_depths, read_per_query
from experiments.job_files.status import hash_of
from experiments.studies.current_inputs import CurrentInputs

TOLERANCE = 1e-6
DIGITS = 6  # significant digits in per-query files of earlier versions; now all


@dataclass(frozen=True)
class Verified:
    """Outcome of one job. ``runs``, ``values`` (one a query and measure): how many were compared.

    ``means``: how many were recomputed from the values by query, where the runs were not scored; ``unscored``: why.
    """

    job: str
    runs: int = 0
    values: int = 0
    differences: tuple[str, ...] = ()
    means: int = 0
    unscored: str = ""


@dataclass
class Differences:
    """Collect the differences of one job."""

    job: str
    runs: int = 0
    values: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, expected: object, saved: object) -> None:
        """Add a value that is not as expected."""
        self.say(f"{where}: expected {_shown(expected)}, found {_shown(saved)}")

    def cannot(self, where: str, error: Exception) -> None:
        """Add what could not be checked, and why."""
        self.say(f"{where}: {' '.join(str(error).split())}")

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(f"{self.job}: {line}")


def verify_job(folder: Path, load: Callable[[Mapping[str, Any]], CurrentInputs]) -> Verified:
    """Check a finished job against its config, its inputs and its runs; a broken job is a difference, not an error.

    ``load``: config -> current inputs of the job; raises ExperimentError if they cannot be opened.
    """
    differences = Differences(folder.name)
    try:
        config, status, metrics = read_job_config(folder), read_status(folder), read_metrics(folder)
        damaged = dict(damages(folder, status.get(FILES), FULL))
        for name, problem in damaged.items():
            differences.say(f"{name} {problem} since the job finished: run the study again, or delete the job's folder")
        if FILES in status and not (folder / MANIFEST).is_file():
            differences.say(f"{MANIFEST} is missing: run the study again, which restores it")
        if damaged.keys() & {CONFIG, METRICS}:
            raise ExperimentError("its config or its metrics are not those that it wrote")
        verify_hash(folder, config, status, differences)
        # First stages measured alone note their split; a training is tested on test.
        current = load({**config, "retrieve": {"split": str(metrics.get("split", "test"))}})
        same_collection = _verify_inputs(status, current, differences)
    except ExperimentError as error:
        differences.cannot("it cannot be verified", error)
        same_collection = False
    for first_stage in (metrics.get("test") or {}) if same_collection else ():
        try:
            _verify_run(folder, str(first_stage), config, metrics["test"][first_stage], current, differences)
        except ExperimentError as error:
            differences.cannot(f"first stage {first_stage}", error)
    return Verified(folder.name, differences.runs, differences.values, tuple(differences.lines))


def summary(jobs: Sequence[Verified]) -> str:
    """Summarise in one line how much was compared and how much differs."""
    runs, values, differences = (
        sum(counts) for counts in zip(*((job.runs, job.values, len(job.differences)) for job in jobs), strict=True)
    )
    means = sum(job.means for job in jobs)
    compared = [f"{plural(runs, 'run')}, {plural(values, 'value')}"] if runs or not means else []
    compared += [f"{plural(means, 'mean')} recomputed from the values by query"] if means else []
    drift = plural(differences, "difference") if differences else "no drift"
    line = f"{plural(len(jobs), 'job')} verified: {', '.join(compared)}, {drift}"
    unscored = dict.fromkeys(job.unscored for job in jobs if job.unscored)
    return "; ".join([line, *unscored])


def verify_hash(folder: Path, config: Mapping[str, Any], status: Mapping[str, Any], differences: Differences) -> None:
    """Compare the hash that a job noted with that of its config. Raises ExperimentError if it is no job's config."""
    try:
        expected = first_stages_hash(config) if folder.name.startswith(RETRIEVED) else job_hash(config)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ExperimentError(f"{CONFIG} is not the config of a job of this version: {error!r}") from error
    noted = hash_of(status, folder.name)
    if noted != expected:
        differences.add(f"{CONFIG} is not what the job ran with, or is of another version: hash", noted, expected)


def _verify_inputs(status: Mapping[str, Any], current: CurrentInputs, differences: Differences) -> bool:
    """Compare a job's noted inputs; return whether the collection is unchanged."""
    inputs = status.get("inputs")
    if not isinstance(inputs, Mapping) or "collection" not in inputs:
        differences.say(f"{STATUS} names no inputs: it was written by another version")
        return False
    same = bool(inputs["collection"] == current.collection.fingerprint)
    if not same:
        differences.add(
            f"{STATUS}, fingerprint of the collection {current.collection.name} (its files have changed, or the "
            "packages that it is made of have other versions here; the runs are not scored again)",
            inputs["collection"], current.collection.fingerprint,
        )  # fmt: skip
    for name, noted in inputs.items():
        if name == "collection":
            continue
        try:
            digest = current.digest(name)
        except ExperimentError as error:
            differences.cannot(f"{STATUS}, input {name}", error)
            continue
        if digest != noted:
            differences.add(f"{STATUS}, digest of the input {name}", noted, digest)
    try:
        for line in current.prerequisites():
            differences.say(line)
    except ExperimentError as error:
        differences.cannot("a job that it needs", error)
    return same


def _verify_run(
    folder: Path,
    first_stage: str,
    config: Mapping[str, Any],
    saved: Mapping[str, Any],
    current: CurrentInputs,
    differences: Differences,
) -> None:
    """Score one first stage's runs again, one for each depth of re-ranking; compare them with the per-query files, and
    both with the metrics.
    """
    measures = resolve(config["measures"], min_grade_in(config))
    table = read_per_query(per_query_path(folder, first_stage))
    empty = saved.get("pairs") == 0
    own = _scored(folder, first_stage, None, measures, table, current, differences, empty)
    _compare_means(first_stage, _means(own, table, saved, measures), differences)
    for depth, values in read_depths(folder, first_stage, saved, table).items():
        scored = own
        if values is not table:  # whose depth is the largest
            scored = _scored(folder, first_stage, depth, measures, values, current, differences, empty)
        noted = saved[DEPTHS][str(depth)]
        means = ((f"{DEPTHS}.{depth}.{measure}", scored[measure], noted.get(measure)) for measure in measures)
        _compare_means(first_stage, means, differences)


def _scored(
    folder: Path, first_stage: str, depth: int | None, measures: Sequence[str], table: PerQuery,
    current: CurrentInputs, differences: Differences, may_be_empty: bool,
) -> Mapping[str, float]:  # fmt: skip
    """Score one run again, compare it with its per-query table, and return its means."""
    path, table_path = run_path(folder, first_stage, depth), per_query_path(folder, first_stage, depth)
    if not path.is_file():
        raise ExperimentError(f"{path.name} is missing")
    run = read_trec(path, current.collection, first_stage, may_be_empty=may_be_empty)
    scored = evaluate(run, current.relevance, measures)
    differences.runs += 1
    query_ids = current.collection.queries.ids(scored.queries)
    rows = {query_id: row for row, query_id in enumerate(table.query_ids)}
    for query_id in rows.keys() - set(query_ids):
        differences.say(f"{table_path.name}, query {query_id}: it is none of the test queries")
    for measure in measures:
        if measure not in table.reranked:
            differences.say(f"{table_path.name}: it has no column {measure}")
            continue
        for query_id, expected in zip(query_ids, scored.per_query[measure], strict=True):
            value = table.reranked[measure][rows[query_id]] if query_id in rows else None
            differences.values += 1
            if value is None or abs(value - expected) > _rounding(expected):
                differences.add(f"{table_path.name}, query {query_id}, {measure}", expected, value)
    return scored.mean


def _compare_means(first_stage: str, means: Iterable[tuple[str, float, Any]], differences: Differences) -> None:
    """Add each mean of the metrics that is not as expected. ``means``: key, expected and saved value."""
    for where, expected, mean in means:
        if not isinstance(mean, int | float) or abs(mean - expected) > max(TOLERANCE, _rounding(expected)):
            differences.add(f"{METRICS}, test.{first_stage}.{where}", expected, mean)


def _means(
    scored: Mapping[str, float], table: PerQuery, saved: Mapping[str, Any], measures: Sequence[str]
) -> Iterator[tuple[str, float, Any]]:
    """Yield key, expected and saved value of each mean in the metrics. The first stage's means come from the per-query
    file, since its run is not kept.
    """
    own = saved.get("first_stage") or {}
    for measure in measures:
        yield measure, scored[measure], saved.get(measure)
        if measure in table.first_stage:
            yield f"first_stage.{measure}", float(table.first_stage[measure].mean()), own.get(measure)


def depth_means(
    folder: Path, first_stage: str, saved: Mapping[str, Any], table: PerQuery
) -> Iterator[tuple[str, float, Any]]:
    """Yield key, saved value and the mean of the values by query of each measure at each depth of re-ranking.
    ``table``: of the largest depth.
    """
    for depth, values in read_depths(folder, first_stage, saved, table).items():
        for measure, values_Q in values.reranked.items():
            yield f"{DEPTHS}.{depth}.{measure}", float(values_Q.mean()), saved[DEPTHS][str(depth)].get(measure)


def _rounding(value: float) -> float:
    """Return the tolerance for a value of a per-query file: 1e-6, or six digits (earlier versions) if that is more."""
    return TOLERANCE if abs(value) < 1 else abs(value) * 10.0 ** (1 - DIGITS)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "nothing" if value is None else str(value)
