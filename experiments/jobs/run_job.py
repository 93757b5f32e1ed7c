"""Run one job: data, runs, negative sampler, training, selection on dev, and at the end the test queries.

The data, the negatives of every training query and the weights are checked before the training. The cache and the job's
folder hold everything that was computed, so that an interrupted job goes on.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from experiments.common import stopping
from experiments.common.cache import Cache, fingerprint, write_json
from experiments.common.disk import explained, replacing_folder
from experiments.config import Experiment
from experiments.config.identity import job_hash, job_name, located, short_name
from experiments.data.collection import Collection, open_collection
from experiments.job_files.job_folder import JobFolder
from experiments.jobs.components import Components
from experiments.jobs.evaluate import Testing
from experiments.jobs.inputs import inputs_of
from experiments.jobs.machine import machine_of
from experiments.jobs.prepare import data_label, prepare, relevance_of
from experiments.jobs.probe_layers import check_probe, probe_stage
from experiments.jobs.ranks import leading
from experiments.jobs.threads import set_threads
from experiments.jobs.trainer import make_logger, make_trainer, quiet_lightning, select, tracking_of
from experiments.jobs.training_stages import stage_labels
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.ranker import Ranker
from experiments.models.training_setup import TrainingInputs, TrainingSetup
from experiments.negatives.draw_log import write_audit
from experiments.probing.model import ProbedModel, model_in_memory
from experiments.tracking.summary import HASH, LABELS, summary_of
from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob

log = logging.getLogger(__name__)


def run_job(
    experiment: Experiment, config: Mapping[str, Any], components: Components, label: str = ""
) -> dict[str, Any]:
    """Run or resume a job, or read its results if it is finished; returns its metrics.

    ``config``: the experiment as the resolved dictionary that identifies the job. ``label``: name in the progress bar.

    Raises:
        ExperimentError: the config or the data cannot be used; nothing is trained then.
    """
    config, cache = located(config), Cache(experiment.cache)
    study = Path(experiment.outputs) / experiment.study
    job = JobFolder(study / job_name(config), job_hash(config))
    label = label or short_name(config)
    first = getattr(rank_zero_only, "rank", 0) == 0  # the one process of several that owns the folder
    with stopping.handled(), explained(job.folder), job.locked() if first else nullcontext():
        collection = open_collection(components.source, cache, experiment.data.ignore_identical_ids)
        digests = inputs_of(experiment, components, collection.fingerprint) if first else {}
        finished = job.finished_with(config, digests) if first else None
        if finished is not None:
            log.info("%s is finished already: %s", label, job.folder)
            return finished

        with _failure_noted(job, config, digests) if first else nullcontext():
            identity = _wandb_identity(experiment, config, collection, resumes=job.checkpoint_files.next_serial() > 1)
            logger = make_logger(experiment.logger, components.make, identity, study, job.folder)
            with tracking_of(logger) as tracking, quiet_lightning():
                set_threads(experiment, experiment.trainer.devices)
                pl.seed_everything(experiment.seed, workers=True, verbose=False)
                inputs = prepare(experiment, collection, components, cache)
                with leading(experiment.trainer.devices, config):
                    setup = experiment.model.build(inputs)
                    if experiment.probe.layers is not None:
                        check_probe(experiment, _probed(setup.module, job))
                    trainer, checkpoints = make_trainer(experiment, components.make, logger, job, setup, label)
                    resumed_from = checkpoints.resumed_from
                    with stopping.after_step():
                        trainer.fit(setup.module, datamodule=setup.data, ckpt_path=resumed_from, weights_only=True)
                    stopping.check()
                    metrics: dict[str, Any] = {
                        "labels": labels_of(experiment, config, collection),
                        "dev": select(experiment, setup.module, checkpoints),
                    }
                    setup.module.finish_training()
                    if first:
                        with replacing_folder(job.model) as folder:
                            setup.module.export(folder)
                    trainer.strategy.barrier()
                    testing = Testing(experiment, inputs, setup, trainer, job, tracking, cache)
                    testing.encode_collection()
                    reranked = testing.first_stages()
                searched = testing.whole_collection()
                metrics |= {**searched, "test": reranked | searched.get("test", {})}
                if first:
                    metrics |= _probe_results(experiment, inputs, setup.module, job, tracking, cache)
                    metrics |= _written_costs(inputs, setup, trainer.strategy.root_device, job, cache)
                    tracking.log_summary(summary_of(metrics, experiment.measures))
        if first:
            job.finish(metrics)
    return metrics


@contextmanager
def _failure_noted(job: JobFolder, config: Mapping[str, Any], inputs: Mapping[str, str]) -> Iterator[None]:
    """Note in the job's folder that the job starts, and why it stopped if it fails."""
    with explained(job.folder):
        job.start(config, inputs)
    try:
        with explained(job.folder):
            yield
    except BaseException as error:
        job.fail(error)
        raise


