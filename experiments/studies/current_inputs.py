"""What the saved results of a job are held against today: its collection, judgements and inputs, opened anew."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from experiments.common.cache import thorough
from experiments.config import Experiment, compose
from experiments.jobs.prerequisites import Need, Standing, needs_of, shared_by, with_models
from experiments.studies.verify import Today


class Opener:
    """Opens what jobs are held against; jobs that share their data share it."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Any, Any]] = {}
        self._composed: dict[str, tuple[Need, ...]] = {}
        self._standing = Standing(files=True)

    def __call__(self, config: Mapping[str, Any]) -> Today:
        """What the job of a config is held against.

        Raises:
            ExperimentError: the config is of another version, or its data cannot be opened.
        """
        experiment = compose.restored(config)
        key = repr((experiment.data, experiment.retrieve.split, experiment.cache))
        if key not in self._opened:
            self._opened[key] = _open(experiment)
        needs = self._needs(experiment)
        return Today(*self._opened[key], partial(content_of, experiment, needs), partial(self._changed_before, needs))

    def _needs(self, experiment: Experiment) -> tuple[Need, ...]:
        shared = shared_by(experiment)
        if shared not in self._composed:
            self._composed[shared] = needs_of(experiment)
        return self._composed[shared]

    def _changed_before(self, needs: Sequence[Need]) -> list[str]:
        with thorough():
            return self._standing.lines(needs)


def _open(experiment: Experiment) -> tuple[Any, Any]:
    from experiments.common.cache import Cache
    from experiments.data.collection import open_collection
    from experiments.jobs.prepare import relevance_of, splits_of

    collection = open_collection(
        compose.source_of(experiment), Cache(experiment.cache), experiment.data.ignore_identical_ids
    )
    name = experiment.retrieve.split
    return collection, relevance_of(collection, splits_of(experiment, collection, needed=(name,))[name])


def content_of(experiment: Experiment, needs: Sequence[Need], name: str) -> str:
    """The digest of one of an experiment's inputs as it is now; ``name``: as its status has it, such as
    ``retrievers.colbert`` or ``loss.teacher``. ``needs``: the jobs that train what it needs.

    Raises:
        ExperimentError: it is not there.
    """
    from experiments.jobs.inputs import digest_of

    with thorough():
        return digest_of(name, *with_models(experiment, needs))
