"""Infusing a dual encoder: which weights come from the cross-encoder, which are drawn; what is exported and refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny import write_tiny_bert
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
)

from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.models.dual_encoder.config import DualEncoderConfig
from experiments.models.dual_encoder.network import infused_weights, load_dual_encoder
from experiments.models.teacher import load_teacher

WORDS = ["passage query number 0 1 2 3 4 5 6 7 8 9 10 11 . , !"]
TEXTS = ["query number 3", "passage 5 , number 7 !"]
PLAIN: dict[str, Any] = {"infused": [], "infuse_embeddings": False, "rest": "backbone"}
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
FAMILIES = {
    "bert": {"max_position_embeddings": 64},
    "electra": {"embedding_size": 16, "max_position_embeddings": 64},
    "roberta": {"max_position_embeddings": 66, "pad_token_id": 0},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_position_embeddings": 64},
}


def write_family(folder: Path, family: str, seed: int, *, head: bool) -> str:
    """Random weights of a family with 3 layers, a tokenizer beside them."""
    write_tiny_bert(folder, WORDS)
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    config = AutoConfig.for_model(family, vocab_size=vocabulary, num_labels=1, **SIZES, **FAMILIES[family])
    torch.manual_seed(seed)
    maker = AutoModelForSequenceClassification if head else AutoModel
    maker.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Backbone, str]:
    """A backbone of three layers, and the folder of a cross-encoder of the same architecture."""
    name = request.param
    backbone = Backbone(name=name, path=write_family(tmp_path / "backbone", name, 1, head=False))
    return backbone, write_family(tmp_path / "cross", name, 2, head=True)


@pytest.fixture
def bert(tmp_path: Path) -> tuple[Backbone, str]:
    backbone = Backbone(name="tiny", path=write_family(tmp_path / "backbone", "bert", 1, head=False))
    return backbone, write_family(tmp_path / "cross", "bert", 2, head=True)


def model_of(**dual: Any) -> DualEncoderConfig:
    return DualEncoderConfig(**{"max_length": 16, "max_query_tokens": 8, "cross_encoder": "given", **dual})


def weights_of(encoder: Any) -> dict[str, torch.Tensor]:
    return {n: v for n, v in encoder[0].model.state_dict().items() if not n.startswith("pooler.")}


def base_weights(folder: str) -> dict[str, torch.Tensor]:
    return AutoModel.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_infused_weights_are_the_cross_encoders_bit_for_bit(family: tuple[Backbone, str]):
    backbone, cross = family
    ours = weights_of(load_dual_encoder(backbone, model_of(cross_encoder=cross, layers=2, infused=[1]), seed=5))
    theirs = base_weights(cross)
    assert {name.split(".")[2] for name in ours if name.startswith("encoder.layer.")} == {"0", "1"}
    for name, value in ours.items():
        if name.startswith("encoder.layer.1."):
            assert torch.equal(value, theirs[name]) == bool(value.ndim == 1), f"{name}: biases start at 0, norms at 1"
        else:
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize("name", ["word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm"])
def test_each_kind_of_embedding_is_infused(bert: tuple[Backbone, str], name: str):
    backbone, cross = bert
    ours = weights_of(load_dual_encoder(backbone, model_of(cross_encoder=cross), seed=5))
    key = f"embeddings.{name}.weight"
    assert torch.equal(ours[key], base_weights(cross)[key])


def test_a_layer_keeps_its_number(bert: tuple[Backbone, str]):
    backbone, cross = bert
    key = "encoder.layer.{}.attention.self.query.weight"
    ours = weights_of(load_dual_encoder(backbone, model_of(cross_encoder=cross, layers=3, infused=[3]), seed=5))
    assert torch.equal(ours[key.format(2)], base_weights(cross)[key.format(2)])
    assert not torch.equal(ours[key.format(0)], base_weights(cross)[key.format(0)])


def test_the_rest_comes_from_the_backbone_if_it_is_to(family: tuple[Backbone, str]):
    backbone, cross = family
    settings = model_of(layers=2, infused=[2], infuse_embeddings=False, rest="backbone", cross_encoder=cross)
    ours, theirs, own = (
        weights_of(load_dual_encoder(backbone, settings, seed=5)),
        base_weights(cross),
        base_weights(backbone.path),
    )
    for name, value in ours.items():
        source = theirs if name.startswith("encoder.layer.1.") else own
        assert torch.equal(value, source[name]), name


def test_random_layers_follow_from_the_seed_whichever_others_are_infused(bert: tuple[Backbone, str]):
    backbone, cross = bert
    last = "encoder.layer.1.output.dense.weight"
    first, again, other, bare = (
        weights_of(load_dual_encoder(backbone, model_of(cross_encoder=cross, infused=infused), seed=seed))[last]
        for seed, infused in ((5, [1]), (5, [1]), (6, [1]), (5, []))
    )
    assert torch.equal(first, again)
    assert torch.equal(first, bare)
    assert not torch.equal(first, other)
    assert first.std().item() == pytest.approx(0.02, rel=0.1), "BERT's initializer_range"


def test_all_layers_of_the_backbone_with_nothing_infused_are_a_plain_dual_encoder(bert: tuple[Backbone, str]):
    backbone, _ = bert
    ours = weights_of(load_dual_encoder(backbone, model_of(layers=None, **PLAIN), seed=5))
    assert all(torch.equal(value, base_weights(backbone.path)[name]) for name, value in ours.items())
    assert "encoder.layer.2.output.dense.weight" in ours


def test_weights_by_name_worked_out_by_hand():
    names = [
        "embeddings.w",
        "encoder.rel.w",
        "encoder.layer.0.w",
        "encoder.layer.1.w",
        "encoder.layer.10.w",
        "pooler.w",
    ]
    weights = {name: torch.zeros(1) for name in names}
    assert list(infused_weights(weights, [2], embeddings=False)) == ["encoder.layer.1.w"]
    assert list(infused_weights(weights, [1], embeddings=True)) == names[:3]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_export_loads_in_the_library_with_the_same_embeddings(
    bert: tuple[Backbone, str], tmp_path: Path, pooling: str, similarity: str
):
    from sentence_transformers import SentenceTransformer

    backbone, cross = bert
    encoder = load_dual_encoder(backbone, model_of(cross_encoder=cross, pooling=pooling, similarity=similarity), seed=5)
    encoder.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    long = [" ".join(["number"] * 40)]
    for encode, other in (
        (encoder.encode_query, loaded.encode_query),
        (encoder.encode_document, loaded.encode_document),
    ):
        torch.testing.assert_close(
            torch.tensor(encode(TEXTS + long)), torch.tensor(other(TEXTS + long)), atol=1e-5, rtol=0
        )
    assert loaded.similarity_fn_name == similarity
    lengths = [(loaded[0].query_length, 8), (loaded[0].document_length, 16), (loaded.max_seq_length, 16)]
    assert all(found == wanted for found, wanted in lengths)
    norms = torch.tensor(loaded.encode(TEXTS)).norm(dim=1)
    assert torch.allclose(norms, torch.ones(2), atol=1e-5) == (similarity == "cosine")


def other_bert(tmp_path: Path, backbone: Backbone, change: dict[str, int]) -> str:
    folder = write_tiny_bert(tmp_path / "other", WORDS)
    config = AutoConfig.from_pretrained(backbone.path, **change)
    AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 16}, "has hidden_size 16, backbone 'tiny' has 32: choose the backbone"),
        ({"vocab_size": 99}, "has vocab_size 99"),
        ({"num_attention_heads": 4}, "has num_attention_heads 4"),
    ],
)
def test_a_cross_encoder_of_another_shape_is_refused(
    bert: tuple[Backbone, str], tmp_path: Path, change: dict, message: str
):
    backbone, _ = bert
    with pytest.raises(ExperimentError, match=message):
        load_dual_encoder(backbone, model_of(cross_encoder=other_bert(tmp_path, backbone, change)), seed=5)


def test_a_cross_encoder_of_another_architecture_is_refused(bert: tuple[Backbone, str], tmp_path: Path):
    backbone, _ = bert
    other = write_family(tmp_path / "electra", "electra", 1, head=True)
    with pytest.raises(ExperimentError, match="has model_type electra, backbone 'tiny' has bert"):
        load_dual_encoder(backbone, model_of(cross_encoder=other), seed=5)


def test_the_same_number_of_other_words_is_another_vocabulary(bert: tuple[Backbone, str], tmp_path: Path):
    backbone, _ = bert
    folder = write_tiny_bert(tmp_path / "other", [WORDS[0].replace("passage", "sentence")])
    AutoModel.from_config(AutoConfig.from_pretrained(backbone.path)).save_pretrained(folder)
    with pytest.raises(ExperimentError, match="has another vocabulary than backbone 'tiny'"):
        load_dual_encoder(backbone, model_of(cross_encoder=str(folder)), seed=5)


def test_a_layer_that_the_cross_encoder_lacks_is_named(bert: tuple[Backbone, str]):
    backbone, cross = bert
    with pytest.raises(ExperimentError, match=r"infused has layer 4, but the cross-encoder .* has 3 layers"):
        load_dual_encoder(backbone, model_of(cross_encoder=cross, layers=4, infused=[4]), seed=5)


def test_a_layer_that_the_dual_encoder_lacks_is_named(bert: tuple[Backbone, str]):
    backbone, cross = bert
    with pytest.raises(ExperimentError, match="infused has layer 4, but the dual encoder has the 3 layers of backbone"):
        load_dual_encoder(backbone, model_of(cross_encoder=cross, layers=None, infused=[4]), seed=5)


def test_a_layer_that_the_backbone_lacks_is_not_drawn_in_silence(bert: tuple[Backbone, str]):
    backbone, cross = bert
    with pytest.raises(ExperimentError, match="has 3 layers and no layer 4: lower"):
        load_dual_encoder(backbone, model_of(cross_encoder=cross, layers=4, infused=[1], rest="backbone"), seed=5)


def test_an_architecture_without_a_list_of_layers_is_named(bert: tuple[Backbone, str], tmp_path: Path):
    folder = write_tiny_bert(tmp_path / "distilbert", WORDS)
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    DistilBertModel(
        DistilBertConfig(
            vocab_size=vocabulary, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
        )
    ).save_pretrained(folder)
    backbone = Backbone(name="distil", path=str(folder))
    with pytest.raises(ExperimentError, match="backbone 'distil' is a DistilBertModel, which has no list of layers"):
        load_dual_encoder(backbone, model_of(cross_encoder=str(folder)), seed=5)
    whole = load_dual_encoder(backbone, model_of(layers=None, **PLAIN), seed=5)
    assert whole.encode(TEXTS).shape == (2, 32), "a plain dual encoder of it needs none"


def test_a_folder_that_is_not_there_is_named(bert: tuple[Backbone, str], tmp_path: Path):
    backbone, _ = bert
    with pytest.raises(ExperimentError, match=r"cross_encoder: there is no folder .*gone: give the folder model"):
        load_dual_encoder(backbone, model_of(cross_encoder=str(tmp_path / "gone")), seed=5)


def test_a_checkpoint_without_a_head_is_no_teacher(bert: tuple[Backbone, str]):
    backbone, _ = bert
    with pytest.raises(
        ExperimentError, match=r"is no trained cross-encoder, it lacks weights such as classifier\.bias"
    ):
        load_teacher(backbone.path)


def test_positions_must_reach_the_longest_passage(bert: tuple[Backbone, str]):
    backbone, cross = bert
    model = model_of(max_length=65, max_query_tokens=64, cross_encoder=cross)
    with pytest.raises(ExperimentError, match=r"max_length=65, but backbone 'tiny' has 64 positions"):
        load_dual_encoder(backbone, model, seed=5)
