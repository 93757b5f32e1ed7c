"""Cross-encoders in the format of lightning-ir: an encoder's own names, a linear layer, and a config of two types."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import LiteralSource, write_tiny_bert
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import log_softmax
from transformers import BertModel, BertTokenizerFast, ElectraConfig, ElectraModel

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.models.pair_scorer import CrossEncoderScorer, load_scorer

PASSAGES = ["red circle", "blue square on a line", "a point"]
QUERIES = ["what is red", "square"]
PAIRS = (np.array([0, 0, 1]), np.array([0, 1, 1]))


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store")


@pytest.fixture
def collection(store: Cache) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(PASSAGES)]
    queries = [(f"q{i}", text) for i, text in enumerate(QUERIES)]
    return open_collection(LiteralSource(passages, queries, {"train": [("q0", "p0", 1)]}), store)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A random BERT of 32 dimensions, before lightning-ir has it."""
    return write_tiny_bert(tmp_path / "mono", [*PASSAGES, *QUERIES], pooler=False)


def as_lightning_ir(folder: Path, head: dict[str, Tensor], **settings: Any) -> Path:
    """Turn an encoder's folder into what lightning-ir saves: the head's weights beside the encoder's, the type of the
    config and of the tokenizer its own.
    """
    weights = {**load_file(folder / "model.safetensors"), **head}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    own = {
        "architectures": ["MonoBertModel"], "model_type": "mono", "backbone_model_type": config["model_type"],
        "query_length": 32, "doc_length": 512, "linear_bias": False, "pooling_strategy": "first",
        "scoring_strategy": "rank", "tokenizer_pattern": None, "use_adapter": False, "adapter_config": None,
        "pretrained_adapter_name_or_path": None,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps({**config, **own, **settings}))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer |= {"tokenizer_class": "CrossEncoderTokenizer", "backbone_tokenizer_class": "BertTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "query_length": 32, "doc_length": 512}))
    return folder


def head_of(rows: int, name: str = "linear.weight") -> dict[str, Tensor]:
    return {name: torch.randn(rows, 32, generator=torch.Generator().manual_seed(3))}


def hidden_states(folder: Path) -> list[Tensor]:
    """The (L, 32) last hidden states of each pair, by transformers alone."""
    tokenizer, encoder = BertTokenizerFast.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
    pairs = [(QUERIES[q], PASSAGES[p]) for q, p in zip(*PAIRS, strict=True)]
    with torch.no_grad():
        return [encoder(**tokenizer(*pair, return_tensors="pt")).last_hidden_state[0] for pair in pairs]


def scores_of(folder: Path, collection: Collection, store: Cache) -> list[float]:
    return load_scorer(str(folder), "model.path").score(collection, *PAIRS, store).tolist()


def test_the_score_of_rank_is_the_linear_layer_on_the_first_token(folder: Path, collection: Collection, store: Cache):
    states, head = hidden_states(folder), head_of(1)
    expected = [float(state_LD[0] @ head["linear.weight"][0]) for state_LD in states]
    assert scores_of(as_lightning_ir(folder, head), collection, store) == pytest.approx(expected, abs=1e-5)


def test_the_score_of_mono_has_the_order_of_its_log_probability(folder: Path, collection: Collection, store: Cache):
    states, head = hidden_states(folder), {**head_of(2), "linear.bias": torch.tensor([0.25, -0.5])}
    logits = [head["linear.weight"] @ state_LD[0] + head["linear.bias"] for state_LD in states]
    found = scores_of(as_lightning_ir(folder, head, scoring_strategy="mono", linear_bias=True), collection, store)
    assert found == pytest.approx([float(pair[1] - pair[0]) for pair in logits], abs=1e-5)
    theirs = [float(log_softmax(pair, dim=-1)[1]) for pair in logits]
    assert np.argsort(found).tolist() == np.argsort(theirs).tolist()


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [
        ("mean", lambda state_LD: state_LD.mean(dim=0)),
        ("sum", lambda state_LD: state_LD.sum(dim=0)),
        ("max", lambda state_LD: state_LD.amax(dim=0)),
    ],
)
def test_other_poolings_leave_out_the_padding(
    folder: Path, collection: Collection, store: Cache, pooling: str, pooled: Any
):
    states, head = hidden_states(folder), head_of(1)
    expected = [float(pooled(state_LD) @ head["linear.weight"][0]) for state_LD in states]
    found = scores_of(as_lightning_ir(folder, head, pooling_strategy=pooling), collection, store)
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_layer_of_berts_pooler_comes_before_the_linear_layer(folder: Path, collection: Collection, store: Cache):
    dense, bias = head_of(32)["linear.weight"] / 10, torch.full((32,), 0.1)
    states, head = hidden_states(folder), head_of(1)
    expected = [float(torch.tanh(dense @ state_LD[0] + bias) @ head["linear.weight"][0]) for state_LD in states]
    saved = as_lightning_ir(folder, {**head, "bert_pool.0.weight": dense, "bert_pool.0.bias": bias})
    assert scores_of(saved, collection, store) == pytest.approx(expected, abs=1e-5)


def test_an_electra_is_read_as_well(folder: Path, collection: Collection, store: Cache):
    config = ElectraConfig(
        vocab_size=len(BertTokenizerFast.from_pretrained(folder)), embedding_size=16, hidden_size=32,
        num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    ElectraModel(config).save_pretrained(folder)
    saved = as_lightning_ir(folder, head_of(1))
    assert len(set(scores_of(saved, collection, store))) == len(PAIRS[0])


def test_queries_and_documents_are_cut_to_the_models_own_lengths(folder: Path, collection: Collection, store: Cache):
    saved = as_lightning_ir(folder, head_of(1), query_length=3, doc_length=2)
    scorer = load_scorer(str(saved))
    assert isinstance(scorer, CrossEncoderScorer)
    assert (scorer.max_query_tokens, scorer.max_passage_tokens, scorer.max_length) == (3, 2, 8)
    (found,) = scorer.score(collection, np.array([1]), np.array([1]), store)
    tokens = BertTokenizerFast.from_pretrained(folder)("square", "blue square", return_tensors="pt")
    with torch.no_grad():
        assert found == pytest.approx(float(scorer.network(**tokens).logits), abs=1e-5), "not blue square on a line"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "col"}, "is a model of lightning-ir of the type 'col'; of that format only cross-encoders of"),
        ({"use_adapter": True}, "is a model of lightning-ir with adapters: merge them into its weights first"),
        ({"backbone_model_type": "t5"}, "is a cross-encoder of lightning-ir on 't5', which has a decoder"),
        ({"pooling_strategy": "last"}, "config.json has pooling_strategy='last', not first or mean or sum or max"),
        ({"scoring_strategy": "mono"}, "has linear.weight of 1 rows, but its scoring_strategy 'mono' makes 2"),
    ],
)
def test_what_is_not_read_is_said(folder: Path, settings: dict[str, Any], message: str):
    saved = as_lightning_ir(folder, head_of(1), **settings)
    with pytest.raises(ExperimentError) as error:
        load_scorer(str(saved), "model.path")
    assert str(error.value).startswith(f"model.path: {saved}")
    assert message in str(error.value)


def test_one_without_its_linear_layer_is_no_trained_cross_encoder(folder: Path):
    saved = as_lightning_ir(folder, {})
    with pytest.raises(ExperimentError, match=r"is no trained cross-encoder, it lacks weights such as linear\.weight"):
        load_scorer(str(saved))
