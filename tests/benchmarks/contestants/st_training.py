"""Train by sentence-transformers' ``CrossEncoderTrainer`` with ``ListNetLoss``.

Its labels are 100 for the positive and 0 for the others, whose softmax is 1 and 0 in fp32: the loss is LCE. What it
leaves at a default is left there: the texts are tokenised in each step, in passes of as many pairs as a step has
queries, and AdamW is the fused one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import ListNetLoss
from torch import nn
from transformers import TrainerCallback

from benchmarks.contestants.groups import EQUAL_STEPS, pairs_of, read_groups, results_of
from benchmarks.harness.child import Stopwatch, Timing, serve

POSITIVE = 100.0


class InOrder(DefaultBatchSampler):
    """The batches of a data set in its own order."""

    def __init__(self, dataset: Any, **settings: Any) -> None:
        super().__init__(range(len(dataset)), **settings)


class Clock(TrainerCallback):
    """Time the steps of a training after the first few, in steps."""

    def __init__(self, warm_up: int, steps: int, device: str) -> None:
        self.warm_up, self.steps, self.watch = warm_up, steps, Stopwatch(device)
        self.timing: Timing | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.warm_up:
            self.watch.start()
        if state.global_step == self.steps:
            self.timing = self.watch.stop(self.steps - self.warm_up)


class LibraryTraining:
    """A cross-encoder that is trained in each round, from the weights that the round before left."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.folder = settings, Path(settings["folder"])
        self.device = settings.get("device", "cpu")

    def results(self) -> NDArray[np.float32]:
        """Return scores of the first groups before and after some steps without dropout."""
        model = self.load("model_without_dropout")
        pairs = pairs_of(read_groups(self.settings, 1))
        before = model.predict(pairs, show_progress_bar=False)
        self.train(model, 0, EQUAL_STEPS)
        after = model.predict(pairs, show_progress_bar=False)
        self.model = self.load("model")
        return results_of(before, after, self.settings)

    def round(self) -> Timing:
        warm_up = self.settings["warm_up"]
        return self.train(self.model, warm_up, warm_up + self.settings["steps"])

    def load(self, name: str) -> CrossEncoder:
        """Load the shared weights."""
        longest = self.settings["query_tokens"] + self.settings["passage_tokens"] + 3
        path = str(self.folder / name)
        return CrossEncoder(path, max_length=longest, activation_fn=nn.Identity(), device=self.device)

    def train(self, model: CrossEncoder, warm_up: int, steps: int) -> Timing:
        """Train; returns the time of the steps after the first ``warm_up``, in groups."""
        groups = read_groups(self.settings, steps)
        columns = {
            "query": [query for query, _ in groups],
            "passages": [passages for _, passages in groups],
            "labels": [[POSITIVE] + [0.0] * (len(passages) - 1) for _, passages in groups],
        }
        arguments = CrossEncoderTrainingArguments(
            output_dir=str(self.folder / "sentence_transformers"),
            per_device_train_batch_size=self.settings["queries"],
            max_steps=steps,
            learning_rate=self.settings["lr"],
            lr_scheduler_type="constant",
            batch_sampler=InOrder,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=self.device == "cpu",
            dataloader_pin_memory=self.device != "cpu",
            bf16=self.settings.get("precision") == "bf16",
        )
        clock = Clock(warm_up, steps, self.device)
        CrossEncoderTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict(columns),
            loss=ListNetLoss(model),
            callbacks=[clock],
        ).train()
        assert clock.timing is not None
        return Timing(clock.timing.wall, clock.timing.cpu, clock.timing.units * self.settings["queries"])


if __name__ == "__main__":
    serve(LibraryTraining)
