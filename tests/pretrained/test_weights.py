"""Weights that did not load are refused by whatever loads them; only a head may start anew, and that is said."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import literal_collection, write_tiny_bert
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.models.backbone import source_of
from experiments.models.colbert.config import ColBERTConfig
from experiments.models.colbert.network import load_colbert
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.models.dual_encoder.config import DualEncoderConfig
from experiments.models.dual_encoder.network import load_dual_encoder
from experiments.models.pair_scorer import load_scorer
from experiments.models.teacher import load_encoder, load_teacher
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import common_prefix
from experiments.probing.model import load_model
from experiments.retrieval.dense import Dense
from experiments.retrieval.tct_colbert import TctColBERT

WORDS = ["passage query number 0 1 2 3 4 5 6 7 8 9 10 11"]
PLAIN: dict[str, Any] = {"layers": None, "infused": [], "infuse_embeddings": False, "rest": "backbone"}
DUAL = DualEncoderConfig(max_length=16, max_query_tokens=8, **PLAIN)
COLBERT = ColBERTConfig(max_length=16, max_query_tokens=8, dimension=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bert(tmp_path / "bert", WORDS)


def rewrite(folder: Path, change: Callable[[str], str | None]) -> None:
    """Rename every weight of a folder; None leaves it out."""
    weights = load_file(folder / "model.safetensors")
    renamed = {change(name): weight.clone() for name, weight in weights.items()}
    save_file({n: w for n, w in renamed.items() if n is not None}, folder / "model.safetensors", {"format": "pt"})


def backbone(folder: Path) -> Backbone:
    return Backbone(name="own", path=str(folder))


def retrieved(retriever: Dense | TctColBERT, tmp_path: Path) -> None:
    retriever.retrieve(literal_collection(tmp_path), np.array([0]), 1, Cache(tmp_path / "store"))


def cross_encoder(folder: Path) -> None:
    load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1)
    tokenizer_of(source_of(backbone(folder)))


LOADERS: dict[str, Callable[[Path, Path], object]] = {
    "cross-encoder": lambda folder, _: cross_encoder(folder),
    "colbert": lambda folder, _: load_colbert(backbone(folder), COLBERT, 1),
    "dual encoder": lambda folder, _: load_dual_encoder(backbone(folder), DUAL, 1),
    "probe": lambda folder, _: load_model(str(folder)),
    "infused": lambda folder, _: load_encoder(str(folder)),
    "teacher": lambda folder, _: load_teacher(str(folder), "loss.teacher"),
    "scorer": lambda folder, _: load_scorer(str(folder)),
    "dense": lambda folder, tmp_path: retrieved(Dense(str(folder)), tmp_path),
    "tct": lambda folder, tmp_path: retrieved(TctColBERT(str(folder), max_length=64), tmp_path),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("prefix", ["hf_model.", "ctx_encoder.bert_model."])
def test_weights_under_a_wrappers_prefix_are_refused_with_their_names(
    folder: Path, tmp_path: Path, loader: str, prefix: str
):
    rewrite(folder, lambda name: prefix + name)
    with pytest.raises(ExperimentError, match=rf"lacks 37 weights .*begin with '{prefix}': rename them with: python"):
        LOADERS[loader](folder, tmp_path)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_layer_that_is_missing_is_named(folder: Path, tmp_path: Path, loader: str):
    rewrite(folder, lambda name: None if ".layer.1." in name else name)
    with pytest.raises(ExperimentError, match=r"lacks 16 weights .*encoder\.layer\.1\..*num_hidden_layers=2"):
        LOADERS[loader](folder, tmp_path)


@pytest.mark.parametrize("loader", LOADERS)
def test_weights_of_another_shape_are_refused(folder: Path, tmp_path: Path, loader: str):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ExperimentError, match=r"intermediate\.dense\.bias of shape \[64\].* needs \[48\]"):
        LOADERS[loader](folder, tmp_path)


def test_the_command_that_renames_them_works_as_it_is_said(folder: Path):
    whole = load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1).bert.state_dict()
    rewrite(folder, lambda name: f"hf_model.{name}")
    with pytest.raises(ExperimentError) as refused:
        load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1)
    exec(str(refused.value).partition('python -c "')[2].rpartition('"')[0])
    mended = load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1).bert.state_dict()
    assert all(torch.equal(mended[name], weight) for name, weight in whole.items())


def test_a_common_prefix_must_fit_all_that_is_missing():
    assert common_prefix(["a.w", "b.w"], ["model.a.w", "model.b.w", "other.a.w"]) == "model."
    assert common_prefix(["a.w", "b.w"], ["model.a.w", "other.b.w"]) is None


@pytest.mark.parametrize(("theirs", "ours"), [(2, 1), (3, 1), (1, 2), (3, 2)])
def test_a_head_of_other_outputs_starts_anew_and_that_is_said(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, theirs: int, ours: int
):
    AutoModelForSequenceClassification.from_pretrained(folder, num_labels=theirs).save_pretrained(folder)
    with caplog.at_level(logging.WARNING):
        network = load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16, logits=ours), 1)
    assert (network.classifier.out_features, network.config.num_labels) == (ours, ours)
    assert network.classifier.weight.std() < 0.1
    assert f"backbone 'own' has a head of {theirs} outputs, and this model one of {ours}" in caplog.text


@pytest.mark.parametrize("labels", [1, 2])
def test_a_head_of_the_same_outputs_is_kept(folder: Path, caplog: pytest.LogCaptureFixture, labels: int):
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels)
    theirs.save_pretrained(folder)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        ours = load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16, logits=labels), 1)
    assert torch.equal(ours.classifier.weight, theirs.classifier.weight)
    assert not caplog.text


def test_a_head_of_another_name_is_not_lost_in_silence(folder: Path, caplog: pytest.LogCaptureFixture):
    weights = {f"bert.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    save_file({**weights, "linear.weight": torch.ones(1, 32)}, folder / "model.safetensors", {"format": "pt"})
    with caplog.at_level(logging.WARNING):
        load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1)
    assert "no place for some weights" in caplog.text
    assert "(linear.weight); classifier.bias, classifier.weight start at random" in caplog.text


def test_layers_that_the_config_leaves_out_are_said(folder: Path, caplog: pytest.LogCaptureFixture):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with caplog.at_level(logging.WARNING):
        load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1)
    assert "has more layers than its config.json says" in caplog.text


def test_half_precision_weights_are_trained_in_full(folder: Path):
    halves = {name: weight.half() for name, weight in load_file(folder / "model.safetensors").items()}
    save_file(halves, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    networks = (
        load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1),
        load_colbert(backbone(folder), COLBERT, 1),
        load_dual_encoder(backbone(folder), DUAL, 1),
        Dense(str(folder)).model,
    )
    assert {parameter.dtype for network in networks for parameter in network.parameters()} == {torch.float32}


class Boom:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit('the file was run')",)


def test_weights_in_pytorchs_format_are_read_and_what_else_is_in_them_is_never_run(folder: Path):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    network = load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1)
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(network.bert.state_dict()[name], weights[name])
    load_colbert(backbone(folder), COLBERT, 1)
    torch.save({**weights, "boom": Boom()}, folder / "pytorch_model.bin")
    with pytest.raises(ExperimentError, match="backbone 'own' cannot be loaded"):
        load_cross_encoder(backbone(folder), CrossEncoderConfig(max_length=16), 1)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_damaged_file_is_one_line(folder: Path, tmp_path: Path, loader: str, name: str):
    file = folder / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ExperimentError, match=r"cannot be loaded|is not JSON"):
        LOADERS[loader](folder, tmp_path)
