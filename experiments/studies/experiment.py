"""One job from its config to its results: data, runs, sampler, training, selection on dev, and the test queries once at
the end.

What can be wrong is looked at in that order before anything is trained: the data, the negatives of every training
query, the weights. What was computed lies in the store or in the job's folder, so that a job that stops goes on from
there.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from experiments.data.collection import Collection, open_collection
from experiments.data.groups import TrainingGroups
from experiments.data.pairs import PairEncoder, PairTemplate
from experiments.data.source import Source
from experiments.data.splits import Split, make_splits
from experiments.data.tokens import tokenizer_fingerprint, tokens_of
from experiments.errors import ExperimentError
from experiments.evaluation.measures import evaluate, rerank
from experiments.modules.backbone import load_cross_encoder, load_tokenizer
from experiments.modules.cross_encoder import CrossEncoder, DevSet, choose_layout
from experiments.modules.data_module import RerankingData
from experiments.modules.progress_bar import ProgressBar
from experiments.negatives.audit import write_audit
from experiments.negatives.sampler import NegativeSampler
from experiments.retrieval.retriever import Retriever, run_for
from experiments.retrieval.run import Run, write_trec
from experiments.schema import Experiment
from experiments.store import Store, fingerprint, write_json
from experiments.studies.identity import job_name
from experiments.studies.job import JobFolder
from experiments.tracking.wandb import NoTracking, RunIdentity, WandbJob

log = logging.getLogger(__name__)

# Tokens of one forward pass by device: (training, scoring). On a CPU small batches stay in its caches; the figures are
# measured by tests/benchmarks/bench_rerank.py. On a GPU large ones fill it.
TOKENS_PER_BATCH = {"cpu": (1024, 1024), "gpu": (16_384, 65_536)}


@dataclass(frozen=True)
class Parts:
    """The exchangeable parts of a job, made from the config at the entry point."""

    source: Source
    retrievers: Mapping[str, Retriever]
    loss: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, checked. ``dev``: the first of the first stages over the dev queries, cut to the
    validation depth.
    """

    collection: Collection
    splits: Mapping[str, Split]
    sampler: NegativeSampler
    source_run: Run
    encoder: PairEncoder
    dev: Run
    test: Mapping[str, Run]


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
    label = label or job.folder.name
    with job.locked():
        collection = open_collection(parts.source, store)
        done = job.finished_with(collection.fingerprint)
        if done is not None:
            log.info("%s is finished already: %s", label, job.folder)
            return done
        job.start(config, collection.fingerprint)
        try:
            with _tracking(experiment, config, collection, study) as tracking:
                metrics = _execute(experiment, collection, parts, store, job, tracking, label)
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
    module, data, steps = _make_module(experiment, prepared, parts.loss)
    progress = ProgressBar(label, steps * data.groups.queries_per_step)
    trainer, best = _make_trainer(experiment, module, tracking, job, progress, steps)
    with warnings.catch_warnings():
        _silence_lightning()
        trainer.fit(module, datamodule=data, ckpt_path=job.resumable, weights_only=False)
        dev = _select(experiment, module, best)
        metrics: dict[str, Any] = {"labels": labels_of(experiment, job_config(job), collection), "dev": dev, "test": {}}
        for name, run in prepared.test.items():
            progress.scoring = f"re-ranking {name}, pairs"
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


def job_config(job: JobFolder) -> dict[str, Any]:
    """The resolved config in a job's folder."""
    import yaml

    config: dict[str, Any] = yaml.safe_load((job.folder / "config.yaml").read_text(encoding="utf-8"))
    return config


# --- before training


def prepare(experiment: Experiment, collection: Collection, parts: Parts, store: Store) -> Prepared:
    """The runs, the sampler and the tokens of a job: everything that bad input can spoil, before any weights move.

    Raises:
        ExperimentError: see ``make_splits``, ``NegativeSampler``, ``load_tokenizer``.
    """
    data, model = experiment.data, experiment.model
    limits = {"train": data.queries.train, "dev": data.queries.dev, "test": data.queries.test}
    splits = make_splits(collection, min_grade=data.min_grade, limits=limits, carve_dev=data.carve_dev)
    if "dev" not in splits:
        raise ExperimentError(
            f"data set {collection.name!r} has no dev queries to choose checkpoints on: set data.carve_dev above 0"
        )
    tokenizer = load_tokenizer(experiment.backbone)
    source = parts.retrievers[experiment.negatives.source]
    source_run = run_for(source, collection, splits["train"].queries, experiment.negatives.depth, store)
    sampler = NegativeSampler(experiment.negatives, source_run, splits["train"].relevant, collection, experiment.seed)
    _warn_of_exceptions(sampler)
    first_stages = {name: parts.retrievers[name] for name in experiment.first_stage}
    test = {
        name: run_for(one, collection, splits["test"].queries, experiment.first_stage_depth, store)
        for name, one in first_stages.items()
    }
    first = next(iter(first_stages.values()))
    dev = run_for(first, collection, splits["dev"].queries, experiment.validation.depth, store)
    identity = tokenizer_fingerprint(tokenizer)
    queries = tokens_of(collection, "queries", tokenizer, model.max_query_tokens, store, identity)
    passages = tokens_of(collection, "passages", tokenizer, model.max_length, store, identity)
    encoder = PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, model.max_length)
    return Prepared(collection, splits, sampler, source_run, encoder, dev, test)


