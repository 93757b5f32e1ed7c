"""A cross-encoder that learns from another: what its loss is given, what the teacher reads, what is counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.dual_encoder import GROUPS, WORDS, groups, write_cross_encoder
from helpers.tiny import literal_collection, write_tiny_bert
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from experiments.common.cache import Cache
from experiments.config import Backbone, Optimization
from experiments.data.batches.pair_batches import PairBatcher, TeacherPairs
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.pair_values import PairValues, pair_keys
from experiments.data.tokens import tokens_of
from experiments.losses.distill_ranknet import distill_ranknet
from experiments.losses.kl_divergence import kl_divergence
from experiments.losses.margin_mse import margin_mse
from experiments.models.backbone import source_of
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.models.teacher import load_teacher, teacher_encoder
from experiments.pretrained.tokenizer import tokenizer_of

MODEL = CrossEncoderConfig(max_length=24, max_query_tokens=8, dropout=0.0)
QUERIES, PASSAGES = (np.array(rows) for rows in ([0, 0, 0, 1, 1, 1], [0, 4, 5, 1, 6, 7]))  # of GROUPS, in order


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_cross_encoder(tmp_path_factory.mktemp("cross"))


class Setting:
    """A student, its teacher in ``cross``, and two groups of three."""

    def __init__(self, tmp_path: Path, cross: str, student: str | None = None, loss: Any = margin_mse) -> None:
        backbone = Backbone(name="tiny", path=student or cross)
        self.collection, store = literal_collection(tmp_path), Cache(tmp_path / "store")
        self.teacher, tokenizer = load_teacher(cross), tokenizer_of(source_of(backbone))
        tokens = [tokens_of(self.collection, kind, tokenizer, 24, store) for kind in ("queries", "passages")]
        encoder = PairEncoder(PairTemplate.of(tokenizer), *tokens, MODEL.max_query_tokens, MODEL.max_length)
        self.own = teacher_encoder(self.teacher, self.collection, MODEL, store)
        self.scores_P = self.teacher.pair_scores(
            self.own, QUERIES, PASSAGES, tokens_per_batch=40, device="cpu", precision="32-true"
        )
        self.count = len(self.collection.passages)
        self.values = PairValues(pair_keys(QUERIES, PASSAGES, self.count), self.scores_P, self.count)
        self.batcher = PairBatcher(encoder, 40, TeacherPairs(self.values, encoder=self.own))
        self.batch = self.batcher.batch(0, groups())
        network = load_cross_encoder(backbone, MODEL, seed=2)
        cost = self.teacher.cost
        self.module = CrossEncoder(network, tokenizer, loss, Optimization(), steps=1, seed=1, teacher_cost=cost)

    def library_scores(self, cross: str) -> torch.Tensor:
        from sentence_transformers import CrossEncoder as Peer

        peer = Peer(cross, device="cpu", activation_fn=torch.nn.Identity())
        queries, passages = self.collection.queries, self.collection.passages
        pairs = [(queries.texts([query])[0], text) for query, rows in GROUPS.items() for text in passages.texts(rows)]
        return torch.tensor(peer.predict(pairs)).view(2, 3)


@pytest.fixture
def other_vocabulary(tmp_path: Path) -> str:
    """A backbone whose tokens have other numbers than the teacher's."""
    return str(write_tiny_bert(tmp_path / "other", ["a few more words", *WORDS]))


