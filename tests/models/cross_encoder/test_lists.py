"""Lists of a hundred passages with several positives: micro-batches give the gradient of one big batch."""

import numpy as np
import pytest
import torch
from helpers.tiny import write_tiny_bert
from torch import Tensor, nn

from experiments.config import Backbone, Optimization
from experiments.data.batches.groups import Groups
from experiments.data.batches.pair_batches import GroupBatch, PairBatcher
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.ragged import Ragged
from experiments.losses.info_nce import info_nce
from experiments.models.activation_memory import activation_bytes, memory_of, memory_warning
from experiments.models.backbone import source_of
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.pretrained.tokenizer import tokenizer_of

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
PASSAGES = [" ".join(WORDS[(i * step) % 10] for i in range(1 + step % 23)) for step in range(1, 101)]
POSITIVES = [0, 41, 99]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(name="tiny", path=str(write_tiny_bert(tmp_path_factory.mktemp("bert"), PASSAGES)))


def batch_of(backbone: Backbone, tokens_per_batch: int) -> GroupBatch:
    tokenizer = tokenizer_of(source_of(backbone))
    queries, passages = (
        Ragged.of([tokenizer.encode(text, add_special_tokens=False) for text in texts], np.int64)
        for texts in (["beta gamma"], PASSAGES)
    )
    labels_QN = np.isin(np.arange(100), POSITIVES).astype(np.float32)[None]
    groups = Groups(np.array([0]), np.array([0]), np.arange(100)[None], labels_QN)
    encoder = PairEncoder(PairTemplate.of(tokenizer), queries, passages, 8, 40)
    return PairBatcher(encoder, tokens_per_batch).batch(0, groups)


def loss_and_gradients(backbone: Backbone, batch: GroupBatch, recompute: bool) -> tuple[Tensor, dict[str, Tensor]]:
    network = load_cross_encoder(backbone, CrossEncoderConfig(max_length=40, dropout=0.0), seed=1)
    module = CrossEncoder(
        network, tokenizer_of(source_of(backbone)), info_nce, Optimization(), steps=4, seed=1, recompute=recompute
    )
    loss, _ = module.objective(batch)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("recompute", [False, True])
def test_a_list_of_a_hundred_in_micro_batches_has_the_gradients_of_one_big_batch(backbone: Backbone, recompute: bool):
    whole, parts = batch_of(backbone, 100_000), batch_of(backbone, 64)
    assert (len(whole.micro_batches), len(parts.micro_batches) > 20) == (1, True)
    loss, gradients = loss_and_gradients(backbone, whole, False)
    found, found_gradients = loss_and_gradients(backbone, parts, recompute)
    torch.testing.assert_close(found, loss, atol=1e-6, rtol=0)
    assert found_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_labels_reach_the_loss_beside_their_scores(backbone: Backbone):
    batch, network = batch_of(backbone, 64), load_cross_encoder(backbone, CrossEncoderConfig(max_length=40), seed=1)
    seen: list[Tensor] = []

    def loss(scores_QN: Tensor, labels_QN: Tensor) -> Tensor:
        seen.append(labels_QN)
        return scores_QN.mean()

    module = CrossEncoder(network, tokenizer_of(source_of(backbone)), loss, Optimization(), steps=4, seed=1)
    module.objective(batch)
    assert seen[0][0].nonzero().flatten().tolist() == POSITIVES


def test_without_labels_in_the_batch_the_positive_is_at_index_0(backbone: Backbone):
    network = load_cross_encoder(backbone, CrossEncoderConfig(max_length=40), seed=1)
    module = CrossEncoder(network, tokenizer_of(source_of(backbone)), info_nce, Optimization(), steps=4, seed=1)
    scores_QN = torch.tensor([[2.0, 1.0, 1.0]]).log()
    torch.testing.assert_close(module.loss_of(object(), scores_QN), torch.tensor(2.0).log())


# --- memory


class Sizes(nn.Module):
    """Stands in for a network of 12 layers of 768 units."""

    class config:  # noqa: N801 - Hugging Face's name
        num_hidden_layers, hidden_size = 12, 768


def test_activations_are_34_bytes_of_a_unit_in_16_bits():
    assert activation_bytes(Sizes(), 1000, "bf16-mixed") == 34 * 1000 * 12 * 768
    assert activation_bytes(Sizes(), 1000, "32-true") == 68 * 1000 * 12 * 768


def test_a_step_that_is_likely_to_need_too_much_says_what_to_lower():
    assert memory_warning(4.0e9, 2**33, passages=100, queries=8) is None
    assert memory_warning(4.0e12, None, passages=100, queries=8) is None
    warning = memory_warning(20.0 * 2**30, 2**33, passages=100, queries=8)
    assert warning is not None
    assert "8 lists of 100 passages keeps about 20 GiB of activations (an estimate), more than the 8 GiB" in warning
    for way_out in ("batch.checkpoint=true", "batch.size", "negatives.count", "model.max_length"):
        assert way_out in warning


def test_the_memory_of_this_machine_is_known_or_not_said():
    found = memory_of("cpu")
    assert found is None or found > 2**28