def _warn_of_exceptions(sampler: NegativeSampler) -> None:
    for kind, one in sampler.exceptions.examples.items():
        count = getattr(sampler.exceptions, kind)
        log.warning(
            "negatives: %s of the training queries are an exception to the rule (%s), such as %r",
            f"{count:,}",
            kind,
            one,
        )


def steps_for(experiment: Experiment, groups: TrainingGroups) -> int:
    """Optimiser steps of the budget, rounded up to whole steps and to a multiple of ``validation.times``, so that the
    last validation sees the last weights.
    """
    size, unit = experiment.budget.size, experiment.budget.unit
    per_group = 1 if unit == "groups" else experiment.negatives.count + 1
    if unit == "tokens":
        steps = spent = 0
        while spent < size:
            spent += groups.tokens(steps)
            steps += 1
    else:
        steps = math.ceil(size / (groups.queries_per_step * per_group))
    times = experiment.validation.times
    return math.ceil(steps / times) * times


def _make_module(
    experiment: Experiment, prepared: Prepared, loss: Callable[[Tensor], Tensor]
) -> tuple[CrossEncoder, RerankingData, int]:
    network = load_cross_encoder(experiment.backbone, experiment.model, experiment.seed)
    device = "gpu" if _uses_gpu(experiment.trainer.accelerator) else "cpu"
    train_tokens, score_tokens = TOKENS_PER_BATCH[device]
    wanted = experiment.trainer.tokens_per_batch
    groups = TrainingGroups(
        prepared.sampler,
        prepared.encoder,
        experiment.batch.queries(experiment.negatives.count),
        wanted.train or train_tokens,
    )
    if groups.queries_per_step % experiment.trainer.devices:
        raise ExperimentError(
            f"a step has {groups.queries_per_step} queries, which {experiment.trainer.devices} devices cannot share "
            f"evenly"
        )
    steps = steps_for(experiment, groups)
    relevance = _relevance(prepared.collection, prepared.splits["dev"])
    module = CrossEncoder(
        network,
        load_tokenizer(experiment.backbone),
        loss,
        experiment.optimizer,
        steps=steps,
        seed=experiment.seed,
        layout=choose_layout(network, experiment.trainer.layout, device),
        rank_by=experiment.model.rank_by,
        recompute=experiment.batch.checkpoint,
        dev=DevSet(prepared.dev, relevance, experiment.measures[0]),
    )
    data = RerankingData(
        groups, prepared.encoder, prepared.dev, wanted.score or score_tokens, experiment.trainer.workers
    )
    return module, data, steps


def _uses_gpu(accelerator: str) -> bool:
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def _relevance(collection: Collection, split: Split) -> dict[int, dict[int, int]]:
    """Query row -> passage row -> grade of all judgements of a split's queries."""
    name = (
        split.name if split.name in collection.splits else "train"
    )  # a carved dev split is judged by the training qrels
    qrels = collection.qrels(name)
    wanted = set(split.queries.tolist())
    return {
        int(query): dict(zip(qrels.passages[i].tolist(), qrels.grades[i].tolist(), strict=True))
        for i, query in enumerate(qrels.queries)
        if int(query) in wanted
    }


# --- training


def _make_trainer(
    experiment: Experiment,
    module: CrossEncoder,
    tracking: WandbJob | NoTracking,
    job: JobFolder,
    progress: ProgressBar,
    steps: int,
) -> tuple[pl.Trainer, ModelCheckpoint]:
    monitor = f"dev/{experiment.measures[0]}"
    best = ModelCheckpoint(
        dirpath=job.checkpoints,
        filename="best",
        monitor=monitor,
        mode="max",
        save_last=True,
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )
    callbacks: list[pl.Callback] = [best, progress]
    if experiment.validation.patience is not None:
        callbacks.append(EarlyStopping(monitor, mode="max", patience=experiment.validation.patience))
    wanted = experiment.trainer
    precision = (
        wanted.precision
        if wanted.precision != "auto"
        else ("bf16-mixed" if _uses_gpu(wanted.accelerator) else "32-true")
    )
    with warnings.catch_warnings():
        _silence_lightning()
        trainer = pl.Trainer(
            accelerator=wanted.accelerator,
            devices=wanted.devices,
            strategy=wanted.strategy,
            precision=precision,  # type: ignore[arg-type]
            deterministic=wanted.deterministic,
            logger=tracking.logger,
            callbacks=callbacks,
            max_steps=steps,
            max_epochs=-1,
            val_check_interval=steps // experiment.validation.times,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            log_every_n_steps=wanted.log_every,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=job.folder,
        )
    return trainer, best


def _silence_lightning() -> None:
    """Hints that do not apply here: batches are made from cached tokens in the main process, and checkpoints are
    overwritten on purpose.
    """
    for said in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*predict returned None.*",
        ".*val_check_interval.*",
        ".*treespec.*",
    ):
        warnings.filterwarnings("ignore", message=said)
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _select(experiment: Experiment, module: CrossEncoder, best: ModelCheckpoint) -> dict[str, Any]:
    """Put the chosen weights into the module; returns what dev said of them."""
    measure = experiment.measures[0]
    value = float(best.best_model_score) if best.best_model_score is not None else float("nan")
    if experiment.validation.select == "last":
        return {"selected": "last", f"best {measure}": value}
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=False)
    module.load_state_dict(state["state_dict"])
    return {"selected": "best", measure: value, "step": int(state["global_step"])}


# --- the test queries


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
    relevance = _relevance(collection, prepared.splits["test"])
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
