"""Run one job from its config to its results: data, runs, sampler, training, selection on dev, and the test queries
once at the end.

What can be wrong is looked at in that order before anything is trained: the data, the negatives of every training
query, the weights. What was computed is in the cache or in the job's folder, so that a job that stops goes on from
there.
"""

import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from experiments.analysis.load_wandb import PROBE, flat
from experiments.common.cache import Cache, fingerprint, write_json
from experiments.config import Experiment
from experiments.config.identity import job_name, located
from experiments.data.collection import Collection, open_collection
from experiments.job_files.job_folder import JobFolder
from experiments.jobs.build import Training, build
from experiments.jobs.evaluate import Testing
from experiments.jobs.inputs import inputs_of
from experiments.jobs.prepare import Parts, Prepared, prepare, relevance_of
from experiments.jobs.probe_layers import check_probe, probe_stage
from experiments.jobs.trainer import make_logger, make_trainer, quiet_lightning, select, tracking_of
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.ranker import Ranker
from experiments.negatives.draw_log import write_audit
from experiments.probing.model import ProbedModel, model_in_memory
from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob

log = logging.getLogger(__name__)


def run_job(experiment: Experiment, config: Mapping[str, Any], parts: Parts, label: str = "") -> dict[str, Any]:
    """Run a job, resume it where it stopped, or read its results if it is finished; returns its metrics.

    ``experiment`` and ``config`` are the same: as objects, and as the resolved plain dictionary that identifies the
    job. ``label``: what the progress bar calls it.

    Raises:
        ExperimentError: something in the config or the data cannot be used; nothing is trained then.
    """
    config, store = located(config), Cache(experiment.cache)
    study = Path(experiment.outputs) / experiment.study
    job = JobFolder(study / job_name(config))
    label = label or job.folder.name.rpartition("-")[0]
    first = getattr(rank_zero_only, "rank", 0) == 0  # of one training on several devices, this one keeps the folder
    with job.locked() if first else nullcontext():
        collection = open_collection(parts.source, store, experiment.data.ignore_identical_ids)
        inputs = inputs_of(experiment, parts, collection.fingerprint) if first else {}
        finished = job.finished_with(inputs) if first else None
        if finished is not None:
            log.info("%s is finished already: %s", label, job.folder)
            return finished

        with _failure_noted(job, config, inputs) if first else nullcontext():
            identity = _wandb_identity(experiment, config, collection)
            logger = make_logger(experiment.logger, parts.make, identity, study, job.folder)
            with tracking_of(logger) as tracking, quiet_lightning():
                if experiment.compute.threads is not None:
                    torch.set_num_threads(experiment.compute.threads)
                pl.seed_everything(experiment.seed, workers=True, verbose=False)
                prepared = prepare(experiment, collection, parts, store)
                training = build(experiment, prepared, parts.loss, store)
                if experiment.probe.layers is not None:
                    check_probe(experiment, _probed(training.module, job))
                trainer, checkpoints = make_trainer(experiment, parts.make, logger, job, training, label)
                trainer.fit(
                    training.module,
                    datamodule=training.data,
                    ckpt_path=checkpoints.resumed_from,
                    weights_only=True,
                )
                metrics: dict[str, Any] = {
                    "labels": labels_of(experiment, config, collection),
                    "dev": select(experiment, training.module, checkpoints),
                }
                if first:
                    training.module.export(job.model)
                testing = Testing(experiment, prepared, training, trainer, job, tracking, store)
                metrics |= _tested(testing)
                if first:
                    metrics |= _probe_results(experiment, prepared, training.module, job, tracking, store)
                    metrics |= _written_costs(prepared, training, job, store)
                    tracking.log_summary(_headline(metrics, experiment.measures))
        if first:
            job.finish(metrics)
    return metrics


@contextmanager
def _failure_noted(job: JobFolder, config: Mapping[str, Any], inputs: Mapping[str, str]) -> Iterator[None]:
    """Note in the job's folder that it starts, and why it stopped if it does not end."""
    job.start(config, inputs)
    try:
        yield
    except BaseException as error:
        job.fail(error)
        raise


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


def _wandb_identity(experiment: Experiment, config: Mapping[str, Any], collection: Collection) -> RunIdentity:
    """Return what W&B shows of the job."""
    name, labels = job_name(config), labels_of(experiment, config, collection)
    return RunIdentity(
        study=experiment.study,
        name=name,
        id=fingerprint({"study": experiment.study, "job": name}),
        tags=tuple(f"{axis}={value}" for axis, value in labels.items()),
        config={**config, "labels": labels},
    )


def _tested(testing: Testing) -> dict[str, Any]:
    """Measure the model on the test queries: each first stage re-ranked, and the whole collection by a retriever."""
    reranked = testing.first_stages()
    searched = testing.whole_collection()
    return {**searched, "test": reranked | searched.get("test", {})}


def _probe_results(
    experiment: Experiment,
    prepared: Prepared,
    module: Ranker,
    job: JobFolder,
    tracking: WandbJob | NoTracking,
    store: Cache,
) -> dict[str, Any]:
    """Measure the layers that ``probe.layers`` names and write them into the job's folder; empty for none."""
    if experiment.probe.layers is None:
        return {}
    model, collection = _probed(module, job), prepared.collection
    relevance = relevance_of(collection, prepared.splits["test"])
    return {"probe": probe_stage(experiment, model, collection, relevance, prepared.test, job.folder, tracking, store)}


def _written_costs(prepared: Prepared, training: Training, job: JobFolder, store: Cache) -> dict[str, Any]:
    """Write the groups that were drawn and what the job cost; returns the cost."""
    steps, draws = training.module.spent.steps, job.folder / "negatives.tsv.gz"
    audit = write_audit(training.data.groups, prepared.sampler, steps, prepared.collection, draws)
    write_json(job.folder / "audit.json", audit)
    compute = _compute(training.module, job, store)
    write_json(job.folder / "compute.json", compute)
    return {"compute": compute}


def _probed(module: Ranker, job: JobFolder) -> ProbedModel:
    assert isinstance(module, CrossEncoder)  # the schema lets no other kind be probed
    return model_in_memory(module.network, module.tokenizer, job.folder.name)


def _compute(module: Ranker, job: JobFolder, store: Cache) -> dict[str, Any]:
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
