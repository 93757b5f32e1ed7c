"""Verify the jobs of an archive: recompute each mean in the metrics from the values by query.

Where the archive has the re-ranked runs and the collection is here, the runs are scored again as in a study's folder.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.config.identity import PLACES
from experiments.config.negatives import RUN_SCORES
from experiments.config.saved import read_job_config
from experiments.job_files.archive import RUNS
from experiments.job_files.checked_results import read_metrics, read_status
from experiments.job_files.files import METRICS
from experiments.job_files.per_query import PROBE, per_query_path, read_per_query
from experiments.studies.current_inputs import CurrentInputs
from experiments.studies.verify import TOLERANCE, Differences, Verified, depth_means, verify_hash, verify_job

CACHE = "RERANK_ABLATIONS_CACHE"  # as conf/config.yaml reads it
NOT_KEPT = "the runs themselves are not kept (study keep --runs)"

Load = Callable[[Mapping[str, Any]], CurrentInputs]


def verify_archived_job(folder: Path, load: Load) -> Verified:
    """Check an unpacked job; a broken job is a difference, not an error. ``load``: as ``verify_job`` takes it."""
    unscored = NOT_KEPT
    if any(folder.glob(RUNS)):
        here = _with_this_cache(load)
        try:
            metrics = read_metrics(folder)
            here({**read_job_config(folder), "retrieve": {"split": str(metrics.get("split", "test"))}})
            return verify_job(folder, here)
        except ExperimentError as error:
            unscored = f"the runs were not scored again: {' '.join(str(error).split())}"
    return _verify_means(folder, unscored)


def _with_this_cache(load: Load) -> Load:
    """Use the cache of this machine: an archive does not say where its own was."""
    return lambda config: load({**config, "cache": os.environ.get(CACHE, ".cache")})


def _verify_means(folder: Path, unscored: str) -> Verified:
    differences, means = Differences(folder.name), 0
    try:
        config, metrics = read_job_config(folder), read_metrics(folder)
        if not _names_places(config):  # a path is another one here, and so is the hash
            verify_hash(folder, config, read_status(folder), differences)
        for where, expected, saved in _means(folder, metrics):
            means += 1
            if expected is None or not isinstance(saved, int | float) or abs(saved - expected) > TOLERANCE:
                differences.add(f"{METRICS}, {where}", expected, saved)
    except ExperimentError as error:
        differences.cannot("it cannot be verified", error)
    return Verified(folder.name, 0, 0, tuple(differences.lines), means, unscored)


def _names_places(value: Any, key: str = "") -> bool:
    """Whether a config names a local path or a hub id, which look alike."""
    if isinstance(value, Mapping):
        return any(_names_places(inner, str(name)) for name, inner in value.items())
    if isinstance(value, list):
        return any(_names_places(inner, key) for inner in value)
    return isinstance(value, str) and key.rpartition(".")[2] in PLACES and value != RUN_SCORES


def _means(folder: Path, metrics: Mapping[str, Any]) -> Iterator[tuple[str, float | None, Any]]:
    """Yield key, recomputed and saved value of each mean in the metrics; None where one of them is missing."""
    for first_stage, saved in (metrics.get("test") or {}).items():
        table = read_per_query(per_query_path(folder, str(first_stage)))
        own = saved.get("first_stage") or {}
        for prefix, columns, means in (("", table.reranked, saved), ("first_stage.", table.first_stage, own)):
            for measure in dict.fromkeys((*columns, *own)):
                expected = float(columns[measure].mean()) if measure in columns else None
                yield f"test.{first_stage}.{prefix}{measure}", expected, means.get(measure)
        for where, expected, mean in depth_means(folder, str(first_stage), saved, table):
            yield f"test.{first_stage}.{where}", expected, mean
    probed = (metrics.get("probe") or {}).get("model")
    if not probed:
        return
    try:
        measure = str(probed["settings"]["measures"][0])
        cells = {
            f"layer{cell['layer']}:{cell['pooling']}:{cell['candidates']}": cell["mean"] for cell in probed["cells"]
        }
    except (KeyError, TypeError, IndexError) as error:
        raise ExperimentError(f"{folder / METRICS}: the probe's cells cannot be read ({error!r})") from error
    columns = read_per_query(per_query_path(folder, PROBE)).reranked
    for name in dict.fromkeys((*columns, *cells)):
        expected = float(columns[name].mean()) if name in columns else None
        yield f"probe.{name}.{measure}", expected, cells.get(name, {}).get(measure)
