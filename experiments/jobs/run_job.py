"""One job from its config to its results: data, runs, sampler, training, selection on dev, and the test queries once at
the end.

What can be wrong is looked at in that order before anything is trained: the data, the negatives of every training
query, the weights. What was computed lies in the store or in the job's folder, so that a job that stops goes on from
there.
"""

import json
import logging
import os
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from experiments.analysis.load_wandb import PROBE, flat
from experiments.callbacks.progress_bar import ProgressBar
from experiments.common.cache import Store, fingerprint, write_json
from experiments.config import Experiment
from experiments.config.identity import job_name, located
from experiments.data.collection import Collection, open_collection
from experiments.job_files.job_folder import JobFolder
from experiments.jobs.build import build
from experiments.jobs.evaluate import Testing
from experiments.jobs.inputs import inputs_of
from experiments.jobs.prepare import Parts, prepare, relevance_of
from experiments.jobs.probe_layers import check_probe, probe_stage
from experiments.jobs.trainer import make_trainer, select, silence_lightning
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.ranker import Ranker
from experiments.negatives.draw_log import write_audit
from experiments.probing.model import ProbedModel, model_in_memory
from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob

log = logging.getLogger(__name__)


def run_job(experiment: Experiment, config: Mapping[str, Any], parts: Parts, label: str = "") -> dict[str, Any]:
    """Run a job, or take it up where it stopped, or read its results if it is finished; returns its metrics.

    ``experiment`` and ``config`` are the same: as objects, and as the resolved plain dictionary that identifies the
    job.

    Raises:
        ExperimentError: something in the config or the data cannot be used; nothing is trained then.
    """
    study, config = Path(experiment.outputs) / experiment.study, located(config)
    job = JobFolder(study / job_name(config))
    store = Store(experiment.cache)
    label = label or job.folder.name.rpartition("-")[0]
    if (
        getattr(rank_zero_only, "rank", 0) != 0
    ):  # of one training on several devices: the first process keeps the folder
        return _execute(
            experiment,
            config,
            open_collection(parts.source, store, experiment.data.ignore_identical_ids),
            parts,
            store,
            job,
            NoTracking(),
            label,
        )
    with job.locked():
        collection = open_collection(parts.source, store, experiment.data.ignore_identical_ids)
        inputs = inputs_of(experiment, parts, collection.fingerprint)
        done = job.finished_with(inputs)
        if done is not None:
            log.info("%s is finished already: %s", label, job.folder)
            return done
        job.start(config, inputs)
        try:
            with _tracking(experiment, config, collection, study) as tracking:
                metrics = _execute(experiment, config, collection, parts, store, job, tracking, label)
        except BaseException as error:
            job.fail(error)
            raise
        job.finish(metrics)
    return metrics


def _probed(module: Ranker, job: JobFolder) -> ProbedModel:
    assert isinstance(module, CrossEncoder)  # the schema lets no other kind be probed
    return model_in_memory(module.network, module.tokenizer, job.folder.name)


def labels_of(experiment: Experiment, config: Mapping[str, Any], collection: Collection) -> dict[str, Any]:
    """What tables and W&B tags call a job by: its place on each axis that studies vary."""
    return {
        "loss": config["loss"]["name"],
        "negatives": experiment.negatives.count,
        "source": experiment.negatives.source,
        "rule": experiment.negatives.name,
        "seed": experiment.seed,
        "data": collection.name,
        **({"folds": experiment.data.folds, "fold": experiment.data.fold} if experiment.data.folds else {}),
        "backbone": experiment.backbone.name,
        "budget": f"{experiment.budget.size:,} {experiment.budget.unit}",
        **({"model": experiment.model.kind} if experiment.model.kind != "cross_encoder" else {}),
        **(_dual_labels(experiment) if experiment.model.kind == "dual_encoder" else {}),
        **({"gold": "injected"} if experiment.first_stage_inject_gold else {}),
    }


