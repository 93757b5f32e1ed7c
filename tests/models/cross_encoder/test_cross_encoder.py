"""The cross-encoder: micro-batches, recomputation and layouts give one loss and gradient; exports keep the scores."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import write_tiny_bert
from torch import Tensor

from experiments.config import Backbone, Optimization
from experiments.data.batches.pair_batches import GroupBatch
from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch, micro_batches
from experiments.data.ragged import Ragged
from experiments.losses.lce import lce
from experiments.models.backbone import source_of
from experiments.models.compute_cost import CostModel
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.pretrained.tokenizer import tokenizer_of

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
QUERIES = ["what is alpha", "beta gamma"]
PASSAGES = [" ".join(WORDS[i % 10] for i in range(length)) for length in (3, 9, 30, 5, 14, 2, 21, 7)]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(name="tiny", path=str(write_tiny_bert(tmp_path_factory.mktemp("bert"), [*QUERIES, *PASSAGES])))


def module_of(
    backbone: Backbone, *, logits: int = 1, layout: str = "padded", recompute: bool = False, rank_by: str = "log_odds"
):
    network = load_cross_encoder(backbone, CrossEncoderConfig(max_length=40, logits=logits, dropout=0.0), seed=1)
    return CrossEncoder(
        network,
        tokenizer_of(source_of(backbone)),
        lce,
        Optimization(),
        steps=4,
        seed=1,
        layout=layout,
        recompute=recompute,
        rank_by=rank_by,
    )


def encoder_of(backbone: Backbone) -> PairEncoder:
    tokenizer = tokenizer_of(source_of(backbone))
    queries, passages = (
        Ragged.of([tokenizer.encode(t, add_special_tokens=False) for t in texts], np.int64)
        for texts in (QUERIES, PASSAGES)
    )
    return PairEncoder(PairTemplate.of(tokenizer), queries, passages, 8, 40)


def batch_of(backbone: Backbone, tokens_per_batch: int) -> GroupBatch:
    """Two groups of four: the passages 0-3 for the first query, 4-7 for the second."""
    encoder, queries, passages = encoder_of(backbone), np.repeat([0, 1], 4), np.arange(8)
    parts = micro_batches(encoder.lengths(queries, passages), tokens_per_batch)
    joined = tuple(encoder.join(queries[part], passages[part]) for part in parts)
    return GroupBatch(0, joined, torch.from_numpy(np.concatenate(parts)), (2, 4))


def loss_and_gradients(module: CrossEncoder, batch: GroupBatch) -> tuple[Tensor, dict[str, Tensor]]:
    module.zero_grad()
    loss = module.loss(module.group_scores(batch))
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in module.network.named_parameters() if p.grad is not None}


def test_scores_of_groups_stand_at_their_places(backbone: Backbone):
    module, encoder = module_of(backbone), encoder_of(backbone)
    scores_QN = module.group_scores(batch_of(backbone, 40))
    one_by_one = [module(encoder.join(np.array([p // 4]), np.array([p])))[0, 0] for p in range(8)]
    torch.testing.assert_close(scores_QN.flatten(), torch.stack(one_by_one), atol=1e-6, rtol=0)


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("tokens_per_batch", [16, 48, 1000])
@pytest.mark.parametrize("recompute", [False, True])
def test_micro_batches_give_the_loss_and_gradients_of_the_whole_batch(
    backbone: Backbone, layout: str, tokens_per_batch: int, recompute: bool
):
    loss, gradients = loss_and_gradients(module_of(backbone), batch_of(backbone, 10_000))
    found, found_gradients = loss_and_gradients(
        module_of(backbone, layout=layout, recompute=recompute), batch_of(backbone, tokens_per_batch)
    )
    torch.testing.assert_close(found, loss, atol=1e-6, rtol=0)
    assert found_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def pairs() -> Iterator[tuple[str, str]]:
    yield from ((QUERIES[p // 4], PASSAGES[p]) for p in range(8))


@pytest.mark.parametrize(("logits", "rank_by"), [(1, "log_odds"), (2, "log_odds"), (2, "positive_logit")])
def test_an_exported_model_gives_the_same_scores_in_sentence_transformers(
    backbone: Backbone, tmp_path: Path, logits: int, rank_by: str
):
    from sentence_transformers import CrossEncoder as Peer

    from experiments.models.cross_encoder.lightning_module import score_of

    module, encoder = module_of(backbone, logits=logits, rank_by=rank_by).eval(), encoder_of(backbone)
    module.export(tmp_path)
    ours_B = score_of(module(encoder.join(np.repeat([0, 1], 4), np.arange(8))), rank_by).detach().numpy()
    theirs_B = Peer(str(tmp_path), max_length=40).predict(list(pairs()))
    np.testing.assert_allclose(theirs_B, ours_B, atol=1e-5)


def test_an_export_leaves_the_model_in_training_as_it_was(backbone: Backbone, tmp_path: Path):
    module = module_of(backbone, logits=2)
    module.export(tmp_path)
    assert module.network.classifier.out_features == module.network.config.num_labels == 2


def test_flops_by_hand():
    # 10 weights, layers * hidden = 3; two pairs of 2 and 4 tokens: 2 * 10 * 6 + 4 * 3 * (4 + 16)
    assert CostModel(weights=10, attention=3).forward((2, 4)) == 120 + 240
    assert CostModel(10, 3).training((2, 4)) == 3 * 360
    assert CostModel(10, 3).training((2, 4), recomputed=True) == 4 * 360


def test_embeddings_are_looked_up_not_multiplied(backbone: Backbone):
    network = module_of(backbone).network
    cost = CostModel.of(network)
    embeddings = sum(p.numel() for n, p in network.named_parameters() if "embeddings.weight" in n)
    assert cost.weights == sum(p.numel() for p in network.parameters()) - embeddings
    assert cost.attention == 2 * 32


def test_an_empty_passage_is_scored(backbone: Backbone):
    module = module_of(backbone).eval()
    ids_T = torch.tensor(
        [module.tokenizer.cls_token_id, 7, module.tokenizer.sep_token_id, module.tokenizer.sep_token_id]
    )
    assert module(TokenBatch(ids_T, torch.tensor([0, 0, 0, 1]), (4,))).isfinite().all()
