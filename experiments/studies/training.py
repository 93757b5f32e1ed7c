"""From prepared data to chosen weights: the module, its budget in steps, Lightning's trainer, selection on dev."""

import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from experiments.data.groups import TrainingGroups
from experiments.errors import ExperimentError
from experiments.modules.backbone import load_cross_encoder, load_tokenizer
from experiments.modules.cross_encoder import CrossEncoder, DevSet, choose_layout
from experiments.modules.data_module import RerankingData
from experiments.modules.progress_bar import ProgressBar
from experiments.schema import Experiment
from experiments.studies.job import JobFolder
from experiments.studies.preparation import Prepared, relevance_of
from experiments.tracking.wandb import NoTracking, WandbJob

# Tokens of one forward pass by device and layout: (training, scoring). On a CPU, as measured with both registry
# backbones on one thread: packed passes are fastest around 2k tokens (training up to 4k, which spreads the cost of the
# vocabulary's dense gradient), padded ones at half of that or less. On a GPU large batches fill the device; these were
# not measured.
TOKENS_PER_BATCH = {
    ("cpu", "packed"): (4096, 2048),
    ("cpu", "padded"): (1024, 1024),
    ("gpu", "packed"): (16_384, 65_536),
    ("gpu", "padded"): (16_384, 65_536),
}


def make_module(
    experiment: Experiment, prepared: Prepared, loss: Callable[[Tensor], Tensor]
) -> tuple[CrossEncoder, RerankingData, int]:
    network = load_cross_encoder(experiment.backbone, experiment.model, experiment.seed)
    device = "gpu" if _uses_gpu(experiment.trainer.accelerator) else "cpu"
    layout = choose_layout(network, experiment.trainer.layout, device)
    train_tokens, score_tokens = TOKENS_PER_BATCH[device, layout]
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
    relevance = relevance_of(prepared.collection, prepared.splits["dev"])
    module = CrossEncoder(
        network,
        load_tokenizer(experiment.backbone),
        loss,
        experiment.optimizer,
        steps=steps,
        seed=experiment.seed,
        layout=layout,
        rank_by=experiment.model.rank_by,
        recompute=experiment.batch.checkpoint,
        dev=DevSet(prepared.dev, relevance, experiment.measures[0]),
    )
    data = RerankingData(
        groups, prepared.encoder, prepared.dev, wanted.score or score_tokens, experiment.trainer.workers
    )
    return module, data, steps


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


def make_trainer(
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
        silence_lightning()
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


def select(experiment: Experiment, module: CrossEncoder, best: ModelCheckpoint) -> dict[str, Any]:
    """Put the chosen weights into the module; returns what dev said of them."""
    measure = experiment.measures[0]
    value = float(best.best_model_score) if best.best_model_score is not None else float("nan")
    if experiment.validation.select == "last":
        return {"selected": "last", f"best {measure}": value}
    state = torch.load(Path(str(best.dirpath)) / "best.ckpt", map_location="cpu", weights_only=False)
    module.load_state_dict(state["state_dict"])
    return {"selected": "best", measure: value, "step": int(state["global_step"])}


def _uses_gpu(accelerator: str) -> bool:
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def silence_lightning() -> None:
    """Hints that do not apply here: batches are made from cached tokens in the main process, and checkpoints are
    overwritten on purpose.
    """
    for said in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*sync_dist=True.*",
        ".*predict returned None.*",
        ".*val_check_interval.*",
        ".*treespec.*",
    ):
        warnings.filterwarnings("ignore", message=said)
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
