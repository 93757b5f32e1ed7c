"""Find out whether a grid is finished, so that to launch it would do nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.common.errors import ExperimentError
from experiments.common.model_files import changes
from experiments.config.grid import Grid
from experiments.config.identity import job_name, short_name
from experiments.data.collection import open_collection
from experiments.evaluation.measure_names import mean_name
from experiments.job_files.checked_results import read_launch, read_metrics
from experiments.job_files.files import GRID, TABLE, read_json, read_yaml
from experiments.job_files.job_folder import JobFolder
from experiments.job_files.live_status import DONE_BEFORE, LiveStatus
from experiments.job_files.status import noted_inputs
from experiments.jobs.inputs import inputs_of
from experiments.jobs.job_states import with_trained
from experiments.jobs.launch_control import LAUNCH
from experiments.studies.cost_estimate import NotThereError, ReadOnlyCache
from experiments.studies.jobs import Entry

MULTIRUN = "multirun.yaml"  # Hydra's record of a launch


def finished_before(grid: Grid, entries: Sequence[Entry]) -> list[LiveStatus] | None:
    """Return the jobs of a grid as a launch would show them; None unless it would find each one done and leave all
    files as they are. ``entries``: its jobs, prerequisites and test sets, all done by their status.
    """
    try:
        if not (_study_files_stay(grid) and _inputs_stay(entries)):
            return None
        return list(_shown(grid, entries))
    except (ExperimentError, NotThereError, OSError, KeyError, TypeError):  # the launch says what is wrong
        return None


def _study_files_stay(grid: Grid) -> bool:
    """Return whether a launch would write the files of the study as they are."""
    study = Path(str(grid.config.outputs)) / str(grid.config.study)
    launched, now = read_launch(study / MULTIRUN), grid.config.hydra.overrides
    same_launch = all(_told(launched[kind]) == _told(OmegaConf.to_container(now[kind])) for kind in ("task", "hydra"))
    table = grid.config.get("table")
    same_table = table is None or read_yaml(study / TABLE) == OmegaConf.to_container(table, resolve=True)
    return same_launch and same_table and read_json(study / GRID) == [job_name(row.plain) for row in grid.rows]


def _told(overrides: Any) -> list[str]:
    """Return overrides without those that Hydra and the launch add."""
    return [override for override in overrides if LAUNCH not in override and not override.startswith("hydra.mode=")]


def _inputs_stay(entries: Sequence[Entry]) -> bool:
    """Return whether each job was made from the inputs of today, its collection and the files of retrievers too."""
    digests: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry.experiment.checkpoint is not None or JobFolder(entry.folder, "").checkpoints.exists():
            return False
        shared = repr((replace(entry.experiment, seed=0), [before.folder for before in entry.prerequisites]))
        if shared not in digests:  # a grid repeats its parts
            digests[shared] = _inputs_of(entry)
        if changes(noted_inputs(entry.folder), digests[shared]):
            return False
    return True


def _inputs_of(entry: Entry) -> dict[str, str]:
    experiment, components = with_trained(entry.experiment, entry.prerequisites)
    cache = ReadOnlyCache(experiment.cache)
    collection = open_collection(components.source, cache, experiment.data.ignore_identical_ids)
    return inputs_of(experiment, components, collection.fingerprint)


def _shown(grid: Grid, entries: Sequence[Entry]) -> Iterator[LiveStatus]:
    scores = {entry.folder: _score(entry) for entry in entries}
    folders = {entry.folder.name: entry.folder for entry in entries}
    for row in grid.rows:
        label = row.varying if len(grid.rows) > 1 else short_name(row.plain)
        score = scores[folders[job_name(row.plain)]]
        yield LiveStatus(row.number, label, DONE_BEFORE, score=score)


def _score(entry: Entry) -> str:
    """Return the headline measure of a job's results as its multirun shows it."""
    experiment = entry.experiment
    means, measure = read_metrics(entry.folder)["test"][experiment.first_stage[0]], experiment.measures[0]
    return f"test {mean_name(measure)} {float(means[measure]):.3f}"
