"""One job from its config to its results: data, runs, sampler, training, selection on dev, and the test queries once at
the end.

What can be wrong is looked at in that order before anything is trained: the data, the negatives of every training
query, the weights. What was computed lies in the store or in the job's folder, so that a job that stops goes on from
there.
"""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_only

from experiments.data.collection import Collection, open_collection
from experiments.evaluation.measures import evaluate, rerank
from experiments.modules.progress_bar import ProgressBar
from experiments.negatives.audit import write_audit
from experiments.retrieval.run import Run, write_trec
from experiments.schema import Experiment
from experiments.store import Store, fingerprint, write_json
from experiments.studies.identity import job_name
from experiments.studies.job import JobFolder
from experiments.studies.preparation import Parts, Prepared, prepare, relevance_of
from experiments.studies.training import make_module, make_trainer, select, silence_lightning
from experiments.tracking.wandb import NoTracking, RunIdentity, WandbJob

log = logging.getLogger(__name__)


def run_job(experiment: Experiment, config: Mapping[str, Any], parts: Parts, label: str = "") -> dict[str, Any]:
    """Run a job, or take it up where it stopped, or read its results if it is finished; returns its metrics.

    ``experiment`` and ``config`` are the same: as objects, and as the resolved plain dictionary that identifies the
    job.

    Raises:
        ExperimentError: something in the config or the data cannot be used; nothing is trained then.
    """
    study = Path(experiment.outputs) / experiment.study
    job = JobFolder(study / job_name(config))
    store = Store(experiment.cache)
    label = label or job.folder.name.rpartition("-")[0]
    if (
        getattr(rank_zero_only, "rank", 0) != 0
    ):  # of one training on several devices: the first process keeps the folder
        return _execute(
            experiment, config, open_collection(parts.source, store), parts, store, job, NoTracking(), label
        )
    with job.locked():
        collection = open_collection(parts.source, store)
        done = job.finished_with(collection.fingerprint)
        if done is not None:
            log.info("%s is finished already: %s", label, job.folder)
            return done
        job.start(config, collection.fingerprint)
        try:
            with _tracking(experiment, config, collection, study) as tracking:
                metrics = _execute(experiment, config, collection, parts, store, job, tracking, label)
        except BaseException as error:
            job.fail(error)
            raise
        job.finish(metrics)
    return metrics


def labels_of(experiment: Experiment, config: Mapping[str, Any], collection: Collection) -> dict[str, Any]:
    """What tables and W&B tags call a job by: its place on each axis that studies vary."""
    return {
        "loss": config["loss"]["name"],
        "negatives": experiment.negatives.count,
        "source": experiment.negatives.source,
        "rule": experiment.negatives.name,
        "seed": experiment.seed,
        "data": collection.name,
        "backbone": experiment.backbone.name,
        "budget": f"{experiment.budget.size:,} {experiment.budget.unit}",
    }


def _tracking(
    experiment: Experiment, config: Mapping[str, Any], collection: Collection, study: Path
) -> WandbJob | NoTracking:
    if experiment.logger.mode == "none":
        return NoTracking()
    name = job_name(config)
    labels = labels_of(experiment, config, collection)
    identity = RunIdentity(
        study=experiment.study,
        name=name,
        id=fingerprint({"study": experiment.study, "job": name}),
        tags=tuple(f"{axis}={value}" for axis, value in labels.items()),
        config=dict(config),
    )
    return WandbJob(identity, study, experiment.logger.mode, experiment.logger.project, experiment.logger.entity)


