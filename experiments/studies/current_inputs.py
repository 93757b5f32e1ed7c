"""Open the current collection, judgements and inputs of a job, to check its saved results against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from experiments.common.cache import Cache, thorough
from experiments.config import Experiment, compose
from experiments.data.collection import Collection, open_collection
from experiments.jobs.job_states import JobStates, with_trained
from experiments.jobs.prerequisites import Prerequisite, prerequisites_of, shared_by

Relevance = Mapping[int, Mapping[int, int]]


@dataclass(frozen=True)
class CurrentInputs:
    """The inputs of a job as they are now.

    ``relevance``: query row -> passage row -> grade of the test queries. ``digest``: name of an input -> its digest;
    raises ExperimentError if it is missing. ``prerequisites``: returns a line for each problem of a prerequisite job.
    """

    collection: Collection
    relevance: Relevance
    digest: Callable[[str], str]
    prerequisites: Callable[[], Sequence[str]] = tuple


class InputLoader:
    """Load the current inputs of jobs, each data set once."""

    def __init__(self) -> None:
        self._data: dict[str, tuple[Collection, Relevance]] = {}
        self._composed: dict[str, tuple[Prerequisite, ...]] = {}
        self._states = JobStates(files=True)

    def __call__(self, config: Mapping[str, Any]) -> CurrentInputs:
        """Load the current inputs of the job of a config.

        Raises:
            ExperimentError: the config is of another version, or its data cannot be opened.
        """
        experiment = compose.restored(config)
        key = repr((experiment.data, experiment.retrieve.split, experiment.cache))
        if key not in self._data:
            self._data[key] = _open(experiment)
        shared = shared_by(experiment)
        if shared not in self._composed:
            self._composed[shared] = prerequisites_of(experiment)
        prerequisites = self._composed[shared]
        return CurrentInputs(
            *self._data[key],
            partial(content_of, experiment, prerequisites),
            partial(self._changed_prerequisites, prerequisites),
        )

    def _changed_prerequisites(self, prerequisites: Sequence[Prerequisite]) -> list[str]:
        with thorough():
            return self._states.lines(prerequisites)


def _open(experiment: Experiment) -> tuple[Collection, Relevance]:
    from experiments.jobs.prepare import relevance_of, splits_of

    collection = open_collection(
        compose.source_of(experiment), Cache(experiment.cache), experiment.data.ignore_identical_ids
    )
    name = experiment.retrieve.split
    return collection, relevance_of(collection, splits_of(experiment, collection, needed=(name,))[name])


def content_of(experiment: Experiment, prerequisites: Sequence[Prerequisite], name: str) -> str:
    """Return the current digest of an input, named as in the job's status, such as ``retrievers.colbert``.

    Raises:
        ExperimentError: the input is missing.
    """
    from experiments.jobs.inputs import digest_of

    with thorough():
        return digest_of(name, *with_trained(experiment, prerequisites))
