"""A dual encoder, its cross-encoder and a few texts, all tiny."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.tiny import literal_collection, write_tiny_bert
from transformers import AutoModelForSequenceClassification

from experiments.common.cache import Cache
from experiments.config import Backbone, Optimization, Optimizer
from experiments.data.batches.distillation_batches import DistilBatcher
from experiments.data.batches.groups import Groups
from experiments.data.batches.text_batches import TextBatcher
from experiments.data.batches.text_features import features_of
from experiments.losses.lce import lce
from experiments.models.dual_encoder.config import DualEncoderConfig
from experiments.models.dual_encoder.lightning_module import DualEncoder
from experiments.models.dual_encoder.network import load_dual_encoder
from experiments.models.teacher import distil_batcher, load_teacher

WORDS = ["passage query number 0 1 2 3 4 5 6 7 8 9 10 11 . , !"]
GROUPS = {0: [0, 4, 5], 1: [1, 6, 7]}


def write_cross_encoder(folder: Path) -> str:
    """A random cross-encoder of three layers, its scores spread as a trained one's are."""
    write_tiny_bert(folder, WORDS, layers=3)
    torch.manual_seed(1)
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    torch.nn.init.normal_(network.classifier.weight, std=2.0)
    network.save_pretrained(folder)
    return str(folder)


class Setting:
    """A collection, a dual encoder and its cross-encoder."""

    def __init__(self, tmp_path: Path, cross: str, **dual: Any) -> None:
        settings = DualEncoderConfig(max_length=16, max_query_tokens=8, dropout=0.0, cross_encoder=cross, **dual)
        self.settings, self.cross = settings, cross
        self.collection, self.store = literal_collection(tmp_path), Cache(tmp_path / "store")
        self.network = load_dual_encoder(Backbone(name="tiny", path=cross), settings, seed=1)
        self.queries, self.passages = (
            features_of(self.collection, kind, self.network, self.store) for kind in ("queries", "passages")
        )
        self.teacher = load_teacher(cross) if settings.learns_from_teacher else None

    def module(self, loss: Any = lce, **options: Any) -> DualEncoder:
        options = {"steps": 1, "seed": 1, "settings": self.settings, "teacher": self.teacher, **options}
        return DualEncoder(self.network, loss, Optimization(Optimizer(lr=1e-3)), **options)

    def texts(self, relevant: dict[int, np.ndarray] | None = None) -> TextBatcher:
        own = {0: np.array([0]), 1: np.array([1]), 2: np.array([2])}
        return TextBatcher(self.queries, self.passages, relevant or own, tokens_per_batch=20)

    def distilled(self) -> DistilBatcher:
        assert self.teacher is not None
        return distil_batcher(
            self.teacher, self.texts(), self.collection, self.settings, self.store, tokens_per_batch=40
        )


def groups() -> Groups:
    """Two groups of three: query 0 with passages 0, 4, 5, and query 1 with passages 1, 6, 7."""
    return Groups(np.zeros(2, np.int64), np.array(list(GROUPS)), np.array(list(GROUPS.values())))
