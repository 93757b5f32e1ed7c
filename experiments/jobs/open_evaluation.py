"""Open the inputs of commands that evaluate without a training: a collection, a split, runs, and a W&B run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.common.cache import Cache, fingerprint
from experiments.common.disk import make_folder
from experiments.config import Experiment
from experiments.config.identity import folder_name
from experiments.data.collection import open_collection
from experiments.data.run import Run
from experiments.data.splits import Split
from experiments.jobs.components import Components
from experiments.jobs.prepare import relevance_of, splits_of
from experiments.retrieval.retriever import run_for
from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob


def without_training(experiment: Experiment, retrievers: Sequence[str]) -> Experiment:
    """Return an experiment in which only the given retrievers have a role, so that no others are made."""
    negatives = replace(experiment.negatives, source=retrievers[0])
    return replace(experiment, first_stage=list(retrievers), negatives=negatives)


class OpenEvaluation:
    """Opens a collection, and on demand the queries of one split and their runs."""

    def __init__(self, experiment: Experiment, parts: Components, split: str) -> None:
        self.experiment, self.retrievers = experiment, parts.retrievers
        self.cache = Cache(experiment.cache)
        self.collection = open_collection(parts.source, self.cache, experiment.data.ignore_identical_ids)
        self._split = split

    @cached_property
    def split(self) -> Split:
        """The queries of the split with their judgements."""
        return splits_of(self.experiment, self.collection, needed=(self._split,))[self._split]

    @cached_property
    def relevance(self) -> dict[int, dict[int, int]]:
        """Query row -> passage row -> grade."""
        return relevance_of(self.collection, self.split)

    def run(self, name: str, depth: int) -> Run:
        """Return the run of a retriever over the queries."""
        return run_for(self.retrievers[name], self.collection, self.split.queries, depth, self.cache)


def evaluation_folder(kind: str, experiment: Experiment, settings: Mapping[str, Any]) -> Path:
    """Make the folder of an audit or a probe below its study's."""
    folder = Path(experiment.outputs) / experiment.study / folder_name(kind, settings)
    make_folder(folder)
    return folder


def open_tracking(
    kind: str, experiment: Experiment, settings: Mapping[str, Any], parts: Components, folder: Path, tags: Sequence[str]
) -> WandbJob | NoTracking:
    """Return the tracking of an audit or a probe, a context manager."""
    from experiments.jobs.trainer import make_logger, tracking_of  # imports torch, which --help needs not

    identity = RunIdentity(
        study=experiment.study,
        name=folder.name,
        id=fingerprint({"study": experiment.study, kind: folder.name}),
        tags=tuple(tags),
        config=dict(settings),
        job_type=kind,
    )
    return tracking_of(make_logger(experiment.logger, parts.make, identity, folder.parent, folder))
