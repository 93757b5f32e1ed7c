"""Run one job with everything that belongs to it: the jobs that it needs, itself, and its test sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.config import Experiment
from experiments.jobs.components import make_components
from experiments.jobs.evaluate_checkpoint import evaluate_checkpoint
from experiments.jobs.prerequisites import folder_of, train_prerequisites
from experiments.jobs.run_job import run_job
from experiments.jobs.test_sets import open_test_sets, test_jobs_of


def run_whole_job(experiment: Experiment, config: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
    """Train what a job needs, train or measure its model, and measure that on all test sets; what is done is skipped.

    ``config``: the experiment as the resolved dictionary that identifies the job. Returns the job's metrics and folder.

    Raises:
        ExperimentError: a setting, a file or a test set cannot be used; test sets are read before anything is trained.
    """
    folder = folder_of(experiment, config)
    tests = list(test_jobs_of(experiment, config, folder))
    open_test_sets(tests)
    ready, components = train_prerequisites(experiment)
    run = run_job if experiment.model.trains else evaluate_checkpoint
    metrics = run(ready, config, components)
    for test in tests:
        evaluate_checkpoint(test.experiment, test.config, make_components(test.experiment))
    return metrics, folder
