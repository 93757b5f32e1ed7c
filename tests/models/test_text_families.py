"""The families as encoders of single texts: once exported, long and short ones get the vectors of the training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.families import FAMILIES, write_family
from helpers.tiny import LiteralSource
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.config import Backbone, Optimization
from experiments.data.batches.text_features import features_of
from experiments.data.collection import open_collection
from experiments.losses.lce import lce
from experiments.models.colbert.config import ColBERTConfig
from experiments.models.colbert.lightning_module import ColBERT
from experiments.models.colbert.network import load_colbert
from experiments.models.dual_encoder.config import DualEncoderConfig
from experiments.models.dual_encoder.lightning_module import DualEncoder
from experiments.models.dual_encoder.network import load_dual_encoder
from experiments.models.packed_forward import choose_layout

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
PASSAGES = ["alpha", " ".join(WORDS * 3), "gamma delta , epsilon", " ".join(reversed(WORDS))]
QUERIES = ["beta", " ".join(WORDS), "zeta eta"]
LENGTHS = {"max_length": 16, "max_query_tokens": 8, "dropout": 0.0}
PLAIN = {"layers": None, "infused": [], "infuse_embeddings": False, "rest": "backbone"}
ROWS = np.array([0, 2, 1]), np.array([3, 0, 1, 2])


@pytest.fixture
def source() -> LiteralSource:
    passages = [(f"p{i}", text) for i, text in enumerate(PASSAGES)]
    queries = [(f"q{i}", text) for i, text in enumerate(QUERIES)]
    return LiteralSource(passages, queries, {"train": [("q0", "p0", 1)]})


def backbone_of(tmp_path: Path, family: str) -> Backbone:
    return Backbone(name=family, path=str(write_family(tmp_path / "backbone", family, [*PASSAGES, *QUERIES])))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dual_encoder_of_any_family_exports_to_the_vectors_of_its_training(
    family: str, source: LiteralSource, tmp_path: Path
):
    from sentence_transformers import SentenceTransformer

    settings, store = DualEncoderConfig(**PLAIN, **LENGTHS), Cache(tmp_path / "store")
    network = load_dual_encoder(backbone_of(tmp_path, family), settings, seed=1)
    layout = choose_layout(network[0].model, "auto", "cpu", head=False)
    module = DualEncoder(network, lce, Optimization(), steps=1, seed=1, settings=settings, layout=layout).eval()
    collection = open_collection(source, store)
    module.export(tmp_path / "model")
    loaded = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    encodes = (loaded.encode_query, loaded.encode_document)
    for kind, rows, texts, encode in zip(("queries", "passages"), ROWS, (QUERIES, PASSAGES), encodes, strict=True):
        features = features_of(collection, kind, network, store)
        with torch.no_grad():
            ours_BD = module(features.batch(rows)).numpy()
        np.testing.assert_allclose(encode([texts[row] for row in rows], batch_size=2), ours_BD, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_colbert_of_any_family_exports_to_the_vectors_of_its_training(
    family: str, source: LiteralSource, tmp_path: Path
):
    from sentence_transformers import MultiVectorEncoder

    store = Cache(tmp_path / "store")
    model = ColBERTConfig(dimension=8, **LENGTHS)
    network = load_colbert(backbone_of(tmp_path, family), model, seed=1)
    module = ColBERT(network, lce, Optimization(), steps=1, seed=1).eval()
    collection = open_collection(source, store)
    module.export(tmp_path / "model")
    loaded = MultiVectorEncoder(str(tmp_path / "model"), device="cpu")
    encodes = (loaded.encode_query, loaded.encode_document)
    for kind, rows, texts, encode in zip(("queries", "passages"), ROWS, (QUERIES, PASSAGES), encodes, strict=True):
        task = "query" if kind == "queries" else "document"
        with torch.no_grad():
            ours = module(features_of(collection, kind, network, store).batch(rows), task)
        theirs: list[NDArray[Any]] = encode([texts[row] for row in rows], batch_size=2)
        for vectors_LD, counted_L, their_LD in zip(*ours, theirs, strict=True):
            np.testing.assert_allclose(their_LD, vectors_LD[counted_L].numpy(), atol=1e-5)
