"""A packed model of sentence-transformers gives the library's vectors, and what cannot be packed is left as it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.families import write_family
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from torch import nn

from experiments.pretrained import packed_encoding
from experiments.pretrained.packed_encoding import pack
from experiments.pretrained.packed_layers import packed_last_states

WORDS = ["red", "green", "blue", "cat", "dog", "mouse", "sees", "eats", "query", "passage", ",", "."]
TEXTS = ["red cat", "", "the dog , sees a mouse .", " ".join(WORDS * 9), "blue", "green dog eats", "red , ."]
PACKED = ("bert", "bert-notypes", "electra", "roberta", "xlm-roberta", "camembert")
PADDED = ("distilbert", "mpnet", "deberta-v2", "albert", "modernbert", "qwen3-left")
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
Write = Callable[[str], str]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Write a random backbone of a family once."""
    written: dict[str, str] = {}

    def write(family: str) -> str:
        if family not in written:
            written[family] = str(write_family(tmp_path_factory.mktemp("backbone") / family, family, WORDS))
        return written[family]

    return write


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The lengths of the texts of each packed pass."""
    seen: list[tuple[int, ...]] = []

    def watched(network: Any, tokens: Any, **options: Any) -> torch.Tensor:
        seen.append(tokens.lengths)
        return packed_last_states(network, tokens, **options)

    monkeypatch.setattr(packed_encoding, "packed_last_states", watched)
    return seen


def dense(place: str, *after: nn.Module, **settings: Any) -> SentenceTransformer:
    transformer = Transformer(place)
    modules = after or (Pooling(transformer.get_embedding_dimension(), "mean"),)
    return SentenceTransformer(modules=[transformer, *modules], device="cpu", **settings)


def colbert(place: str, *after: nn.Module, expansion: dict[str, Any] | None = None) -> MultiVectorEncoder:
    torch.manual_seed(0)
    transformer = Transformer(place)
    transformer.document_length, transformer.query_length = 20, 12
    transformer.query_expansion = expansion
    rows: dict[str, Any] = {"module_input_name": "token_embeddings"}
    projection = Dense(transformer.get_embedding_dimension(), 8, bias=False, activation_function=nn.Identity(), **rows)
    mask = MultiVectorMask(skiplist_words=[",", "."])
    prompts = {"query": "query ", "document": "passage "}
    return MultiVectorEncoder(
        modules=[transformer, projection, mask, Normalize(**rows), *after], prompts=prompts, device="cpu"
    )


def assert_same(ours: Any, theirs: Any) -> None:
    assert len(ours) == len(theirs)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(own), np.asarray(other), atol=1e-5, rtol=1e-5)


def encode(model: Any, texts: Sequence[str] = TEXTS, **settings: Any) -> Any:
    return model.encode_document(list(texts), show_progress_bar=False, **settings)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", PACKED)
def test_each_pooling_of_each_family_is_the_library_s(
    family: str, pooling: str, backbone: Write, passes: list[tuple[int, ...]]
):
    model = dense(backbone(family), Pooling(32, pooling))
    expected = encode(model)
    assert pack(model)
    assert_same(encode(model), expected)
    assert len(passes) == 1


def test_poolings_next_to_each_other_projections_and_lengths_of_1_are_the_library_s(backbone: Write):
    model = dense(backbone("bert"), Pooling(32, ("cls", "mean")), Dense(64, 8), Normalize())
    expected = encode(model, truncate_dim=4, normalize_embeddings=True)
    assert pack(model)
    assert_same(encode(model, truncate_dim=4, normalize_embeddings=True), expected)


def test_texts_are_read_by_length_without_padding_and_are_cut(backbone: Write, passes: list[tuple[int, ...]]):
    model = dense(backbone("bert"))
    model.max_seq_length = 16
    expected = encode(model, ["red cat", "blue", " ".join(WORDS * 9), "dog"])
    assert pack(model)
    assert_same(encode(model, ["red cat", "blue", " ".join(WORDS * 9), "dog"]), expected)
    assert passes == [(16, 4, 3, 3)]  # [CLS], words, [SEP]


@pytest.mark.parametrize("prompt", [None, "query ", ""])
def test_prompts_are_read_with_the_texts(backbone: Write, prompt: str | None):
    model = dense(backbone("bert"), prompts={"document": "passage "})
    expected = encode(model, prompt=prompt)
    assert pack(model)
    assert_same(encode(model, prompt=prompt), expected)


def test_of_a_pooling_of_first_tokens_the_last_layer_computes_no_others(
    backbone: Write, monkeypatch: pytest.MonkeyPatch
):
    rows = []
    model = dense(backbone("bert"), Pooling(32, "cls"))
    network: Any = model[0].model
    network.encoder.layer[-1].output.register_forward_hook(lambda *call: rows.append(len(call[2])))
    assert pack(model)
    encode(model, ["red cat", "blue", "green dog eats"])
    assert rows == [3]


@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("task", ["query", "document"])
def test_token_vectors_of_each_family_are_the_library_s(
    family: str, task: str, backbone: Write, passes: list[tuple[int, ...]]
):
    model = colbert(backbone(family))
    function = model.encode_query if task == "query" else model.encode_document
    expected = function(TEXTS, convert_to_numpy=True)
    assert pack(model)
    assert_same(function(TEXTS, convert_to_numpy=True), expected)
    assert len(passes) == 1


def test_punctuation_is_left_out(backbone: Write):
    model = colbert(backbone("bert"))
    assert pack(model)
    assert [len(rows) for rows in encode(model, ["red cat", "red , ."])] == [5, 4]  # [CLS], marker, words, [SEP]


@pytest.mark.parametrize(
    ("expansion", "packed"),
    [
        ({"strategy": "fixed", "attend": True, "length": 12}, True),
        ({"strategy": "min", "attend": True, "length": 8}, True),
        ({"strategy": "fixed", "attend": False, "length": 12}, False),  # others do not read what is added
        ({"strategy": "min", "attend": False, "length": 8}, False),
    ],
)
def test_expanded_queries_are_the_library_s(
    expansion: dict[str, Any], packed: bool, backbone: Write, passes: list[tuple[int, ...]]
):
    model = colbert(backbone("bert"), expansion=expansion)
    expected = model.encode_query(TEXTS, convert_to_numpy=True)
    assert pack(model)
    assert_same(model.encode_query(TEXTS, convert_to_numpy=True), expected)
    assert bool(passes) == packed


@pytest.mark.parametrize("family", PADDED)
def test_other_families_are_left_to_the_library(family: str, backbone: Write):
    model = dense(backbone(family))
    expected = encode(model)
    assert not pack(model)
    assert_same(encode(model), expected)


def test_modules_that_may_read_padding_are_left_to_the_library(backbone: Write):
    place = backbone("bert")
    assert not pack(dense(place, Pooling(32, "mean"), LayerNorm(32)))
    assert not pack(dense(place, Pooling(32, "mean", include_prompt=False)))
    assert not pack(colbert(place, HierarchicalTokenPooling(pool_factor=2)))


def test_a_packed_model_is_saved_as_the_library_s(backbone: Write, tmp_path: Path):
    model = dense(backbone("bert"))
    expected = encode(model)
    assert pack(model)
    model.save_pretrained(str(tmp_path), create_model_card=False)
    assert_same(encode(SentenceTransformer(str(tmp_path), device="cpu")), expected)