@pytest.mark.parametrize("loss", [margin_mse, kl_divergence])
def test_the_loss_is_given_the_students_and_the_teachers_scores(tmp_path: Path, cross: str, loss: Any):
    setting = Setting(tmp_path, cross, loss=loss)
    found, scores_QN = setting.module.objective(setting.batch)
    torch.testing.assert_close(found, loss(scores_QN, setting.library_scores(cross)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores_QN, setting.module.group_scores(setting.batch))


def test_a_teacher_of_another_tokenizer_reads_pairs_of_its_own(tmp_path: Path, cross: str, other_vocabulary: str):
    setting = Setting(tmp_path, cross, student=other_vocabulary)
    theirs = setting.own.join(QUERIES, PASSAGES).input_ids_T.tolist()
    assert theirs != setting.batcher.encoder.join(QUERIES, PASSAGES).input_ids_T.tolist()
    found, scores_QN = setting.module.objective(setting.batch)
    torch.testing.assert_close(found, margin_mse(scores_QN, setting.library_scores(cross)), atol=1e-4, rtol=1e-4)


def test_the_scores_of_many_pairs_are_those_of_each_alone(tmp_path: Path, cross: str):
    setting = Setting(tmp_path, cross)
    alone = [
        setting.teacher.pair_scores(
            setting.own, QUERIES[[i]], PASSAGES[[i]], tokens_per_batch=1, device="cpu", precision="32-true"
        )[0]
        for i in range(6)
    ]
    np.testing.assert_allclose(setting.scores_P, alone, rtol=1e-5, atol=1e-6)


def test_in_half_precision_the_teacher_scores_as_it_did_inside_a_step(tmp_path: Path, cross: str):
    setting = Setting(tmp_path, cross)
    half = setting.teacher.pair_scores(
        setting.own, QUERIES, PASSAGES, tokens_per_batch=40, device="cpu", precision="bf16-mixed"
    )
    assert half.dtype == np.float32
    assert not np.array_equal(half, setting.scores_P)
    np.testing.assert_allclose(half, setting.scores_P, rtol=0.05, atol=0.05)


def test_a_teacher_that_reads_less_far_has_its_pairs_cut_there(tmp_path: Path, cross: str):
    tokenizer = AutoTokenizer.from_pretrained(cross, model_max_length=14)
    short = tmp_path / "short"
    tokenizer.save_pretrained(short)
    AutoModelForSequenceClassification.from_pretrained(cross).save_pretrained(short)
    setting = Setting(tmp_path, str(short), student=cross)
    assert (setting.own.max_length, setting.own.max_query_tokens) == (14, 8)


@pytest.mark.parametrize("same", [True, False])
def test_a_step_counts_the_students_tokens_and_the_operations_of_both(
    tmp_path: Path, cross: str, other_vocabulary: str, same: bool
):
    setting = Setting(tmp_path, cross, student=cross if same else other_vocabulary)
    with_teacher = setting.module.cost_of(setting.batch)
    setting.module.teacher_cost = None
    alone = setting.module.cost_of(setting.batch)
    assert with_teacher.tokens == alone.tokens == sum(sum(micro.lengths) for micro in setting.batch.micro_batches)
    forward = setting.teacher.cost.forward(tuple(setting.own.lengths(QUERIES, PASSAGES).tolist()))
    assert with_teacher.flops == pytest.approx(alone.flops + forward)


def test_nothing_of_the_teacher_is_trained_or_kept(tmp_path: Path, cross: str):
    setting = Setting(tmp_path, cross)
    assert set(setting.module.state_dict()) == {f"network.{name}" for name in setting.module.network.state_dict()}
    setting.module.train()
    loss, _ = setting.module.objective(setting.batch)
    loss.backward()
    assert not setting.teacher.network.training
    assert all(parameter.grad is None for parameter in setting.teacher.network.parameters())


def test_a_few_steps_bring_the_margins_closer_to_the_teachers(tmp_path: Path, cross: str, other_vocabulary: str):
    setting = Setting(tmp_path, cross, student=other_vocabulary)
    optimizer = torch.optim.AdamW(setting.module.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss, _ = setting.module.objective(setting.batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_micro_batches_give_the_loss_and_the_gradient_of_the_whole_batch(tmp_path: Path, cross: str):
    setting = Setting(tmp_path, cross, loss=distill_ranknet)
    setting.module.double()  # scores of random weights are nearly equal: fp32's rounding would be large in the slope
    found = []
    for tokens in (40, 10_000):
        batch = replace(setting.batcher, tokens_per_batch=tokens).batch(0, groups())
        setting.module.zero_grad()
        loss, _ = setting.module.objective(batch)
        loss.backward()
        slope = torch.cat([parameter.grad.flatten() for parameter in setting.module.parameters()])
        found.append((len(batch.micro_batches), loss.detach(), slope))
    (several, loss, slope), (whole, whole_loss, whole_slope) = found
    assert several > whole == 1
    torch.testing.assert_close(loss, whole_loss)
    torch.testing.assert_close(slope, whole_slope, atol=1e-6, rtol=1e-4)


def test_a_pair_without_a_value_is_masked(tmp_path: Path, cross: str):
    setting = Setting(tmp_path, cross, loss=distill_ranknet)
    known = np.array([True, True, False, True, True, True])
    values = PairValues(setting.values.keys_P[known], setting.values.values_P[known], setting.count)
    batch = replace(setting.batcher, teacher=TeacherPairs(values, masks=True)).batch(0, groups())
    assert batch.mask_QN is not None
    assert batch.mask_QN.tolist() == [[True, True, False], [True, True, True]]
    found, scores_QN = setting.module.objective(batch)
    wanted = torch.tensor(setting.scores_P).view(2, 3)
    torch.testing.assert_close(found, distill_ranknet(scores_QN, wanted, mask_QN=batch.mask_QN))


def test_a_pair_that_no_step_of_the_training_draws_has_no_number(tmp_path: Path, cross: str):
    setting = Setting(tmp_path, cross)
    values = PairValues(setting.values.keys_P[:5], setting.values.values_P[:5], setting.count)
    batch = replace(setting.batcher, teacher=TeacherPairs(values)).batch(0, groups())
    assert batch.mask_QN is None
    assert batch.teacher_QN is not None
    assert batch.teacher_QN.isnan().tolist() == [[False, False, False], [False, False, True]]


def test_a_batch_moves_with_the_teachers_scores(tmp_path: Path, cross: str):
    moved = Setting(tmp_path, cross).batch.to("meta")
    assert moved.teacher_QN is not None
    assert (moved.teacher_QN.device.type, tuple(moved.teacher_QN.shape)) == ("meta", (2, 3))
    assert len(moved.teacher_lengths) == 6
