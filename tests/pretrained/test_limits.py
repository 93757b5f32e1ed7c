"""How many tokens a network reads, and which it knows."""

from pathlib import Path

import pytest
from helpers.families import FAMILIES, write_family
from helpers.tiny import write_tiny_bert
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel

from experiments.common.errors import ExperimentError
from experiments.pretrained.limits import check_length, check_vocabulary, longest_input

UNLIMITED = {"xlnet"}


def network_of(name: str) -> PreTrainedModel:
    family = FAMILIES[name]
    return AutoModel.from_config(AutoConfig.for_model(family.kind, vocab_size=60, **family.config))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_its_longest_input(family: str):
    # RoBERTa, XLM-R, CamemBERT and MPNet have 66 positions, of which two are for none of a text's tokens
    assert longest_input(network_of(family)) == (None if family in UNLIMITED else 64)


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet"])
def test_a_longer_one_is_refused_with_the_longest_that_can_be_set(family: str):
    check_length(network_of(family), "model.max_length", 64, "backbone 'x'")
    message = "model.max_length=65, but backbone 'x' has 64 positions for tokens: set model.max_length to at most 64"
    with pytest.raises(ExperimentError, match=message):
        check_length(network_of(family), "model.max_length", 65, "backbone 'x'")


def test_a_token_without_an_embedding_is_refused(tmp_path: Path):
    folder = write_tiny_bert(tmp_path, ["a b c d e f"])  # 13 tokens
    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    check_vocabulary(network, tokenizer, "backbone 'x'")
    network.resize_token_embeddings(12)
    with pytest.raises(ExperimentError, match="'x': its tokenizer has 13 tokens but its network has embeddings of 12"):
        check_vocabulary(network, tokenizer, "backbone 'x'")
    network.resize_token_embeddings(100)
    check_vocabulary(network, tokenizer, "backbone 'x'")
    with pytest.raises(ExperimentError, match="has 13 tokens but its network has embeddings of 100"):
        check_vocabulary(network, tokenizer, "backbone 'x'", spare=0.05)


def test_xlnet_trains_on_texts_of_any_length(tmp_path: Path):
    network = AutoModel.from_pretrained(write_family(tmp_path, "xlnet", ["alpha beta"]))
    check_length(network, "model.max_length", 10_000, "backbone 'x'")
