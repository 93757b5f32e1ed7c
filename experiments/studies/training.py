"""Lightning's trainer, and the choice of weights on dev."""

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from experiments.modules.progress_bar import ProgressBar
from experiments.modules.ranker import Ranker
from experiments.schema import Experiment
from experiments.studies.building import uses_gpu
from experiments.studies.job import JobFolder
from experiments.tracking.wandb import NoTracking, WandbJob


def make_trainer(
    experiment: Experiment,
    module: Ranker,
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
        else ("bf16-mixed" if uses_gpu(wanted.accelerator) else "32-true")
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


def select(experiment: Experiment, module: Ranker, best: ModelCheckpoint) -> dict[str, Any]:
    """Put the chosen weights into the module; returns what dev said of them."""
    measure = experiment.measures[0]
    value = float(best.best_model_score) if best.best_model_score is not None else float("nan")
    if experiment.validation.select == "last":
        return {"selected": "last", f"best {measure}": value}
    state = torch.load(Path(str(best.dirpath)) / "best.ckpt", map_location="cpu", weights_only=False)
    module.load_state_dict(state["state_dict"])
    return {"selected": "best", measure: value, "step": int(state["global_step"])}


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
