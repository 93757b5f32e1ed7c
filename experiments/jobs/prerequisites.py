"""The jobs that a job needs done first, and whether a finished job and those still stand as they did."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.common.model_files import changes
from experiments.config import Experiment, compose
from experiments.config.identity import job_name
from experiments.job_files.status import CHANGED, DONE, State, noted_inputs, state_of

TRAINED = {"loss.job": "loss.teacher", "model.dual_encoder.job": "model.dual_encoder.cross_encoder"}


@dataclass(frozen=True)
class Need:
    """A job that another one needs done first. ``key``: what names it in the other one's config; ``needs``: what it
    needs itself; ``config``: as the dictionary that identifies it.
    """

    key: str
    experiment: Experiment
    config: Mapping[str, Any]
    needs: tuple["Need", ...]

    @property
    def folder(self) -> Path:
        """Where its results are."""
        return folder_of(self.experiment, self.config)

    @property
    def trains(self) -> str:
        """The input of the other job that it trains, such as ``loss.teacher`` or ``retrievers.colbert``."""
        return TRAINED.get(self.key, self.key.removesuffix(".job"))

    def deepest_first(self) -> Iterator["Need"]:
        """What it needs, and then itself."""
        for need in self.needs:
            yield from need.deepest_first()
        yield self


def folder_of(experiment: Experiment, config: Mapping[str, Any]) -> Path:
    """The folder of a job."""
    return Path(experiment.outputs) / experiment.study / job_name(config)


def needs_of(experiment: Experiment, chain: tuple[str, ...] = ()) -> tuple[Need, ...]:
    """The jobs that train what an experiment needs. ``chain``: the jobs that wait for this one.

    Raises:
        ExperimentError: one does not compose, or needs itself.
    """
    needs = []
    for key, job in compose.jobs_before(experiment).items():
        before, config = compose.job_before(key, job, experiment, chain)
        needs.append(Need(key, before, config, needs_of(before, (*chain, job))))
    return tuple(needs)


def shared_by(experiment: Experiment) -> str:
    """All that decides what an experiment needs done first: as composing it takes a while, alike ones share it."""
    keys = compose.jobs_before(experiment)
    return repr((keys, experiment.data, experiment.backbone, experiment.trainer, experiment.outputs, experiment.scale))


def with_models(experiment: Experiment, needs: Sequence[Need]) -> tuple[Experiment, Any]:
    """An experiment and its parts with the models that other jobs have trained for it."""
    made = {need.key: need.folder / "model" for need in needs}
    if "loss.job" in made:
        experiment = replace(experiment, loss={**experiment.loss, "teacher": str(made["loss.job"])})
    if "model.dual_encoder.job" in made:
        dual = replace(experiment.model.dual_encoder, cross_encoder=str(made["model.dual_encoder.job"]))
        experiment = replace(experiment, model=replace(experiment.model, dual_encoder=dual))
    return experiment, compose.make_parts(experiment, lambda key, job: made[key])


class Standing:
    """Where jobs stand today; each is looked at once.

    ``files``: look at the files of retrievers too, which may be large.
    """

    def __init__(self, files: bool = False) -> None:
        self._files = files
        self._known: dict[Path, State] = {}

    def of(self, folder: Path, experiment: Experiment, needs: Sequence[Need]) -> State:
        """Where a job stands: ``changed`` if it is done, but backbone, loss or another of its inputs is another one by
        now, or a job that it needs is not done with the inputs of today; it then says which. The collection is looked
        at when it runs.
        """
        if folder not in self._known:
            state = state_of(folder)
            changed = self._changed(folder, experiment, needs) if state.word == DONE else None
            self._known[folder] = state if changed is None else State(CHANGED, changed)
        return self._known[folder]

    def lines(self, needs: Sequence[Need]) -> list[str]:
        """One line for each of some jobs that is not done with the inputs of today."""
        words = ((need, self._word(need)) for need in needs)
        return [f"the job that trains {need.trains} {word}" for need, word in words if word is not None]

    def _word(self, need: Need) -> str | None:
        state = self.of(need.folder, need.experiment, need.needs)
        if state.word == CHANGED:
            return f"has changed inputs: {state.why}"
        return None if state.word == DONE else f"is {state.word}"

    def _changed(self, folder: Path, experiment: Experiment, needs: Sequence[Need]) -> str | None:
        """The inputs of a finished job that are others by now; None if there is none."""
        from experiments.jobs.inputs import CODE, digest_of, names_of

        words = ((need, self._word(need)) for need in needs)
        not_done = [f"{need.trains} (its job {word})" for need, word in words if word is not None]
        trained = {need.trains for need in needs}
        if not_done:  # what they train is not yet there, or will be another
            parts = compose.make_parts(experiment)
            later = {CODE, *trained}
        else:
            experiment, parts = with_models(experiment, needs)
            later = set()
        names = [
            name
            for name in names_of(experiment, parts)
            if name not in later and (self._files or name in trained or not name.startswith("retrievers."))
        ]
        noted = noted_inputs(folder)
        changed = changes(noted, {**noted, **{name: digest_of(name, experiment, parts) for name in names}})
        return ", ".join([*changed, *not_done]) or None