def _execute(
    experiment: Experiment,
    config: Mapping[str, Any],
    collection: Collection,
    parts: Parts,
    store: Store,
    job: JobFolder,
    tracking: WandbJob | NoTracking,
    label: str,
) -> dict[str, Any]:
    if experiment.trainer.threads is not None:
        torch.set_num_threads(experiment.trainer.threads)
    pl.seed_everything(experiment.seed, workers=True, verbose=False)
    prepared = prepare(experiment, collection, parts, store)
    module, data, steps = make_module(experiment, prepared, parts.loss)
    progress = ProgressBar(label, steps * data.groups.queries_per_step)
    trainer, best = make_trainer(experiment, module, tracking, job, progress, steps)
    with warnings.catch_warnings():
        silence_lightning()
        trainer.fit(module, datamodule=data, ckpt_path=job.resumable, weights_only=False)
        dev = select(experiment, module, best)
        metrics: dict[str, Any] = {"labels": labels_of(experiment, config, collection), "dev": dev, "test": {}}
        for name, run in prepared.test.items():
            progress.scoring = f"re-ranking {name}"
            trainer.predict(
                module,
                dataloaders=data.run_loader(run, (trainer.global_rank, trainer.world_size)),
                return_predictions=False,
            )
            scores = module.gathered_scores().numpy()
            if trainer.is_global_zero:
                metrics["test"][name] = _report_first_stage(experiment, prepared, run, scores, job, tracking)
    if trainer.is_global_zero:
        module.export(job.model)
        audit = write_audit(
            data.groups, module.spent.steps, prepared.source_run, collection, job.folder / "negatives.tsv.gz"
        )
        write_json(job.folder / "audit.json", audit)
        metrics["compute"] = {
            **module.spent.as_dict(),
            "train_seconds": module.spent.seconds,
            "seconds": job.seconds,
            "device": str(module.device),
            "threads": torch.get_num_threads(),
            "layout": module.layout,
            "cache_hits": store.hits,
            "cache_builds": store.builds,
        }
        write_json(job.folder / "compute.json", metrics["compute"])
        tracking.log_summary(_headline(metrics, experiment.measures))
    return metrics


def _report_first_stage(
    experiment: Experiment,
    prepared: Prepared,
    first_stage: Run,
    scores: NDArray[np.float32],
    job: JobFolder,
    tracking: WandbJob | NoTracking,
) -> dict[str, Any]:
    """Measure the re-ranked run and the first stage itself, and write both into the job's folder."""
    collection, measures = prepared.collection, experiment.measures
    relevance = relevance_of(collection, prepared.splits["test"])
    reranked, ties = rerank(first_stage, scores, job.folder.name)
    after, before = evaluate(reranked, relevance, measures), evaluate(first_stage, relevance, measures)
    path = job.folder / f"run.{first_stage.name}.trec.gz"
    write_trec(reranked, collection, path)
    query_ids = collection.queries.ids(after.queries)
    columns = {name: after.per_query[name].tolist() for name in measures}
    columns |= {f"first_stage:{name}": before.per_query[name].tolist() for name in measures}
    job.write_per_query(first_stage.name, query_ids, columns)
    tracking.log_table(
        f"per_query/{first_stage.name}",
        ["query", "text", *columns],
        (
            [one, text, *values]
            for one, text, *values in zip(
                query_ids, collection.queries.texts(after.queries), *columns.values(), strict=True
            )
        ),
    )
    tracking.log_run_file(first_stage.name, path)
    return {**after.mean, "first_stage": before.mean, "ties": ties, "queries": len(query_ids), "pairs": len(scores)}


def _headline(metrics: Mapping[str, Any], measures: list[str]) -> dict[str, float]:
    """W&B's summary: each measure per first stage, the first of each also alone under the measure's name, and the
    costs.
    """
    summary: dict[str, float] = {}
    for name, values in metrics["test"].items():
        for measure in measures:
            summary.setdefault(measure, values[measure])
            summary[f"{name}/{measure}"] = values[measure]
            summary[f"{name}/first_stage/{measure}"] = values["first_stage"][measure]
        summary[f"{name}/ties"] = values["ties"]
    spent = ("groups", "pairs", "tokens", "padding_waste", "flops", "train_seconds", "seconds")
    return summary | {f"compute/{key}": metrics["compute"][key] for key in spent}
