"""Packed logits are the padded ones, and the padded ones are those of each pair alone; gradients likewise."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
)

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import TokenBatch
from experiments.models import packed_forward
from experiments.models.packed_forward import choose_layout, packed_logits, padded_logits, supports_packing
from experiments.pretrained import packed_attention

PAD, CLS, SEP = 0, 2, 3
FAMILIES = ["bert", "electra", "roberta", "xlm-roberta", "camembert"]
SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def network_of(family: str, **changes: Any) -> PreTrainedModel:
    """A random classifier in training mode, with weights large enough that a wrong token moves the logits."""
    narrow = {"embedding_size": 8} if family == "electra" else {}
    config = AutoConfig.for_model(family, **{**SIZES, **NO_DROPOUT, **narrow, "num_labels": 1, **changes})
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network.train()


def pairs_of(*lengths: int) -> TokenBatch:
    """Pairs of the given lengths: [CLS], random words of two segments, [SEP] in between and at the end."""
    generator = torch.Generator().manual_seed(1)
    ids, segments = [], []
    for length in lengths:
        words = torch.randint(5, 50, (length,), generator=generator)
        words[0], words[length // 2], words[-1] = CLS, SEP, SEP
        ids.append(words)
        segments.append((torch.arange(length) > length // 2).long())
    return TokenBatch(torch.cat(ids), torch.cat(segments), lengths)


def gradients_of(network: PreTrainedModel, logits_BC: Tensor) -> dict[str, Tensor]:
    """Of a sum in which every logit has another weight."""
    weights_BC = torch.arange(1.0, logits_BC.numel() + 1, device=logits_BC.device).view_as(logits_BC)
    network.zero_grad()
    (logits_BC * weights_BC).sum().backward()
    return {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [1, 2])
def test_packed_logits_are_the_padded_logits(family: str, labels: int):
    network, tokens = network_of(family, num_labels=labels), pairs_of(9, 4, 4, 17, 3)
    packed_BC = packed_logits(network, tokens)
    assert packed_BC.shape == (5, labels)
    assert packed_BC.dtype == torch.float32
    torch.testing.assert_close(packed_BC, padded_logits(network, tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [1, 2])
def test_packed_gradients_are_the_padded_gradients(family: str, labels: int):
    network, tokens = network_of(family, num_labels=labels), pairs_of(9, 4, 4, 17, 3)
    packed = gradients_of(network, packed_logits(network, tokens))
    padded = gradients_of(network, padded_logits(network, tokens))
    assert packed.keys() == padded.keys()
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_one_call_for_all_lengths_as_on_a_gpu_logits_and_gradients_are_the_padded_ones(
    family: str, monkeypatch: pytest.MonkeyPatch
):
    """The kernels of a GPU are others; here torch computes the same calls on the CPU."""
    monkeypatch.setattr(packed_attention, "takes_jagged", lambda device: True)  # as Packing reads it
    network, tokens = network_of(family), pairs_of(9, 4, 4, 17, 3)
    packed_BC, padded_BC = packed_logits(network, tokens), padded_logits(network, tokens)
    torch.testing.assert_close(packed_BC, padded_BC, atol=1e-5, rtol=0)
    packed, padded = gradients_of(network, packed_BC), gradients_of(network, padded_BC)
    assert packed.keys() == padded.keys()
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def errors_in_16_bits(
    network: PreTrainedModel, tokens: TokenBatch, passes: Mapping[str, Callable[..., Tensor]]
) -> dict[str, dict[str, float]]:
    """By pass, how far its logits and the gradient of each weight are from the padded ones in 32 bits, as a share of
    these.
    """
    exact_BC = padded_logits(network, tokens)
    exact = {"logits": exact_BC.detach(), **gradients_of(network, exact_BC)}
    errors = {}
    for name, logits in passes.items():
        with torch.autocast(exact_BC.device.type, torch.bfloat16):
            logits_BC = logits(network, tokens)
        found = {"logits": logits_BC.detach(), **gradients_of(network, logits_BC)}
        assert found.keys() == exact.keys()
        errors[name] = {part: float((found[part] - exact[part]).norm() / exact[part].norm()) for part in exact}
    return errors


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_in_16_bits_a_packed_pass_rounds_no_more_than_a_padded_one(
    family: str, device: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
):
    """Both are some percent off, in different ways: three times the other's error is allowed, or a percent. With a
    wrong token or position it would be another gradient.
    """
    if device == "cpu":
        if compiled:
            pytest.skip("layers are compiled on a GPU only")
        monkeypatch.setattr(packed_attention, "takes_jagged", lambda device: True)
    network = network_of(family, hidden_size=64, num_attention_heads=2).to(device)
    tokens = pairs_of(9, 4, 4, 17, 3, 30, 12, 25).to(device)
    passes = {"padded": padded_logits, "packed": partial(packed_logits, compiled=compiled)}
    errors = errors_in_16_bits(network, tokens, passes)
    for part, error in errors["packed"].items():
        assert error <= max(3 * errors["padded"][part], 0.01), part


@pytest.mark.parametrize(
    ("device", "precision", "capable", "expected"),
    [
        ("cpu", "32-true", False, "packed"),
        ("gpu", "bf16-mixed", True, "packed"),
        ("gpu", "bf16-mixed", False, "padded"),
        ("gpu", "32-true", True, "padded"),
    ],
)
def test_a_gpu_packs_in_16_bits_where_it_has_flash_attention(
    device: str, precision: str, capable: bool, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(packed_forward, "has_flash_attention", lambda: capable)
    assert choose_layout(network_of("bert"), "auto", device, precision=precision) == expected
    assert choose_layout(network_of("distilbert"), "auto", device, precision=precision) == "padded"


@pytest.mark.parametrize(("device", "precision"), [("cpu", "32-true"), ("gpu", "32-true")])
def test_layers_are_compiled_only_where_a_gpu_computes_in_16_bits(
    device: str, precision: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(packed_forward, "has_flash_attention", lambda: True)
    with pytest.raises(ExperimentError, match=r"compute\.layout=compiled is for a GPU with flash attention"):
        choose_layout(network_of("bert"), "compiled", device, precision=precision)
    assert choose_layout(network_of("bert"), "compiled", "gpu", precision="bf16-mixed") == "compiled"


@pytest.mark.parametrize("family", ["bert", "electra", "roberta", "deberta-v2", "modernbert", "distilbert"])
def test_padded_logits_are_those_of_each_pair_alone(family: str):
    network, tokens = network_of(family).eval(), pairs_of(9, 4, 17)
    parts = zip(
        torch.split(tokens.input_ids_T, [9, 4, 17]), torch.split(tokens.token_type_ids_T, [9, 4, 17]), strict=True
    )
    alone = [
        network(
            ids[None], **({"token_type_ids": segments[None]} if family in ("bert", "electra", "roberta") else {})
        ).logits
        for ids, segments in parts
    ]
    torch.testing.assert_close(padded_logits(network, tokens), torch.cat(alone), atol=1e-5, rtol=0)


def test_segments_matter_where_a_model_has_two_and_not_where_it_has_one():
    tokens = pairs_of(6, 8)
    flat = TokenBatch(tokens.input_ids_T, torch.zeros_like(tokens.token_type_ids_T), tokens.lengths)
    two, one = network_of("roberta"), network_of("roberta", type_vocab_size=1)
    assert not torch.allclose(packed_logits(two, tokens), packed_logits(two, flat), atol=1e-3)
    assert torch.equal(packed_logits(one, tokens), packed_logits(one, flat))
    torch.testing.assert_close(packed_logits(one, tokens), padded_logits(one, tokens), atol=1e-5, rtol=0)


NETWORK = network_of("bert").eval()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(3, 12), min_size=1, max_size=8))
def test_any_lengths_in_any_order_give_the_padded_logits(lengths: list[int]):
    tokens = pairs_of(*lengths)
    torch.testing.assert_close(packed_logits(NETWORK, tokens), padded_logits(NETWORK, tokens), atol=1e-5, rtol=0)


def test_a_pair_is_not_touched_by_its_neighbours():
    tokens = pairs_of(5, 5, 7)
    changed_T = tokens.input_ids_T.clone()
    changed_T[5:10] = 7
    before = packed_logits(NETWORK, tokens)
    after = packed_logits(NETWORK, TokenBatch(changed_T, tokens.token_type_ids_T, tokens.lengths))
    moved_B = (before - after).abs()[:, 0] > 1e-6
    assert moved_B.tolist() == [False, True, False]


@pytest.mark.parametrize("kind", ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"])
def test_dropout_acts_in_training_only(kind: str):
    network, tokens = network_of("bert", **{kind: 0.5}), pairs_of(9, 4, 17)
    assert not torch.allclose(packed_logits(network, tokens), packed_logits(network, tokens), atol=1e-3)
    network.eval()
    assert torch.equal(packed_logits(network, tokens), packed_logits(network, tokens))


def test_dropout_keeps_the_mean_of_a_linear_read_out():
    """Dropout before the head of p = 0.5 halves and doubles: over many draws the mean is the logit without it."""
    network, tokens = network_of("bert", classifier_dropout=0.5), pairs_of(6)
    torch.manual_seed(0)
    with torch.no_grad():
        draws = torch.stack([packed_logits(network, tokens) for _ in range(2000)])
        expected = packed_logits(network.eval(), tokens)
    assert draws.std(dim=0).item() > 0.1
    assert abs((draws.mean(dim=0) - expected).item()) < 4 * draws.std(dim=0).item() / 2000**0.5


def test_a_model_works_both_ways_and_saves_as_before(tmp_path: Path):
    network, tokens = network_of("bert").eval(), pairs_of(9, 4)
    before_config, before_attention = network.config.to_dict(), network.config._attn_implementation
    before = padded_logits(network, tokens)
    packed_logits(network, tokens)
    assert network.config.to_dict() == before_config
    assert network.config._attn_implementation == before_attention
    assert torch.equal(padded_logits(network, tokens), before)
    network.save_pretrained(tmp_path)
    assert "packed" not in json.dumps(json.loads((tmp_path / "config.json").read_text()))
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    # memory-mapped weights lie elsewhere, and sums of another order differ in the last bit
    torch.testing.assert_close(packed_logits(loaded, tokens), packed_logits(network, tokens), atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_with_the_layers_of_bert_can_be_packed(family: str):
    assert supports_packing(network_of(family))


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert", "distilbert", "albert"])
def test_other_architectures_cannot(family: str):
    assert not supports_packing(network_of(family))


def test_a_decoder_a_subclass_and_a_checkpointed_model_cannot():
    class Altered(BertForSequenceClassification):
        """Its forward may do anything."""

    checkpointed = network_of("bert")
    checkpointed.gradient_checkpointing_enable()
    assert not supports_packing(network_of("bert", is_decoder=True))
    assert not supports_packing(Altered(BertConfig(**SIZES)))
    assert not supports_packing(checkpointed)


def test_what_cannot_be_packed_is_refused_with_the_way_out():
    with pytest.raises(ExperimentError, match=r"DebertaV2ForSequenceClassification .* set compute\.layout=padded"):
        packed_logits(network_of("deberta-v2"), pairs_of(5, 6))
    checkpointed = network_of("bert")
    checkpointed.gradient_checkpointing_enable()
    with pytest.raises(ExperimentError, match="while gradient checkpointing is on"):
        packed_logits(checkpointed, pairs_of(5, 6))
