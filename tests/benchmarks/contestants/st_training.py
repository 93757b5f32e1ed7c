"""Train by sentence-transformers' ``CrossEncoderTrainer`` with ``ListNetLoss``.

Its labels are 100 for the positive and 0 for the others, whose softmax is 1 and 0 in fp32: the loss is LCE. The texts
are tokenised in each step, in passes of as many pairs as a step has queries, which is the library's default.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contestants.groups import pairs_of, read_groups, results_of
from benchmarks.contestants.runs import longest
from benchmarks.contestants.st_trainer import train
from benchmarks.harness.child import Timing, serve
from datasets import Dataset
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import ListNetLoss
from torch import nn

POSITIVE = 100.0


class LibraryTraining:
    """A cross-encoder that is trained in each round, from the weights that the round before left."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def results(self) -> Any:
        """Return scores of the first groups before and after some steps without dropout."""
        model = self.load("model_without_dropout")
        pairs = pairs_of(read_groups(self.settings, 1))
        before = model.predict(pairs, show_progress_bar=False)
        self.train(model, 0, self.settings["equal_steps"])
        after = model.predict(pairs, show_progress_bar=False)
        self.model = self.load("model")
        return results_of(before, after, self.settings)

    def round(self) -> Timing:
        warm_up = self.settings["warm_up"]
        return self.train(self.model, warm_up, warm_up + self.settings["steps"])

    def load(self, name: str) -> CrossEncoder:
        """Load the shared weights."""
        path, device = str(Path(self.settings["folder"]) / name), self.settings.get("device", "cpu")
        return CrossEncoder(path, max_length=longest(self.settings), activation_fn=nn.Identity(), device=device)

    def train(self, model: CrossEncoder, warm_up: int, steps: int) -> Timing:
        """Train; returns the time of the steps after the first ``warm_up``."""
        groups = read_groups(self.settings, steps)
        columns = {
            "query": [query for query, _ in groups],
            "passages": [passages for _, passages in groups],
            "labels": [[POSITIVE] + [0.0] * (len(passages) - 1) for _, passages in groups],
        }
        given = {"model": model, "train_dataset": Dataset.from_dict(columns), "loss": ListNetLoss(model)}
        return train(CrossEncoderTrainer, CrossEncoderTrainingArguments, self.settings, warm_up, steps, **given)


if __name__ == "__main__":
    serve(LibraryTraining)
