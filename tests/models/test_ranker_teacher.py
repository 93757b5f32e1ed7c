"""A cross-encoder that learns from another: what its loss is given, what the teacher reads, what is counted."""

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
from experiments.data.batches.pair_batches import PairBatcher
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.tokens import tokens_of
from experiments.losses.kl_divergence import kl_divergence
from experiments.losses.margin_mse import margin_mse
from experiments.models.backbone import load_tokenizer
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.models.teacher import load_teacher, teacher_batcher

MODEL = CrossEncoderConfig(max_length=24, max_query_tokens=8, dropout=0.0)


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_cross_encoder(tmp_path_factory.mktemp("cross"))


class Setting:
    """A student, its teacher in ``cross``, and two groups of three."""

    def __init__(self, tmp_path: Path, cross: str, student: str | None = None, loss: Any = margin_mse) -> None:
        backbone = Backbone(name="tiny", path=student or cross)
        self.collection, store = literal_collection(tmp_path), Cache(tmp_path / "store")
        self.teacher, tokenizer = load_teacher(cross), load_tokenizer(backbone)
        tokens = [tokens_of(self.collection, kind, tokenizer, 24, store) for kind in ("queries", "passages")]
        encoder = PairEncoder(PairTemplate.of(tokenizer), *tokens, MODEL.max_query_tokens, MODEL.max_length)
        self.own = teacher_batcher(self.teacher, tokenizer, self.collection, MODEL, store, tokens_per_batch=40)
        self.batch = PairBatcher(encoder, 40, self.own).batch(0, groups())
        network = load_cross_encoder(backbone, MODEL, seed=2)
        self.module = CrossEncoder(network, tokenizer, loss, Optimization(), steps=1, seed=1, teacher=self.teacher)

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
    one = Setting(tmp_path, cross, loss=loss)
    found, scores_QN = one.module.objective(one.batch)
    torch.testing.assert_close(found, loss(scores_QN, one.library_scores(cross)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores_QN, one.module.group_scores(one.batch))


def test_a_teacher_of_the_same_tokenizer_reads_the_students_pairs(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    assert one.own is None
    assert one.batch.teacher is None


def test_a_teacher_of_another_tokenizer_reads_pairs_of_its_own(tmp_path: Path, cross: str, other_vocabulary: str):
    one = Setting(tmp_path, cross, student=other_vocabulary)
    assert one.batch.teacher is not None
    theirs, ours = (
        sorted(micro.input_ids_T.tolist() for micro in batch.micro_batches) for batch in (one.batch.teacher, one.batch)
    )
    assert theirs != ours
    found, scores_QN = one.module.objective(one.batch)
    torch.testing.assert_close(found, margin_mse(scores_QN, one.library_scores(cross)), atol=1e-4, rtol=1e-4)


def test_a_teacher_that_reads_less_far_has_its_pairs_cut_there(tmp_path: Path, cross: str):
    tokenizer = AutoTokenizer.from_pretrained(cross, model_max_length=14)
    short = tmp_path / "short"
    tokenizer.save_pretrained(short)
    AutoModelForSequenceClassification.from_pretrained(cross).save_pretrained(short)
    one = Setting(tmp_path, str(short), student=cross)
    assert one.own is not None
    assert (one.own.encoder.max_length, one.own.encoder.max_query_tokens) == (14, 8)


@pytest.mark.parametrize("same", [True, False])
def test_a_step_counts_the_students_tokens_and_the_operations_of_both(
    tmp_path: Path, cross: str, other_vocabulary: str, same: bool
):
    one = Setting(tmp_path, cross, student=cross if same else other_vocabulary)
    with_teacher = one.module.cost_of(one.batch)
    one.module.teacher = None
    alone = one.module.cost_of(one.batch)
    assert with_teacher.tokens == alone.tokens == sum(sum(micro.lengths) for micro in one.batch.micro_batches)
    read = (one.batch if same else one.batch.teacher).micro_batches
    forward = sum(one.teacher.cost.forward(micro.lengths) for micro in read)
    assert with_teacher.flops == pytest.approx(alone.flops + forward)


def test_nothing_of_the_teacher_is_trained_or_kept(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    assert set(one.module.state_dict()) == {f"network.{name}" for name in one.module.network.state_dict()}
    one.module.train()
    loss, _ = one.module.objective(one.batch)
    loss.backward()
    assert not one.teacher.network.training
    assert all(parameter.grad is None for parameter in one.teacher.network.parameters())


def test_a_few_steps_bring_the_margins_closer_to_the_teachers(tmp_path: Path, cross: str, other_vocabulary: str):
    one = Setting(tmp_path, cross, student=other_vocabulary)
    optimizer = torch.optim.AdamW(one.module.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss, _ = one.module.objective(one.batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_batch_moves_with_the_teachers_pairs(tmp_path: Path, cross: str, other_vocabulary: str):
    moved = Setting(tmp_path, cross, student=other_vocabulary).batch.to("meta")
    assert moved.teacher is not None
    assert moved.teacher.micro_batches[0].input_ids_T.device.type == "meta"
    assert np.prod(moved.teacher.shape_QN) == len(moved.teacher.place_P) == 6
