"""Every layer and pooling from one forward pass: the values, the files, resuming, what an entry belongs to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import LiteralSource, write_tiny_bert
from numpy.typing import NDArray
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
)

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.probing.embeddings import LayerEmbeddings, layer_embeddings
from experiments.probing.encoder import Key, LayerEncoder
from experiments.probing.model import ProbedModel, load_model, model_in_memory
from experiments.retrieval import vector_store

WORDS = ["red", "green", "blue", "cat", "dog", "mouse"]
TEXTS = ["red cat", "", "green dog blue mouse red", "blue", "cat dog mouse", "mouse " * 40]
QUERIES = ["red mouse", "dog"]


class Interrupted(LayerEncoder):
    """Stops after some batches; counts the texts it has encoded."""

    def __init__(self, model: ProbedModel, batches: int | None = None, **settings: Any) -> None:
        super().__init__(model, **settings)
        self.left, self.encoded = batches, 0

    def encode(self, tokens: Any, rows: NDArray[np.int64]) -> dict[Key, NDArray[np.float32]]:
        if self.left is not None:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
        self.encoded += len(rows)
        return super().encode(tokens, rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), WORDS)


@pytest.fixture(scope="module")
def model(folder: Path) -> ProbedModel:
    return load_model(str(folder), name="tiny")


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(TEXTS)]
    queries = [(f"q{i}", text) for i, text in enumerate(QUERIES)]
    return open_collection(LiteralSource(passages, queries, {"test": [("q0", "p0", 1)]}), Cache(tmp_path / "store"))


@pytest.fixture
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_store, "SHARD_TOKENS", 1)


def vectors_of(found: LayerEmbeddings, layer: int, pooling: str, row: int) -> NDArray[np.floating[Any]]:
    one = found.of(layer, pooling)
    return one.vectors[int(one.places(np.array([row]))[0])][0]


def by_transformers(folder: Path, text: str, segments: str) -> list[NDArray[np.float32]]:
    """(L, D) hidden states of every layer, by the library alone, of a text with its special tokens written out."""
    network, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    inputs["token_type_ids"] = torch.tensor([[int(one) for one in segments]])
    with torch.no_grad():
        states = network(**inputs, output_hidden_states=True).hidden_states
    return [state[0].numpy() for state in states]


def files_of(found: LayerEmbeddings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in found.folder.iterdir()}


def test_self_paired_layers_are_those_of_transformers(
    folder: Path, model: ProbedModel, collection: Collection, tmp_path: Path
):
    encoder = LayerEncoder(model, poolings=["mean", "mean_first", "mean_second", "cls"], max_length=64)
    found = layer_embeddings(encoder, collection, "passages", Cache(tmp_path))
    states = by_transformers(folder, "[CLS] cat dog mouse [SEP] cat dog mouse [SEP]", "000001111")
    for layer, states_LD in enumerate(states):
        expected = {
            "mean": states_LD[[1, 2, 3, 5, 6, 7]].mean(0),
            "mean_first": states_LD[1:4].mean(0),
            "mean_second": states_LD[5:8].mean(0),
            "cls": states_LD[0],
        }
        for pooling, vector_D in expected.items():
            assert vectors_of(found, layer, pooling, 4) == pytest.approx(vector_D, abs=2e-3)  # fp16


@pytest.mark.parametrize(
    ("pairing", "text", "segments"),
    [("single", "[CLS] red mouse [SEP]", "0000"), ("query_empty", "[CLS] [SEP] red mouse [SEP]", "00111")],
)
def test_queries_are_encoded_alike(
    folder: Path, model: ProbedModel, collection: Collection, tmp_path: Path, pairing: str, text: str, segments: str
):
    encoder = LayerEncoder(model, pairing=pairing, max_length=64)
    found = layer_embeddings(encoder, collection, "queries", Cache(tmp_path), rows=np.array([0]))
    assert found.rows.tolist() == [0]
    for layer, states_LD in enumerate(by_transformers(folder, text, segments)):
        own_LD = states_LD[-3:-1]  # red mouse, then [SEP]
        assert vectors_of(found, layer, "mean", 0) == pytest.approx(own_LD.mean(0), abs=2e-3)


def test_an_empty_passage_is_its_cls_state(folder: Path, model: ProbedModel, collection: Collection, tmp_path: Path):
    found = layer_embeddings(LayerEncoder(model, max_length=64), collection, "passages", Cache(tmp_path))
    for layer, states_LD in enumerate(by_transformers(folder, "[CLS] [SEP] [SEP]", "001")):
        assert vectors_of(found, layer, "mean", 1) == pytest.approx(states_LD[0], abs=2e-3)


def test_a_model_that_cannot_be_packed_is_padded(collection: Collection, model: ProbedModel, tmp_path: Path):
    config = DistilBertConfig(vocab_size=len(model.tokenizer), dim=8, n_layers=2, n_heads=2, hidden_dim=8)
    network = DistilBertModel(config).eval()
    other = model_in_memory(network, model.tokenizer, "distil")
    found = layer_embeddings(
        LayerEncoder(other, pairing="single", max_length=64), collection, "passages", Cache(tmp_path)
    )
    ids = model.tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = network(ids, output_hidden_states=True).hidden_states
    for layer in range(3):
        assert vectors_of(found, layer, "mean", 0) == pytest.approx(states[layer][0, 1:-1].mean(0).numpy(), abs=2e-3)


def test_one_file_a_layer_and_pooling_and_the_longest_text_first(
    model: ProbedModel, collection: Collection, tmp_path: Path
):
    encoder = LayerEncoder(model, layers=[0, 2], poolings=["mean", "cls"], max_length=64)
    found = layer_embeddings(encoder, collection, "passages", Cache(tmp_path))
    assert found.rows.tolist() == [5, 2, 4, 0, 3, 1]
    sizes = {path.name: path.stat().st_size for path in found.folder.glob("*.bin")}
    assert sizes == dict.fromkeys(
        ["layer00.mean.bin", "layer00.cls.bin", "layer02.mean.bin", "layer02.cls.bin"], 6 * 32 * 2
    )


def test_a_text_goes_through_the_network_once_for_all_layers(
    model: ProbedModel, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    counted: list[int] = []
    first = model.network.encoder.layer[0].intermediate
    handle = first.register_forward_hook(lambda module, inputs, output: counted.append(inputs[0].shape[-2]))
    encoder = LayerEncoder(model, poolings=["mean", "mean_first", "cls"], max_length=64, tokens_per_batch=20)
    layer_embeddings(encoder, collection, "passages", Cache(tmp_path))
    handle.remove()
    lengths = [2 * min(len(text.split()), 30) + 3 for text in TEXTS]
    assert sum(counted) == sum(lengths)


def test_layers_above_the_last_wanted_are_not_computed(model: ProbedModel, collection: Collection, tmp_path: Path):
    counted: list[int] = []
    handle = model.network.encoder.layer[1].intermediate.register_forward_hook(lambda *_: counted.append(1))
    encoder = LayerEncoder(model, layers=[1], max_length=64)
    layer_embeddings(encoder, collection, "passages", Cache(tmp_path))
    handle.remove()
    assert counted == []


def test_batch_sizes_change_rounding_only(model: ProbedModel, collection: Collection, tmp_path: Path):
    one, many = (
        layer_embeddings(
            LayerEncoder(model, max_length=64, tokens_per_batch=budget), collection, "passages", Cache(tmp_path / name)
        )
        for name, budget in (("one", 1), ("many", 1000))
    )
    for layer in range(3):
        assert one.of(layer, "mean").vectors.values == pytest.approx(many.of(layer, "mean").vectors.values, abs=2e-3)


@pytest.mark.usefixtures("_small_shards")
@pytest.mark.parametrize("batches", [0, 1, 3])
def test_an_interrupted_encoding_goes_on_and_ends_with_the_same_bytes(
    model: ProbedModel, collection: Collection, tmp_path: Path, batches: int
):
    settings = {"max_length": 64, "tokens_per_batch": 1, "poolings": ["mean", "cls"]}
    whole = layer_embeddings(LayerEncoder(model, **settings), collection, "passages", Cache(tmp_path / "whole"))
    store = Cache(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        layer_embeddings(Interrupted(model, batches, **settings), collection, "passages", store)
    second = Interrupted(model, **settings)
    resumed = layer_embeddings(second, collection, "passages", store)
    assert second.encoded == len(TEXTS) - batches
    assert files_of(resumed) == files_of(whole)


@pytest.mark.usefixtures("_small_shards")
def test_a_file_cut_short_goes_on_from_what_all_files_have(model: ProbedModel, collection: Collection, tmp_path: Path):
    settings = {"max_length": 64, "tokens_per_batch": 1}
    whole = layer_embeddings(LayerEncoder(model, **settings), collection, "passages", Cache(tmp_path / "whole"))
    store = Cache(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        layer_embeddings(Interrupted(model, 3, **settings), collection, "passages", store)
    (unfinished,) = (path for path in (store.root / "layer_embeddings").iterdir() if path.is_dir())
    file = unfinished / "layer01.mean.bin"
    file.write_bytes(file.read_bytes()[:-1])
    second = Interrupted(model, **settings)
    resumed = layer_embeddings(second, collection, "passages", store)
    assert second.encoded == len(TEXTS) - 2
    assert files_of(resumed) == files_of(whole)


def test_what_an_entry_belongs_to(model: ProbedModel, collection: Collection, tmp_path: Path):
    store = Cache(tmp_path)
    encoders = [
        LayerEncoder(model, max_length=64),
        LayerEncoder(model, max_length=64, tokens_per_batch=7),  # the same
        LayerEncoder(model, max_length=32),
        LayerEncoder(model, max_length=64, pairing="single"),
        LayerEncoder(model, max_length=64, layers=1),
    ]
    folders = [layer_embeddings(one, collection, "passages", store).folder for one in encoders]
    folders.append(layer_embeddings(encoders[0], collection, "passages", store, np.array([0, 2])).folder)
    assert folders[0] == folders[1]
    assert len(set(folders)) == 5


def test_a_network_that_is_training_is_probed_without_dropout_and_trains_on(
    folder: Path, model: ProbedModel, collection: Collection, tmp_path: Path
):
    network: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(folder).train()
    training = model_in_memory(network, model.tokenizer, "training")
    settings = {"layers": 2, "max_length": 64}
    found, expected = (
        layer_embeddings(LayerEncoder(one, **settings), collection, "passages", Cache(tmp_path / one.name))
        for one in (training, model)
    )
    assert (found.of(2, "mean").vectors.values == expected.of(2, "mean").vectors.values).all()
    assert network.training


def test_values_beyond_float16_are_refused(folder: Path, model: ProbedModel, collection: Collection, tmp_path: Path):
    network = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        network.embeddings.LayerNorm.bias.fill_(1e5)
    huge = model_in_memory(network, model.tokenizer, "huge")
    with pytest.raises(ExperimentError, match=r"'huge': a value of an embedding of layer 0 is beyond 65504"):
        layer_embeddings(LayerEncoder(huge, max_length=64), collection, "passages", Cache(tmp_path))


def test_damaged_weights_are_told(folder: Path, model: ProbedModel, collection: Collection, tmp_path: Path):
    network = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        network.encoder.layer[0].output.dense.weight.fill_(torch.nan)
    with pytest.raises(ExperimentError, match="layer 1 is not a number"):
        layer_embeddings(
            LayerEncoder(model_in_memory(network, model.tokenizer, "nan"), max_length=64),
            collection, "passages", Cache(tmp_path),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"poolings": []}, "probe.pooling is empty"),
        ({"poolings": ["mean_first"], "pairing": "single"}, "mean_first needs two copies"),
        ({"tokens_per_batch": 0}, "probe.tokens_per_batch is 0"),
        ({"layers": 5}, "has 2 layers"),
    ],
)
def test_settings_that_cannot_be_are_named(model: ProbedModel, settings: dict[str, Any], message: str):
    with pytest.raises(ExperimentError, match=message):
        LayerEncoder(model, **{"max_length": 64, **settings})
