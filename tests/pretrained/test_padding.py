"""One padding token for network and tokenizer, and its side."""

from pathlib import Path

import pytest
from helpers.families import FAMILIES, write_family
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from experiments.common.errors import ExperimentError
from experiments.pretrained.padding import has_segments, settle_padding

PADDING = {  # family -> (id, token, side)
    "bert": (0, "[PAD]", "right"),
    "roberta": (1, "<pad>", "right"),
    "xlnet": (5, "<pad>", "left"),  # its head reads the last position
    "qwen3": (0, "<|endoftext|>", "right"),  # the tokenizer's
    "qwen3-left": (0, "<|endoftext|>", "right"),
    "llama": (2, "<|im_end|>", "right"),  # the config's
    "gpt2": (0, "<|endoftext|>", "right"),  # what ends a text: neither has a padding token
}


@pytest.mark.parametrize("family", PADDING)
def test_padding_is_settled_and_kept(family: str, tmp_path: Path):
    folder = write_family(tmp_path / family, family, ["alpha beta gamma"])
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    special = {"eos_token": "<|endoftext|>"} if family == "gpt2" else {}
    tokenizer = AutoTokenizer.from_pretrained(folder, **special)
    settle_padding(network, tokenizer, "backbone 'x'")
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    for one in (tokenizer, again):
        assert (one.pad_token_id, one.pad_token, one.padding_side) == PADDING[family]
    assert network.config.pad_token_id == PADDING[family][0]


def test_without_any_such_token_there_is_one_line(tmp_path: Path):
    folder = write_family(tmp_path, "gpt2", ["alpha beta gamma"])
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    bare = PreTrainedTokenizerFast(tokenizer_object=AutoTokenizer.from_pretrained(folder).backend_tokenizer)
    with pytest.raises(ExperimentError, match=r"backbone 'x': neither its config\.json nor its tokenizer has"):
        settle_padding(network, bare, "backbone 'x'")


@pytest.mark.parametrize("family", FAMILIES)
def test_which_families_tell_texts_apart_by_segments(family: str, tmp_path: Path):
    network = AutoModelForSequenceClassification.from_pretrained(write_family(tmp_path, family, ["alpha"]))
    assert has_segments(network) == family.startswith(("bert", "electra", "albert", "xlnet"))
