"""What is probed: known by its weights, whole, with its own tokenizer, its layers by number."""

from pathlib import Path

import pytest
import torch
from helpers.tiny import write_tiny_bert
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.probing.model import ProbedModel, load_model, model_in_memory, weights_digest

WORDS = ["red green blue cat dog mouse"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bert(tmp_path / "backbone", WORDS)


@pytest.fixture
def cross_encoder(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    return network, AutoTokenizer.from_pretrained(folder)


def saved(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> ProbedModel:
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder))


def test_a_network_in_memory_and_the_folder_it_is_saved_to_are_one(cross_encoder, tmp_path: Path):
    in_memory = model_in_memory(*cross_encoder, "just trained")
    from_folder = saved(*cross_encoder, tmp_path / "job")
    assert (in_memory.weights, in_memory.tokens) == (from_folder.weights, from_folder.tokens)


def test_the_head_does_not_matter(cross_encoder, folder: Path):
    assert weights_digest(cross_encoder[0]) == load_model(str(folder)).weights


def test_a_pooler_that_a_checkpoint_lacks_does_not_matter(tmp_path: Path):
    folder = write_tiny_bert(tmp_path, WORDS, pooler=False)
    torch.manual_seed(1)
    first = load_model(str(folder))
    assert load_model(str(folder)).weights == first.weights


def test_a_changed_weight_and_a_changed_setting_matter(cross_encoder):
    network, _ = cross_encoder
    before = weights_digest(network)
    network.config.layer_norm_eps = 1e-3
    changed = weights_digest(network)
    with torch.no_grad():
        network.bert.encoder.layer[1].output.dense.bias[3] += 1e-6
    assert len({before, changed, weights_digest(network)}) == 3


def test_layers_by_number(folder: Path):
    model = load_model(str(folder), name="tiny")
    assert model.chosen("all") == (0, 1, 2)
    assert model.chosen(2) == (2,)
    assert model.chosen([2, 0, 2]) == (0, 2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (3, r"probe.layers has 3, but 'tiny' has 2 layers: 0 \(the embeddings\) to 2"),
        ([0, -1], "probe.layers has -1"),
        ([], r"probe.layers is empty: give all"),
        ("last", "probe.layers is 'last': give all, a number"),
    ],
)
def test_layers_that_are_not_there_are_named(folder: Path, layers: object, message: str):
    model = load_model(str(folder), name="tiny")
    with pytest.raises(ExperimentError, match=message):
        model.chosen(layers)


def test_a_tokenizer_of_more_tokens_than_embeddings_is_refused(cross_encoder):
    network, tokenizer = cross_encoder
    tokenizer.add_tokens(["chromium"])
    with pytest.raises(ExperimentError, match=r"'mine': its tokenizer has 14 tokens .* embeddings of 13"):
        model_in_memory(network, tokenizer, "mine")


def test_a_tokenizer_of_far_fewer_tokens_than_embeddings_is_refused(cross_encoder):
    network, tokenizer = cross_encoder
    network.resize_token_embeddings(40)
    with pytest.raises(ExperimentError, match=r"has 13 tokens .* embeddings of 40: they do not belong together"):
        model_in_memory(network, tokenizer, "mine")


def test_a_vocabulary_that_was_rounded_up_is_accepted(tmp_path: Path):
    folder = write_tiny_bert(tmp_path, [" ".join(f"word{number}" for number in range(120))])
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)  # 127 tokens
    network.resize_token_embeddings(128)
    assert model_in_memory(network, tokenizer, "rounded").layers == 2


def test_a_checkpoint_that_lacks_a_layer_is_refused(folder: Path):
    weights = load_file(folder / "model.safetensors")
    lacking = {name: tensor for name, tensor in weights.items() if "layer.1.output.dense" not in name}
    save_file(lacking, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ExperimentError, match=r"lacks 2 weights of its BertModel, such as encoder\.layer\.1"):
        load_model(str(folder))


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(ExperimentError, match="there is no folder /no/such/model"):
        load_model("/no/such/model")
