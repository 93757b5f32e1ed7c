"""Compose the jobs that measure a finished model on further test sets."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.common.model_files import EXPORTED
from experiments.config import Experiment, compose
from experiments.config.identity import job_name
from experiments.data.splits import TEST
from experiments.jobs.components import make_components
from experiments.jobs.prerequisites import prerequisites_of
from experiments.models.checkpoint.config import CheckpointConfig

CHECKPOINT = f"{CheckpointConfig.__module__}.{CheckpointConfig.__qualname__}"
OF_A_TEST_SET = ("data", "first_stage", "first_stage_depth", "measures", "retrievers")


@dataclass(frozen=True)
class TestJob:
    """A job that measures the model of another one on a test set. ``config``: the dictionary that identifies it."""

    __test__ = False  # no test case of pytest

    name: str
    experiment: Experiment
    config: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        return Path(self.experiment.outputs) / self.experiment.study / job_name(self.config)


def test_jobs_of(experiment: Experiment, config: Mapping[str, Any], folder: Path) -> Iterator[TestJob]:
    """Yield a job for each of an experiment's test sets. ``config``: its own. ``folder``: of its results.

    Raises:
        ExperimentError: a setting of a test set cannot be used; the message names it.
    """
    if not experiment.tests:
        return
    model: dict[str, Any] = {"_target_": CHECKPOINT, "name": CheckpointConfig.name, "path": str(folder / EXPORTED)}
    if not experiment.model.trains:
        first = [before.folder / EXPORTED for before in prerequisites_of(experiment) if before.key == "model.job"]
        model = {**config["model"], "job": None, "path": str(experiment.model.reads().get("path", *first))}
    for name, test_set in experiment.tests.items():
        own = asdict(test_set)
        changed = {
            **{key: own[key] for key in OF_A_TEST_SET},
            "model": model,
            "test_set": name,
            "tests": {},
            "probe": {**config["probe"], "layers": None},
        }
        with compose.explained(f"tests.{name}: "):
            settings = compose.typed({**config, **changed})
            yield TestJob(name, compose.check(settings), compose.plain(settings))


def check_test_sets(experiment: Experiment, config: Mapping[str, Any]) -> None:
    """Check the settings and files of all test sets, without reading them."""
    for test in test_jobs_of(experiment, config, Path(experiment.outputs)):
        make_components(test.experiment)


def open_test_sets(tests: Iterable[TestJob]) -> None:
    """Read the collections and the queries of test sets, and rank their first stages: all of it is kept in the cache.

    Raises:
        ExperimentError: a test set cannot be measured on; the message names it.
    """
    from experiments.jobs.open_evaluation import OpenEvaluation  # imports torch, which a plan needs not

    for test in tests:
        with compose.explained(f"tests.{test.name}: "):
            opened = OpenEvaluation(test.experiment, make_components(test.experiment), TEST)
            for name in test.experiment.first_stage:
                opened.run(name, test.experiment.rerank_depth)
