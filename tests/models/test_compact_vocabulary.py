"""Training only the embeddings of words that a collection has gives the network that training all of them gives."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.jobs import run, tiny_overrides
from torch import nn
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from experiments.data.batches.pairs import COUNTED_TOKENS, PairEncoder, PairTemplate, TokenBatch
from experiments.data.ragged import Ragged
from experiments.models import compact_vocabulary as compact
from experiments.models.compact_vocabulary import CompactEmbedding, compact_vocabulary, whole_vocabulary
from experiments.models.packed_forward import packed_logits, padded_logits

WORDS, USED = 40, [2, 3, 7, 11, 23]


def network_of() -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForSequenceClassification(BertConfig(vocab_size=WORDS, pad_token_id=0, num_labels=1, **sizes, **none))


def used_of(words: list[int]) -> np.ndarray:
    return np.isin(np.arange(WORDS), words)


def pairs() -> TokenBatch:
    ids_T = torch.tensor([2, 7, 3, 11, 3, 2, 23, 3, 7, 7, 3])
    return TokenBatch(ids_T, torch.zeros_like(ids_T), (5, 6))


def trained(network: nn.Module, steps: int) -> None:
    """Train with decay, at a rate that changes; weights are the mean of the last two steps'."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.3, fused=True)
    kept = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.zero_grad()
        (packed_logits(network, pairs()) * torch.tensor([[1.0], [-1.0]])).sum().backward()
        optimizer.step()
        kept.append(copy.deepcopy(network.state_dict()))
    network.load_state_dict({name: (kept[-1][name] + kept[-2][name]) / 2 for name in kept[-1]})


def test_a_training_with_decay_and_averaging_ends_with_the_weights_of_one_that_trains_all_words():
    whole, part = network_of(), network_of()
    compact_vocabulary(part, used_of(USED))
    assert part.get_input_embeddings().weight.shape == (len(USED) + 2, 16), "with the padding, and the row of ones"
    trained(whole, steps=4)
    trained(part, steps=4)
    whole_vocabulary(part)
    assert isinstance(part.get_input_embeddings(), nn.Embedding)
    for name, weight in whole.state_dict().items():
        if not name.endswith("key.bias"):  # its gradient is rounding, which Adam scales up; it changes no score
            torch.testing.assert_close(part.state_dict()[name], weight, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("logits_of", [packed_logits, padded_logits])
def test_logits_are_the_same_to_the_last_bit(logits_of):
    network = network_of().eval()
    before = logits_of(network, pairs())
    compact_vocabulary(network, used_of(USED))
    assert torch.equal(before, logits_of(network, pairs()))


def test_a_word_that_was_left_out_is_an_error_and_not_another_word():
    network = network_of()
    compact_vocabulary(network, used_of([2, 3, 7]))
    with pytest.raises(IndexError):
        packed_logits(network, pairs())


def test_nothing_is_left_out_where_most_words_are_used():
    network = network_of()
    compact_vocabulary(network, used_of(list(range(33))))
    assert not isinstance(network.get_input_embeddings(), CompactEmbedding)


def test_the_words_of_pairs_are_those_of_the_texts_and_the_template():
    template = PairTemplate((2,), (3,), (3,), 0, 1)
    encoder = PairEncoder(template, Ragged.of([[7], [9]], np.int64), Ragged.of([[5, 5], [6]], np.int64), 8, 20)
    assert np.flatnonzero(encoder.words(12)).tolist() == [2, 3, 5, 6, 7, 9]


def test_the_tokens_of_a_large_collection_are_not_counted(monkeypatch: pytest.MonkeyPatch):
    assert COUNTED_TOKENS == 50_000_000
    monkeypatch.setattr("experiments.data.batches.pairs.COUNTED_TOKENS", 1)
    template = PairTemplate((2,), (3,), (3,), 0, 1)
    encoder = PairEncoder(template, Ragged.of([[7]], np.int64), Ragged.of([[5, 5]], np.int64), 8, 20)
    assert encoder.words(12).all()


def test_a_job_exports_all_words_and_ranks_as_one_that_trains_them_all(
    tmp_path: Path, data: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
):
    def job(where: Path) -> tuple[float, BertForSequenceClassification]:
        metrics, folder = run([*tiny_overrides(where, data, backbone), "optimizer.weight_decay=0.1"])
        return metrics["test"]["bm25"]["RR@10"], AutoModelForSequenceClassification.from_pretrained(folder / "model")

    monkeypatch.setattr(compact, "WORTH_WHILE", 0.0)
    value, whole = job(tmp_path / "whole")
    monkeypatch.setattr(compact, "WORTH_WHILE", 1.1)
    again, part = job(tmp_path / "part")
    assert value == again
    assert part.get_input_embeddings().weight.shape == whole.get_input_embeddings().weight.shape
    torch.testing.assert_close(
        part.get_input_embeddings().weight, whole.get_input_embeddings().weight, atol=1e-3, rtol=1e-3
    )