def _dual_labels(experiment: Experiment) -> dict[str, Any]:
    """What a dual encoder starts from, and what it learns from."""
    dual = experiment.model.dual_encoder
    copied = [*(["embeddings"] if dual.infuse_embeddings else []), *map(str, dual.infused)]
    learnt = [*([dual.distil] if dual.distil != "none" else [])]
    learnt += [f"layer {dual.align_layer}"] if dual.align_layer is not None else []
    return {
        "layers": dual.layers if dual.layers is not None else "all",
        "infused": "+".join(copied) or "none",
        "rest": dual.rest,
        "distilled": "+".join(learnt) or "none",
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
        config={**config, "labels": labels},
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
    training = build(experiment, prepared, parts.loss, store)
    module, data = training.module, training.data
    if experiment.probe.layers is not None:
        check_probe(experiment, _probed(module, job))
    progress = ProgressBar(label, training.steps * data.groups.queries_per_step)
    trainer, checkpoints = make_trainer(experiment, module, tracking, job, progress, training.steps)
    with warnings.catch_warnings():
        silence_lightning()
        trainer.fit(module, datamodule=data, ckpt_path=checkpoints.resumed_from, weights_only=True)
        metrics: dict[str, Any] = {
            "labels": labels_of(experiment, config, collection),
            "dev": select(experiment, module, checkpoints),
        }
        if trainer.is_global_zero:
            module.export(job.model)
        testing = Testing(experiment, prepared, training, trainer, progress, job, tracking, store)
        metrics["test"] = testing.first_stages()
        found = testing.whole_collection()
        metrics["test"] |= found.pop("test", {})
        metrics |= found
    if trainer.is_global_zero and experiment.probe.layers is not None:
        model = _probed(module, job)
        relevance = relevance_of(collection, prepared.splits["test"])
        metrics["probe"] = probe_stage(
            experiment, model, collection, relevance, prepared.test, job.folder, tracking, store
        )
    if trainer.is_global_zero:
        audit = write_audit(
            data.groups, prepared.sampler, module.spent.steps, collection, job.folder / "negatives.tsv.gz"
        )
        write_json(job.folder / "audit.json", audit)
        metrics["compute"] = _compute(module, job, store)
        write_json(job.folder / "compute.json", metrics["compute"])
        tracking.log_summary(_headline(metrics, experiment.measures))
    return metrics


def _compute(module: Ranker, job: JobFolder, store: Store) -> dict[str, Any]:
    """What the job cost, and where it ran."""
    return {
        **module.spent.as_dict(),
        "train_seconds": module.spent.seconds,
        "seconds": job.seconds,
        "device": str(module.device),
        "machine": _machine(module),
        "threads": torch.get_num_threads(),
        "layout": getattr(module, "layout", "padded"),
        "cache_hits": store.hits,
        "cache_builds": store.builds,
    }


def _machine(module: Ranker) -> str:
    """What a job ran on, such as ``Linux x86_64, 2 cores``, or the name of the GPU."""
    here = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{here}, {torch.cuda.get_device_name(module.device)}" if module.device.type == "cuda" else here


def _headline(metrics: Mapping[str, Any], measures: list[str]) -> dict[str, float | int | str | None]:
    """W&B's summary: each measure per first stage, the first of each also alone under the measure's name, the costs,
    and all else that ``experiments.analysis.load_wandb`` reads a job back from.
    """
    summary: dict[str, Any] = {}
    for name, values in metrics["test"].items():
        for measure in measures:
            summary.setdefault(measure, values[measure])
        summary |= flat(values, name)
    for split, found in metrics.get("retrieval", {}).items():
        for name, values in found.items():
            summary |= {f"retrieval/{split}/{name}/{measure}": values[measure] for measure in measures}
    if "probe" in metrics:
        summary[PROBE] = json.dumps(metrics["probe"])  # one text: its many keys would be a column each
    return summary | flat(metrics["compute"], "compute")
