"""Run the prerequisites of a multirun's jobs before them, as jobs of their own, by the multirun's launcher.

Otherwise each job trains its prerequisites itself, one at a time: on a cluster all but one would hold a GPU and wait.
Those that need no other one run first, side by side; then those that need these, and so on; then the jobs.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from experiments.config import Experiment
from experiments.config.compose import check
from experiments.config.identity import short_name
from experiments.job_files.status import DONE
from experiments.jobs.job_states import JobStates
from experiments.jobs.launch_control import LaunchControl
from experiments.jobs.prerequisites import Prerequisite, prerequisites_of, shared_by

TARGET = "hydra_plugins.rerank_ablations.PrerequisitesFirst"  # Hydra takes no launcher from outside this namespace
FOLDER = "EXPERIMENTS_PREREQUISITE"  # the variable that names the prerequisite which a process runs instead of a job


@dataclass(frozen=True)
class Needed:
    """A prerequisite that is not done. ``depth``: 0 if it needs no other one. ``overrides``: of a job of the grid that
    needs it. ``by``: names of the folders of all jobs and prerequisites that need it, or one that needs it.
    """

    folder: Path
    label: str
    depth: int
    overrides: tuple[str, ...]
    by: frozenset[str]

    @property
    def launched_by(self) -> list[str]:
        """The overrides that a launcher runs it by. Hydra's log of it goes to its own folder."""
        own = {
            f"++hydra.job.env_set.{FOLDER}": self.folder,
            "hydra.sweep.dir": self.folder.parent,
            "hydra.sweep.subdir": Path(self.folder.name),
        }
        return [*self.overrides, *(f"{key}={_quoted(path)}" for key, path in own.items()), "hydra.output_subdir=null"]


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def needed_by(jobs: Iterable[tuple[str, Sequence[str], Experiment]]) -> list[Needed]:
    """Return the prerequisites of some jobs that are not done, each once, in the order of their depth.

    ``jobs``: the name of each one's folder, its overrides and its settings.
    """
    composed: dict[str, tuple[Prerequisite, ...]] = {}
    found: dict[Path, Needed] = {}
    states = JobStates()

    def note(prerequisite: Prerequisite, above: frozenset[str], overrides: Sequence[str]) -> int:
        folder = prerequisite.folder
        deeper = [note(one, above | {folder.name}, overrides) for one in prerequisite.prerequisites]
        depth = 1 + max(deeper, default=-1)
        state = states.of(folder, prerequisite.experiment, prerequisite.prerequisites)
        if state.state != DONE:
            label = f"{short_name(prerequisite.config)} (prerequisite: {prerequisite.trains})"
            known = found.get(folder)
            by = above | (known.by if known is not None else frozenset())
            found[folder] = Needed(folder, label, depth, tuple(known.overrides if known else overrides), by)
        return depth

    for name, overrides, experiment in jobs:
        shared = shared_by(experiment)
        if shared not in composed:
            composed[shared] = prerequisites_of(experiment)
        for prerequisite in composed[shared]:
            note(prerequisite, frozenset({name}), overrides)
    return sorted(found.values(), key=lambda needed: needed.depth)


def put_first(needed: Sequence[Needed], launch: LaunchControl, config: DictConfig) -> None:
    """Let a multirun run some prerequisites before its jobs. ``config``: the multirun's, which Hydra goes on with."""
    settings: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    made: Any = partial(PrerequisitesFirst, tuple(needed), launch, settings)
    Plugins.instance().class_name_to_class[TARGET] = made
    _set_launcher(config, {"_target_": TARGET})


def _set_launcher(config: DictConfig, settings: Any) -> None:
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.launcher = settings


class PrerequisitesFirst(Launcher):
    """Runs prerequisites and then the jobs by another launcher. ``settings``: that launcher's."""

    def __init__(self, needed: Sequence[Needed], launch: LaunchControl, settings: Mapping[str, Any]) -> None:
        self._needed, self._launch, self._settings = list(needed), launch, settings
        self._launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the other launcher."""
        _set_launcher(config, self._settings)
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the prerequisites and the jobs; returns how the jobs ended.

        Raises:
            ExperimentError: a prerequisite has failed; the jobs that do not need it have run.
        """
        needed, self._needed = self._needed, []  # a sweeper may launch the jobs in several batches
        depths = sorted({prerequisite.depth for prerequisite in needed})
        ended = [run for depth in depths for run in self._run_depth(depth, needed)]
        runs = self._launcher.launch(job_overrides, initial_job_idx)
        for run in ended:
            run.return_value  # noqa: B018  # raises the error of one that failed
        return runs

    def _run_depth(self, depth: int, needed: Sequence[Needed]) -> Sequence[JobReturn]:
        """Run the prerequisites of one depth side by side. Their numbers end before those of the jobs."""
        stage = [(number, first) for number, first in enumerate(needed, -len(needed)) if first.depth == depth]
        runs = self._launcher.launch([first.launched_by for _, first in stage], stage[0][0])
        for (_, first), run in zip(stage, runs, strict=True):
            if run.status == JobStatus.FAILED:
                self._launch.note_lacking(first.by, first.label)
        return runs


def asked_for(config: DictConfig) -> Prerequisite | None:
    """Return the prerequisite that this process is to run instead of a job; None for the job itself. ``config``: the
    job's.
    """
    folder = os.environ.get(FOLDER)
    if folder is None:
        return None
    every = (one for direct in prerequisites_of(check(config)) for one in direct.deepest_first())
    return next(one for one in every if str(one.folder) == folder)
