"""List, plan and launch the jobs of a study."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.config import Experiment, compose
from experiments.config.grid import Grid, compose_grid
from experiments.config.saved import read_job_config
from experiments.job_files.checked_results import read_launch
from experiments.job_files.files import read_yaml
from experiments.job_files.status import DONE, JobStatus, job_folders, status_of
from experiments.jobs.check_jobs import check_jobs
from experiments.jobs.job_states import JobStates
from experiments.jobs.launch_control import LAUNCH, LaunchControl
from experiments.jobs.prerequisites import Prerequisite, folder_of, prerequisites_of, shared_by
from experiments.jobs.test_sets import test_jobs_of
from experiments.studies import cost_estimate
from experiments.studies.needs import card_of, needs_of, share_of_peak
from experiments.studies.plan import Plan, PlannedJob, places_of
from experiments.studies.preparation import stages_of

# overrides of Hydra's own settings that a folder may repeat; others, such as callbacks, may name any code
OF_A_LAUNCH = ("hydra/launcher=", "hydra.launcher.", "hydra/sweeper=basic", "hydra.sweep.", "hydra.verbose=")


@dataclass(frozen=True)
class ListedJob:
    """A job and its status. ``number``: in its grid; None for a prerequisite or a test set. ``budget``: groups of its
    training, if known and of use. ``run_by``: the folder of the grid's job that runs it, for a test set; in a folder,
    of a job to be rerun alone.
    """

    number: int | None
    folder: Path
    what: str
    status: JobStatus
    budget: int | None
    run_by: Path | None = None

    @property
    def launched(self) -> Path | None:
        """The folder of the job that a launch has to name; None for a prerequisite."""
        return self.run_by or (self.folder if self.number is not None else None)

    def looked_at_again(self) -> "ListedJob":
        """Return the job with its current status."""
        return replace(self, status=status_of(self.folder))


def jobs_of(grid: Grid) -> list[ListedJob]:
    """Return the jobs of a grid with their status on disk, prerequisites first and test sets last."""
    return listed(entries_of(grid, [row.experiment(parts=False) for row in grid.rows]))


def listed(entries: Iterable["Entry"]) -> list[ListedJob]:
    """Return jobs with their status on disk."""
    return [
        ListedJob(
            entry.number,
            entry.folder,
            entry.what,
            status_of(entry.folder),
            cost_estimate.groups_of(entry.experiment) if entry.experiment.model.trains else None,
            entry.run_by,
        )
        for entry in entries
    ]


def jobs_in(study: Path) -> list[ListedJob]:
    """Return the jobs in the folder of a study, by name.

    Raises:
        ExperimentError: there are none.
    """
    folders = job_folders(study)
    return [_listed(number, folder, folders) for number, folder in enumerate(folders, 1)]


def _listed(number: int, folder: Path, folders: Sequence[Path]) -> ListedJob:
    status = status_of(folder)
    budget = None if status.groups is None else _budget(folder)  # else there is no progress to compare with it
    run_by = _run_by(folder, folders) if status.needs_rerun else None  # only a launch asks for it
    return ListedJob(number, folder, "", status, budget, run_by)


def checked_entries(grid: Grid) -> list["Entry"]:
    """Return the jobs of a grid after the checks of a launch, prerequisites first and test sets last.

    Raises:
        ExperimentError: a job cannot work; the message names it.
    """
    return entries_of(grid, check_jobs({row.where: row for row in grid.rows}))


def plan_of(grid: Grid, device: str | None = None, entries: Sequence["Entry"] | None = None) -> Plan:
    """Plan the jobs of a grid with their costs, after the checks of a launch. ``device``: a card of ``needs.CARDS`` to
    estimate hours on. ``entries``: its jobs, where they were checked already.

    Raises:
        ExperimentError: a job cannot work; the message names it. The card is not known.
    """
    card = None if device is None else card_of(device)
    outputs = Path(str(grid.config.outputs))
    entries = checked_entries(grid) if entries is None else entries
    queries: dict[str, cost_estimate.Queries] = {}
    catalogue: dict[str, int] = {}
    for entry in entries:
        key = cost_estimate.data_key(entry.config["data"])
        if key not in queries:
            source = compose.source_of(entry.experiment)
            queries[key] = cost_estimate.queries_of(entry.experiment, source)
            if getattr(source, "fetched", False):
                catalogue[source.name] = cost_estimate.counts_of(source).get("passages", 0)
    settings = [
        cost_estimate.setting_of(
            entry.experiment, *cost_estimate.device_of(entry.experiment), entry.config["data"]["source"]
        )
        for entry in entries
    ]
    dev = {key: counted.dev for key, counted in queries.items() if counted.dev}
    rates = cost_estimate.rates_in(outputs, settings, dev)
    jobs, standing = [], JobStates()
    for entry, setting in zip(entries, settings, strict=True):
        cost = cost_estimate.cost_of(entry.experiment, queries[cost_estimate.data_key(entry.config["data"])])
        rate = rates.get(setting)
        seconds, flops = (rate.seconds(cost), rate.flops * rate.pairs(cost)) if rate is not None else (None, None)
        status = standing.of(entry.folder, entry.experiment, entry.prerequisites)
        measures = entry.run_by is not None
        needs = None if card is None else needs_of(entry.experiment, cost)
        jobs.append(PlannedJob(entry.number, entry.folder, entry.what, status, cost, seconds, flops, measures, needs))
    left = (
        ()
        if card is None
        else (
            (entry.experiment, entry.config["data"], entry.prerequisites)
            for entry, job in zip(entries, jobs, strict=True)
            if job.status.state != DONE
        )
    )
    launcher = grid.config.hydra.launcher
    places = places_of(str(launcher._target_), launcher.get("n_jobs"))
    reached = None if device is None or card is None else (device, share_of_peak(outputs, card))
    measured = sum(rate.jobs for rate in rates.values())
    return Plan(tuple(jobs), places, measured, reached, catalogue, tuple(stages_of(left)))


@dataclass(frozen=True)
class Entry:
    """A job of a grid, its prerequisite or its test set. ``config``: the dictionary that identifies it. ``run_by``: the
    folder of the grid's job, for a test set.
    """

    number: int | None
    folder: Path
    what: str
    experiment: Experiment
    config: Mapping[str, Any]
    prerequisites: tuple[Prerequisite, ...]
    run_by: Path | None = None


def entries_of(grid: Grid, experiments: Sequence[Experiment]) -> list[Entry]:
    """Return the jobs of a grid, each once, after their prerequisites and before their test sets."""
    first: dict[Path, Entry] = {}
    rows: dict[Path, Entry] = {}
    tests: dict[Path, Entry] = {}
    composed: dict[str, tuple[Prerequisite, ...]] = {}
    for row, experiment in zip(grid.rows, experiments, strict=True):
        shared = shared_by(experiment)
        if shared not in composed:
            composed[shared] = prerequisites_of(experiment)
            for before in chain.from_iterable(direct.deepest_first() for direct in composed[shared]):
                what = f"for {before.key.removesuffix('.job')}"
                entry = Entry(None, before.folder, what, before.experiment, before.config, before.prerequisites)
                first.setdefault(before.folder, entry)
        config = row.plain
        folder = folder_of(experiment, config)
        rows.setdefault(folder, Entry(row.number, folder, row.varying, experiment, config, composed[shared]))
        for test in test_jobs_of(experiment, config, folder):
            what = f"{row.varying}: {test.name}"
            tests.setdefault(test.folder, Entry(None, test.folder, what, test.experiment, test.config, (), folder))
    return [*(entry for folder, entry in first.items() if folder not in rows), *rows.values(), *tests.values()]


def launch_jobs(
    overrides: Sequence[str], folders: Sequence[Path], *, only: bool = False, fail_fast: bool = False
) -> int:
    """Launch a multirun and wait for its end; returns the exit code. With ``only``, start no job but ``folders``."""
    from experiments.studies.multirun import multirun_command, run_to_end

    names = {folder.name for folder in folders}
    launch = LaunchControl.make(folders[0].parent, only=names if only else None, fail_fast=fail_fast)
    try:
        return run_to_end(multirun_command(overrides, launch), launch)
    finally:
        launch.end()


def saved_overrides(folders: Iterable[Path]) -> Iterator[tuple[list[str], list[Path]]]:
    """Yield the overrides of each multirun that launches ``folders`` again, and its folders.

    Raises:
        ExperimentError: a job has no overrides of its own, or they no longer make the job of its folder.
    """
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[Path, list[str]]]] = {}
    for folder in folders:
        task, hydra = _kept(folder)
        keys = tuple(override.partition("=")[0] for override in task)
        alike.setdefault((keys, tuple(hydra)), []).append((folder, task))
    for (_, hydra_overrides), jobs in alike.items():
        columns = zip(*(task for _, task in jobs), strict=True)
        overrides = [*map(_swept, columns), *hydra_overrides]
        with compose.explained(f"{jobs[0][0]}: ", within="its hydra/overrides.yaml"):
            made = {folder_of(row.experiment(parts=False), row.plain).resolve() for row in compose_grid(overrides).rows}
        for folder, task in jobs:
            if folder.resolve() not in made:
                raise ExperimentError(
                    f"{folder}: its overrides ({' '.join(task)}) make another job today: the configuration or the "
                    "package has changed; run the study again instead"
                )
        yield overrides, [folder for folder, _ in jobs]


def _kept(folder: Path) -> tuple[list[str], list[str]]:
    """Read a job's own overrides, and Hydra's (its launcher)."""
    for name in ("overrides.yaml", "hydra.yaml"):
        if not (folder / "hydra" / name).is_file():
            raise ExperimentError(
                f"{folder}: hydra/{name} is missing: it was not launched on its own, but for another job; run that "
                "job's study again"
            )
    task = read_yaml(folder / "hydra" / "overrides.yaml")
    if not isinstance(task, list) or not all(isinstance(override, str) for override in task):
        raise ExperimentError(f"{folder}/hydra/overrides.yaml cannot be read: it should be a list of overrides")
    hydra = read_launch(folder / "hydra" / "hydra.yaml")["hydra"]
    own = [kept for kept in hydra if LAUNCH not in kept and not kept.startswith("hydra.mode=")]
    for override in own:
        if not override.lstrip("+~").startswith(OF_A_LAUNCH):
            raise ExperimentError(
                f"{folder}/hydra/hydra.yaml has the override {override}, which is not taken from a folder: "
                f"run the study's own command again"
            )
    return task, own


def _swept(column: Sequence[str]) -> str:
    """Merge overrides of one key, such as ``seed=1,2``."""
    key = column[0].partition("=")[0]
    values = dict.fromkeys(override.partition("=")[2] for override in column)
    return column[0] if len(values) == 1 else f"{key}={','.join(values)}"


def _budget(folder: Path) -> int | None:
    """Return the training groups of a job; None if this version cannot read its config."""
    try:
        return cost_estimate.groups_of(compose.restored(read_job_config(folder)))
    except ExperimentError:
        return None


def _run_by(folder: Path, folders: Sequence[Path]) -> Path | None:
    """Return the job of the study that measures its model on a test set in this folder; None for any other job."""
    try:
        config = read_job_config(folder)
        place = Path(str(config["model"]["path"])).parent if config.get("test_set") else None
    except (ExperimentError, KeyError, TypeError):  # not begun, or damaged: status says so
        return None
    return next((other for other in folders if place is not None and other.resolve() == place), None)
