"""Train by lightning-ir's ``CrossEncoderModule`` with its ``InfoNCE``, which over a group is LCE, and its data module.

Its ``mono`` model reads the same weights: pooler and classifier of BERT as ``bert_pool`` and ``linear``. It has no
dropout before the classifier. Tuples are read and tokenised in each step, as its data module does.
"""

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.contestants.groups import read_groups, results_of
from benchmarks.harness.child import Stopwatch, Timing, serve
from lightning import Callback, Trainer
from lightning_ir import CrossEncoderModule, LightningIRDataModule, TupleDataset
from lightning_ir.data.external_datasets.ir_datasets_utils import ScoredDocTuples, register_new_dataset
from lightning_ir.loss import InfoNCE
from lightning_ir.models import MonoConfig
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

DATASET = "benchmark"


class Clock(Callback):
    """Time the steps of a training after the first few, in steps."""

    def __init__(self, warm_up: int, steps: int) -> None:
        self.warm_up, self.steps, self.watch = warm_up, steps, Stopwatch()
        self.timing: Timing | None = None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx + 1 == self.warm_up:
            self.watch.start()
        if batch_idx + 1 == self.steps:
            self.timing = self.watch.stop(self.steps - self.warm_up)


def load_module(settings: Mapping[str, Any], name: str) -> CrossEncoderModule:
    """Load the shared weights into a ``mono`` cross-encoder."""
    path = Path(settings["folder"]) / name
    config = MonoConfig(
        query_length=settings["query_tokens"],
        doc_length=settings["passage_tokens"],
        pooling_strategy="bert_pool",
        linear_bias=True,
    )
    module = CrossEncoderModule(str(path), config=config, loss_functions=[InfoNCE()])
    source = AutoModelForSequenceClassification.from_pretrained(path)
    with torch.no_grad():
        for ours, theirs in (
            (source.bert.pooler.dense, module.model.bert_pool[0]),
            (source.classifier, module.model.linear),
        ):
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)
    return module


def score(module: CrossEncoderModule, groups: list[tuple[str, list[str]]]) -> NDArray[np.float32]:
    """Return the scores of all pairs of groups."""
    module.eval()
    return module.score([query for query, _ in groups], [texts for _, texts in groups]).scores.numpy().ravel()


class LightningIRTraining:
    """A cross-encoder that is trained in each round, from the weights that the round before left."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore")
        self.settings, folder = settings, Path(settings["folder"])
        files = {"docs": "docs.tsv", "queries": "queries.tsv", "docpairs": "tuples.json"}
        paths = {kind: str(folder / name) for kind, name in files.items()}
        register_new_dataset(DATASET, **paths, DocpairsType=ScoredDocTuples)

    def results(self) -> NDArray[np.float32]:
        """Return scores of the first groups before and after some steps without dropout."""
        module = load_module(self.settings, "model_without_dropout")
        groups = read_groups(self.settings, 1)
        before = score(module, groups)
        self.train(module, 0, self.settings["equal_steps"])
        after = score(module, groups)
        self.module = load_module(self.settings, "model")
        return results_of(before, after, self.settings)

    def round(self) -> Timing:
        warm_up = self.settings["warm_up"]
        return self.train(self.module, warm_up, warm_up + self.settings["steps"])

    def train(self, module: CrossEncoderModule, warm_up: int, steps: int) -> Timing:
        """Train; returns the time of the steps after the first ``warm_up``, in groups."""
        module.set_optimizer(torch.optim.AdamW, lr=self.settings["lr"], weight_decay=0.0)
        data = LightningIRDataModule(train_dataset=TupleDataset(DATASET), train_batch_size=self.settings["queries"])
        clock = Clock(warm_up, steps)
        Trainer(
            accelerator="cpu",
            max_steps=steps,
            gradient_clip_val=1.0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            callbacks=[clock],
        ).fit(module, datamodule=data)
        assert clock.timing is not None
        return Timing(clock.timing.wall, clock.timing.cpu, clock.timing.units * self.settings["queries"])


if __name__ == "__main__":
    os.environ.setdefault("IR_DATASETS_HOME", str(Path.cwd() / "ir_datasets"))
    serve(LightningIRTraining)
