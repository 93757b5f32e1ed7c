"""Find out whether the inputs of a finished job and its prerequisites have changed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.common.model_files import changes
from experiments.config import Experiment
from experiments.job_files.status import CHANGED, DONE, JobStatus, noted_inputs, status_of
from experiments.jobs.components import Components, make_components
from experiments.jobs.prerequisites import Prerequisite, with_models


class JobStates:
    """Finds and remembers the states of jobs. ``files``: check the files of retrievers too, which may be large."""

    def __init__(self, files: bool = False) -> None:
        self._files = files
        self._known: dict[Path, JobStatus] = {}
        self._digests: dict[str, dict[str, str]] = {}

    def of(self, folder: Path, experiment: Experiment, prerequisites: Sequence[Prerequisite]) -> JobStatus:
        """Return the state of a job: ``changed`` if it is done but an input has changed or a prerequisite is not done.

        The collection is checked only when the job runs.
        """
        if folder not in self._known:
            state = status_of(folder)
            changed = self._changed(folder, experiment, prerequisites) if state.state == DONE else None
            self._known[folder] = state if changed is None else JobStatus(CHANGED, changed)
        return self._known[folder]

    def lines(self, prerequisites: Sequence[Prerequisite]) -> list[str]:
        """Return one line for each prerequisite that is not done with today's inputs."""
        return [f"the job that trains {name} {word}" for name, word in self._not_done(prerequisites)]

    def _not_done(self, prerequisites: Sequence[Prerequisite]) -> list[tuple[str, str]]:
        words = ((prerequisite.trains, self._word(prerequisite)) for prerequisite in prerequisites)
        return [(name, word) for name, word in words if word is not None]

    def _word(self, prerequisite: Prerequisite) -> str | None:
        state = self.of(prerequisite.folder, prerequisite.experiment, prerequisite.prerequisites)
        if state.state == CHANGED:
            return f"has changed inputs: {state.why}"
        return None if state.state == DONE else f"is {state.state}"

    def _changed(self, folder: Path, experiment: Experiment, prerequisites: Sequence[Prerequisite]) -> str | None:
        """Return the changed inputs of a finished job as text; None if there are none."""
        not_done = [f"{name} (its job {word})" for name, word in self._not_done(prerequisites)]
        shared = repr((replace(experiment, seed=0), [before.folder for before in prerequisites], not_done))
        if shared not in self._digests:  # a grid repeats its parts
            self._digests[shared] = self._digests_of(experiment, prerequisites, bool(not_done))
        noted = noted_inputs(folder)
        changed = changes(noted, {**noted, **self._digests[shared]})
        return ", ".join([*changed, *not_done]) or None

    def _digests_of(self, experiment: Experiment, prerequisites: Sequence[Prerequisite], later: bool) -> dict[str, str]:
        """Return the digests of a job's inputs but its collection. ``later``: the models that its prerequisites train
        do not exist yet, or will change.
        """
        from experiments.jobs.inputs import CODE, digest_of, names_of

        trained = {prerequisite.trains for prerequisite in prerequisites}
        if later:
            components, left_out = make_components(experiment), {CODE, *trained}
        else:
            experiment, components = with_trained(experiment, prerequisites)
            left_out = set()
        names = [
            name
            for name in names_of(experiment, components)
            if name not in left_out and (self._files or name in trained or not name.startswith("retrievers."))
        ]
        return {name: digest_of(name, experiment, components) for name in names}


def with_trained(experiment: Experiment, prerequisites: Sequence[Prerequisite]) -> tuple[Experiment, Components]:
    """Return an experiment that reads the models of its finished prerequisites, and its parts."""
    folders = {prerequisite.key: prerequisite.made for prerequisite in prerequisites}
    return with_models(experiment, lambda key, job: folders[key])
