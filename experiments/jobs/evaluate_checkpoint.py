"""Run one job of a model that is not trained: re-rank each first stage's test run with it, and measure."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments.common.cache import Cache, fingerprint
from experiments.common.disk import explained
from experiments.common.errors import ExperimentError
from experiments.common.model_files import EXPORTED, is_folder
from experiments.config import Experiment, Model
from experiments.config.identity import job_hash, job_name, located, scientific, short_name
from experiments.data.collection import Collection, open_collection
from experiments.data.splits import TEST
from experiments.evaluation.measures import rerank
from experiments.job_files.checked_results import read_status
from experiments.job_files.files import CONFIG, METRICS, STATUS, read_mapping
from experiments.job_files.integrity import refuse_unreportable
from experiments.job_files.job_folder import JobFolder
from experiments.job_files.per_query import DEPTHS
from experiments.jobs.components import Components
from experiments.jobs.evaluate import ResultFiles, windows_in
from experiments.jobs.inference_depths import answers_among, check_reached, measure_depths
from experiments.jobs.inputs import inputs_of
from experiments.jobs.machine import machine_of
from experiments.jobs.prepare import data_label, relevance_of, splits_of, warn_of_unmatched
from experiments.jobs.run_metadata import Origin, header_of
from experiments.jobs.threads import set_threads
from experiments.jobs.trainer import make_logger, tracking_of
from experiments.models.checkpoint.config import CheckpointConfig
from experiments.models.cross_encoder.export import PairCut
from experiments.models.pair_scorer import SCORES, PairScorer, load_scorer
from experiments.retrieval.inject_gold import with_gold
from experiments.retrieval.retriever import Retriever, run_for
from experiments.tracking.summary import HASH, LABELS, TRAINED_BY, summary_of
from experiments.tracking.wandb_job import RunIdentity

KIND = "evaluate"  # of the W&B run
TRAINED_ELSEWHERE = "given"  # the label ``loss`` of a model that no job of ours trained

log = logging.getLogger(__name__)


def evaluate_checkpoint(experiment: Experiment, config: Mapping[str, Any], components: Components) -> dict[str, Any]:
    """Measure a model that is not trained, or read earlier results; returns the metrics of the job.

    ``config``: the experiment as the resolved dictionary that identifies the job.

    Raises:
        ExperimentError: the model or the data cannot be used; the model is read before anything is retrieved.
    """
    config, cache = located(config), Cache(experiment.cache)
    job = JobFolder(Path(experiment.outputs) / experiment.study / job_name(config), job_hash(config))
    with explained(job.folder), job.locked():
        collection = open_collection(components.source, cache, experiment.data.ignore_identical_ids)
        digests = inputs_of(experiment, components, collection.fingerprint)
        finished = job.finished_with(config, digests)
        if finished is not None:
            log.info("%s is measured already: %s", short_name(config), job.folder)
            return finished
        job.start(config, digests)
        try:
            with explained(job.folder):
                metrics = _measured(experiment, config, collection, components, job, cache)
        except BaseException as error:
            job.fail(error)
            raise
        job.finish(metrics)
    return metrics


def _measured(
    experiment: Experiment, config: Mapping[str, Any], collection: Collection, components: Components, job: JobFolder,
    cache: Cache,
) -> dict[str, Any]:  # fmt: skip
    set_threads(experiment)
    place = experiment.model.reads()["path"]
    training = training_of(place)
    labels = labels_of(experiment, experiment.test_set or data_label(experiment, collection), training)
    scorer = _scorer_of(experiment.model, place, experiment.trainer.precision)
    trained_by = {TRAINED_BY: scientific(training["config"])} if training is not None else {}
    identity = _wandb_identity(experiment, {**config, **trained_by}, labels)
    logger = make_logger(experiment.logger, components.make, identity, job.folder.parent, job.folder)
    with tracking_of(logger) as tracking:
        split = splits_of(experiment, collection, needed=(TEST,))[TEST]
        results = ResultFiles(experiment, collection, split, job, tracking)
        test = {
            name: _reranked(components.retrievers[name], experiment, scorer, results, cache)
            for name in experiment.first_stage
        }
        counts = {"cache_hits": cache.hits, "cache_builds": cache.builds}
        compute = {"seconds": job.seconds, **machine_of(scorer.device), **counts}
        metrics = {"labels": labels, "test": test, "compute": compute, **trained_by}
        tracking.log_summary(summary_of(metrics, experiment.measures))
    return metrics


def _scorer_of(model: Model, place: str, precision: str) -> PairScorer:
    """Load the model that is measured."""
    assert isinstance(model, CheckpointConfig)
    cut = PairCut(model.max_query_tokens, model.max_length, windows=model.windows)
    return load_scorer(place, "model.path", cut, own_windows=model.document is None, precision=precision)


def _reranked(
    retriever: Retriever, experiment: Experiment, scorer: PairScorer, results: ResultFiles, cache: Cache
) -> dict[str, Any]:
    """Re-rank a first stage; returns the measures."""
    collection, split = results.collection, results.split
    first_stage = run_for(retriever, collection, split.queries, experiment.rerank_depth, cache)
    warn_of_unmatched(first_stage, split)
    check_reached(first_stage, experiment.depths)
    gold = experiment.first_stage_inject_gold
    candidates = with_gold(first_stage, split.relevant) if gold else first_stage
    queries = candidates.queries.repeat(candidates.passages.lengths)
    began, scored = time.perf_counter(), cache.builds.get(SCORES, 0)
    scores_P = scorer.score(collection, queries, candidates.passages.values, cache)
    seconds = time.perf_counter() - began if cache.builds.get(SCORES, 0) > scored else None  # read from the cache
    made, ties = rerank(candidates, scores_P, results.job.folder.name)
    origin = Origin(
        made.name, collection.name, split.name, retriever.name, True, results.job.seconds,
        torch.cuda.get_device_name(scorer.device) if scorer.device.type == "cuda" else None,
    )  # fmt: skip
    measured = {**results.write(retriever.name, first_stage, made, header_of(experiment, origin)), "ties": ties}
    windows_N = scorer.windows_of(collection, queries, candidates.passages.values, cache)
    measured |= windows_in(windows_N)
    if len(experiment.depths) == 1:
        return measured
    timed = scorer.milliseconds_at(collection, candidates, experiment.depths)
    depths = measure_depths(
        retriever.name, candidates, scores_P, experiment.depths, relevance=relevance_of(collection, split),
        measures=experiment.measures, collection=collection, folder=results.job.folder,
        always_N=answers_among(candidates, split.relevant) if gold else None,
        seconds=seconds if timed is None else None, milliseconds=timed, windows_N=windows_N,
        header=lambda depth: header_of(experiment, replace(origin, depth=depth)),
        log=partial(results.log_depth, retriever.name),
    )  # fmt: skip
    return {**measured, DEPTHS: depths}


def training_of(place: str) -> dict[str, Any] | None:
    """Return ``config`` and ``labels`` of the job that trained a model; None for the model of no job of ours.

    Raises:
        ExperimentError: a file of the job is damaged.
    """
    job = Path(place).parent
    if not is_folder(place) or Path(place).name != EXPORTED or not (job / METRICS).is_file():
        return None
    if (job / STATUS).exists():
        refuse_unreportable(job, read_status(job))
    labels = read_mapping(job / METRICS).get("labels")
    if not isinstance(labels, Mapping):
        raise ExperimentError(f"{job / METRICS} has no labels: run the job again")
    return {"config": read_mapping(job / CONFIG), "labels": labels}


def labels_of(experiment: Experiment, data: str, training: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the labels of a job that trains nothing: those of the training with the data that it ``trained_on``, or
    the model's name.
    """
    own = {"loss": TRAINED_ELSEWHERE, "seed": experiment.seed, **experiment.model.labels()}
    of_training = {**training["labels"], "trained_on": training["labels"]["data"]} if training is not None else own
    labels = {**of_training, "data": data}
    if isinstance(experiment.model, CheckpointConfig):
        labels |= experiment.model.labels() if experiment.model.label is not None else experiment.model.document_label()
    if experiment.variant is not None:
        labels["variant"] = experiment.variant
    return labels | ({"gold": "injected"} if experiment.first_stage_inject_gold else {})


def _wandb_identity(experiment: Experiment, config: Mapping[str, Any], labels: Mapping[str, Any]) -> RunIdentity:
    name = job_name(config)
    return RunIdentity(
        study=experiment.study,
        name=name,
        id=fingerprint({"study": experiment.study, "job": name}),
        tags=tuple(f"{axis}={value}" for axis, value in labels.items()),
        config={**config, LABELS: dict(labels), HASH: job_hash(config)},
        job_type=KIND,
    )
