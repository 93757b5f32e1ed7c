"""Measure first stages without a training, and keep the results in the form of a job's."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.config import Experiment
from experiments.config.identity import first_stages_hash, first_stages_name, located
from experiments.data.run import Run, digest_of, write_trec
from experiments.evaluation.measures import evaluate
from experiments.job_files.files import run_path
from experiments.job_files.job_folder import JobFolder
from experiments.job_files.per_query import PerQuery, per_query_path, write_per_query
from experiments.jobs.components import Components
from experiments.jobs.inputs import first_stage_inputs_of
from experiments.jobs.open_evaluation import OpenEvaluation
from experiments.jobs.prepare import data_label
from experiments.jobs.run_metadata import Origin, header_of

FOLDER = "runs"  # below the study's
FIRST_STAGE_ALONE = "none"  # the label ``loss`` of such a job: nothing was trained

log = logging.getLogger(__name__)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved config with a first stage as source of negatives, so that no other retriever is made."""
    return {**config, "negatives": {**config["negatives"], "source": config["first_stage"][0]}}


def folder_of(config: Mapping[str, Any]) -> str:
    """Return the folder of the results below the study's, such as ``runs/retrieve-test-1a2b3c4d``."""
    return f"{FOLDER}/{first_stages_name(settings_of(config))}"


def measure_first_stages(
    experiment: Experiment, config: Mapping[str, Any], parts: Components
) -> tuple[dict[str, Any], Path]:
    """Measure the first stages of an experiment, or read earlier results; returns the metrics and their folder.

    Raises:
        ExperimentError: the data set has no such split, or a retriever cannot be used.
    """
    config = located(config)
    folder = Path(experiment.outputs) / experiment.study / folder_of(config)
    job = JobFolder(folder, first_stages_hash(settings_of(config)))
    with job.locked():
        opened = OpenEvaluation(experiment, parts, experiment.retrieve.split)
        inputs = first_stage_inputs_of(parts, opened.collection.fingerprint)
        done = job.finished_with(config, inputs)
        if done is not None:
            log.info("measured before: %s", job.folder)
            return done, job.folder
        job.start(config, inputs)
        try:
            metrics = _measured(opened, job)
        except BaseException as error:
            job.fail(error)
            raise
        job.finish(metrics)
    return metrics, job.folder


def _measured(opened: OpenEvaluation, job: JobFolder) -> dict[str, Any]:
    experiment, data = opened.experiment, opened.experiment.data
    by_first_stage = {}
    for name in experiment.first_stage:
        began = time.monotonic()
        measured = _measure_run(name, opened.run(name, experiment.rerank_depth), opened, job)
        by_first_stage[name] = {**measured, "seconds": round(time.monotonic() - began, 3)}
    split, place = opened.split.name, data_label(experiment, opened.collection, opened.split.name)
    labels = {"loss": FIRST_STAGE_ALONE, "seed": experiment.seed, "data": place}
    labels |= {"folds": data.folds, "fold": data.fold} if data.folds else {}
    return {"labels": labels, "split": split, "test": by_first_stage, "compute": {"seconds": job.seconds}}


def _measure_run(name: str, run: Run, opened: OpenEvaluation, job: JobFolder) -> dict[str, Any]:
    """Measure a run and write it in the form of a job whose model changed nothing."""
    collection = opened.collection
    measured = evaluate(run, opened.relevance, opened.experiment.measures)
    origin = Origin(run.name, collection.name, opened.split.name, name, trained=False, seconds=job.seconds)
    write_trec(run, collection, run_path(job.folder, name), header_of(opened.experiment, origin))
    table = PerQuery(tuple(collection.queries.ids(measured.queries)), measured.per_query, measured.per_query)
    write_per_query(per_query_path(job.folder, name), table)
    return {
        **measured.mean,
        "first_stage": measured.mean,
        "first_stage_digest": digest_of(run),
        "queries": len(measured.queries),
        "without_relevant": opened.split.without_relevant,
        "pairs": len(run.passages.values),
        "ties": 0,
    }