def labels_of(experiment: Experiment, config: Mapping[str, Any], collection: Collection) -> dict[str, Any]:
    """Return the labels of a job in tables and W&B tags: its value on each axis that studies vary."""
    return {
        "loss": config["loss"]["name"],
        "negatives": experiment.negatives.count,
        "source": experiment.negatives.source,
        "rule": experiment.negatives.name,
        "seed": experiment.seed,
        "data": data_label(experiment, collection),
        **({"folds": experiment.data.folds, "fold": experiment.data.fold} if experiment.data.folds else {}),
        "backbone": experiment.backbone.name,
        **stage_labels(experiment),
        "budget": f"{experiment.budget.size:,} {experiment.budget.unit}",
        **experiment.model.labels(),
        **({"variant": experiment.variant} if experiment.variant is not None else {}),
        **({"gold": "injected"} if experiment.first_stage_inject_gold else {}),
        **({"trained_on": data_label(experiment, collection)} if experiment.tests else {}),
    }


def _wandb_identity(
    experiment: Experiment, config: Mapping[str, Any], collection: Collection, resumes: bool
) -> RunIdentity:
    """Return the identity of the job's W&B run."""
    name, labels = job_name(config), labels_of(experiment, config, collection)
    return RunIdentity(
        study=experiment.study,
        name=name,
        id=fingerprint({"study": experiment.study, "job": name}),
        tags=tuple(f"{axis}={value}" for axis, value in labels.items()),
        config={**config, LABELS: labels, HASH: job_hash(config)},
        resumes=resumes,
    )


def _probe_results(
    experiment: Experiment, inputs: TrainingInputs, module: Ranker, job: JobFolder, tracking: WandbJob | NoTracking,
    cache: Cache,
) -> dict[str, Any]:  # fmt: skip
    """Measure the layers that ``probe.layers`` names and write them into the job's folder; empty for none."""
    if experiment.probe.layers is None:
        return {}
    model, collection = _probed(module, job), inputs.collection
    relevance = relevance_of(collection, inputs.splits["test"])
    return {"probe": probe_stage(experiment, model, collection, relevance, inputs.test, job.folder, tracking, cache)}


def _written_costs(
    inputs: TrainingInputs, setup: TrainingSetup, device: torch.device, job: JobFolder, cache: Cache
) -> dict[str, Any]:
    """Write the drawn groups and the costs of the job; returns the costs."""
    steps, draws = setup.module.spent.steps, job.folder / "negatives.tsv.gz"
    audit = write_audit(setup.data.groups, inputs.sampler, steps, inputs.collection, draws)
    write_json(job.folder / "audit.json", audit)
    compute = _compute(setup.module, device, job, cache)
    write_json(job.folder / "compute.json", compute)
    return {"compute": compute}


def _probed(module: Ranker, job: JobFolder) -> ProbedModel:
    assert isinstance(module, CrossEncoder)  # no other model may be probed (Model.check)
    return model_in_memory(module.network, module.tokenizer, job.folder.name)


def _compute(module: Ranker, device: torch.device, job: JobFolder, cache: Cache) -> dict[str, Any]:
    """Return the costs of the job, and its machine.

    ``device``: that of the training; afterwards Lightning moves the module to the CPU.
    """
    return {
        **module.spent.as_dict(),
        "train_seconds": module.spent.seconds,
        "seconds": job.seconds,
        **machine_of(device),
        "layout": getattr(module, "layout", "padded"),
        **({"memory_spared": True} if module.spared else {}),
        "cache_hits": cache.hits,
        "cache_builds": cache.builds,
    }
