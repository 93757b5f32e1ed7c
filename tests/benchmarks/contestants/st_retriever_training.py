"""Train by sentence-transformers' own trainer of bi-encoders, with in-batch negatives.

``kind``: ``SentenceTransformer`` with ``MultipleNegativesRankingLoss``, or ``MultiVectorEncoder`` with
``MultiVectorMultipleNegativesRankingLoss``. Both are LCE over the passages of a step.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
from benchmarks.contestants.groups import read_groups, results_of
from benchmarks.contestants.st_trainer import set_dropout, train
from benchmarks.harness.child import Timing, serve
from datasets import Dataset
from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

LOSSES: dict[str, Any] = {  # the loss, and its default factor on similarities
    "SentenceTransformer": (MultipleNegativesRankingLoss, 20.0),
    "MultiVectorEncoder": (MultiVectorMultipleNegativesRankingLoss, 1.0),
}


class LibraryTraining:
    """A bi-encoder that is trained in each round, from the weights that the round before left."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.kind = settings, settings["kind"]
        self.loss, self.scale = LOSSES[self.kind]

    def results(self) -> Any:
        """Return scores of the first groups before and after some steps without dropout."""
        model = self.load(0.0)
        before = self.scores(model)
        self.train(model, 0, self.settings["equal_steps"])
        after = self.scores(model)
        self.model = self.load(self.settings["dropout"])
        return results_of(before, after, self.settings)

    def round(self) -> Timing:
        warm_up = self.settings["warm_up"]
        return self.train(self.model, warm_up, warm_up + self.settings["steps"])

    def load(self, dropout: float) -> Any:
        """Load the shared weights."""
        model = getattr(sentence_transformers, self.kind)(str(Path(self.settings["folder"]) / "model"), device="cpu")
        set_dropout(model, dropout)
        return model

    def scores(self, model: Any) -> Any:
        """Return the scores of the pairs of the first step."""
        rows = []
        for query, passages in read_groups(self.settings, 1):
            of_query = model.encode_query([query], show_progress_bar=False)
            of_passages = model.encode_document(passages, show_progress_bar=False)
            rows.append(np.asarray(model.similarity(of_query, of_passages)[0]) * self.scale)
        return np.concatenate(rows)

    def train(self, model: Any, warm_up: int, steps: int) -> Timing:
        """Train; returns the time of the steps after the first ``warm_up``."""
        groups = read_groups(self.settings, steps)
        texts = list(zip(*(passages for _, passages in groups), strict=True))
        columns = {"query": [query for query, _ in groups], "positive": list(texts[0])}
        columns |= {f"negative_{i}": list(column) for i, column in enumerate(texts[1:], 1)}
        given = {"model": model, "train_dataset": Dataset.from_dict(columns), "loss": self.loss(model)}
        own = {"query": model.prompts.get("query"), "document": model.prompts.get("document")}
        prompts = (
            {name: own["query" if name == "query" else "document"] for name in columns} if all(own.values()) else None
        )
        trainer = getattr(sentence_transformers, f"{self.kind}Trainer")
        arguments = getattr(sentence_transformers, f"{self.kind}TrainingArguments")
        return train(trainer, arguments, self.settings, warm_up, steps, prompts, **given)


if __name__ == "__main__":
    serve(LibraryTraining)
