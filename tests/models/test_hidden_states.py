"""The hidden states of every layer, packed and padded, are those of transformers' ``output_hidden_states``."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel, T5Config, T5Model

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import TokenBatch
from experiments.models.packed_forward import packed_logits, padded_hidden_states
from experiments.pretrained.packed_layers import packed_hidden_states, supports_packed_hidden_states

PAD, CLS, SEP = 0, 2, 3
LENGTHS = (9, 4, 4, 17, 3)
SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
PACKED = ["bert", "electra", "roberta", "xlm-roberta", "camembert"]
ANY = [*PACKED, "deberta-v2", "modernbert", "distilbert"]
HEADS = {"none": AutoModel, "classifier": AutoModelForSequenceClassification}


def network_of(family: str, head: str = "none", **changes: Any) -> PreTrainedModel:
    """A random network with weights large enough that a wrong token moves its states."""
    narrow = {"embedding_size": 8} if family == "electra" else {}
    config = AutoConfig.for_model(family, **{**SIZES, **narrow, **changes})
    torch.manual_seed(0)
    network = HEADS[head].from_config(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network.eval()


def texts_of(*lengths: int) -> TokenBatch:
    generator = torch.Generator().manual_seed(1)
    ids, segments = [], []
    for length in lengths:
        words = torch.randint(5, 50, (length,), generator=generator)
        words[0], words[length // 2], words[-1] = CLS, SEP, SEP
        ids.append(words)
        segments.append((torch.arange(length) > length // 2).long())
    return TokenBatch(torch.cat(ids), torch.cat(segments), lengths)


def states_of_each_text_alone(network: PreTrainedModel, tokens: TokenBatch) -> list[Tensor]:
    """(T, D) of each layer, by transformers alone, a text at a time."""
    has_segments = getattr(network.config, "type_vocab_size", 0) >= 2
    by_text = []
    for ids, segments in zip(
        tokens.input_ids_T.split(tokens.lengths), tokens.token_type_ids_T.split(tokens.lengths), strict=True
    ):
        named = {"token_type_ids": segments[None]} if has_segments else {}
        by_text.append(network(ids[None], **named, output_hidden_states=True).hidden_states)
    return [torch.cat([states[layer][0] for states in by_text]) for layer in range(len(by_text[0]))]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", PACKED)
def test_packed_states_are_those_of_each_text_alone(family: str, head: str):
    network, tokens = network_of(family, head), texts_of(*LENGTHS)
    found = list(packed_hidden_states(network, tokens))
    expected = states_of_each_text_alone(network, tokens)
    assert len(found) == len(expected) == 4
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", ANY)
def test_padded_states_are_those_of_each_text_alone(family: str, head: str):
    network, tokens = network_of(family, head), texts_of(*LENGTHS)
    found = list(padded_hidden_states(network, tokens))
    expected = states_of_each_text_alone(network, tokens)
    assert len(found) == len(expected) == 4
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)


def test_of_modernbert_the_last_layer_is_normalised_and_the_others_are_not():
    network, tokens = network_of("modernbert"), texts_of(9, 5)
    with torch.no_grad():
        network.final_norm.weight.fill_(0.0)  # only what has gone through it becomes zero
        states = list(padded_hidden_states(network, tokens))
    assert [bool((layer == 0).all()) for layer in states] == [False, False, False, True]


def test_a_layer_that_nobody_asks_for_is_not_computed():
    network, tokens = network_of("bert"), texts_of(5, 6)
    network.encoder.layer[1] = None  # computing it would fail
    states = packed_hidden_states(network, tokens)
    assert [next(states).shape, next(states).shape] == [(11, 16), (11, 16)]


def test_gradients_reach_the_word_embeddings():
    network, tokens = network_of("bert"), texts_of(5)
    *_, last_TD = packed_hidden_states(network, tokens)
    last_TD.sum().backward()
    assert network.embeddings.word_embeddings.weight.grad[CLS].abs().sum() > 0


def test_the_first_tokens_of_the_last_layer_make_the_logits():
    network, tokens = network_of("bert", "classifier", num_labels=1), texts_of(9, 4)
    *_, last_TD = packed_hidden_states(network, tokens)
    logits_BC = network.classifier(network.bert.pooler(last_TD[[0, 9]][:, None]))
    torch.testing.assert_close(logits_BC, packed_logits(network, tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert", "distilbert"])
def test_other_architectures_are_refused_by_the_packed_pass(family: str):
    network = network_of(family)
    assert not supports_packed_hidden_states(network)
    with pytest.raises(ExperimentError, match="cannot be computed without padding"):
        packed_hidden_states(network, texts_of(5))


def test_a_decoder_cannot_be_packed():
    assert not supports_packed_hidden_states(network_of("bert", is_decoder=True))


def test_an_encoder_decoder_is_refused():
    config = T5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    with pytest.raises(ExperimentError, match="T5Model has a decoder"):
        padded_hidden_states(T5Model(config), texts_of(5))
