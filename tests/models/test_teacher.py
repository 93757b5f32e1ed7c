"""What a dual encoder learns from a cross-encoder: its scores, a layer's vectors; what is read and what is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.dual_encoder import GROUPS, Setting, groups, write_cross_encoder
from torch.nn.functional import cosine_similarity
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from experiments.common.errors import ExperimentError
from experiments.data.batches.distillation_batches import DistilBatch, SelfPairBatcher
from experiments.data.batches.pairs import PairTemplate
from experiments.data.ragged import Ragged
from experiments.losses.kl_divergence import kl_divergence
from experiments.losses.margin_mse import margin_mse
from experiments.models.teacher import Teacher, reach_of

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")  # outside a trainer nothing is logged


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_cross_encoder(tmp_path_factory.mktemp("cross"))


def library_scores(one: Setting) -> torch.Tensor:
    from sentence_transformers import CrossEncoder

    peer = CrossEncoder(one.cross, device="cpu", activation_fn=torch.nn.Identity())
    texts = one.collection.queries.texts, one.collection.passages.texts
    pairs = [(texts[0]([query])[0], text) for query, rows in GROUPS.items() for text in texts[1](rows)]
    return torch.tensor(peer.predict(pairs)).view(2, 3)


def test_the_teachers_scores_are_those_of_the_cross_encoder(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, distil="margin_mse")
    batch = one.distilled().batch(0, groups())
    assert one.teacher is not None
    assert batch.pairs is not None
    assert len(batch.pairs.micro_batches) > 1
    torch.testing.assert_close(one.teacher.scores(batch.pairs), library_scores(one), atol=1e-5, rtol=1e-5)


def test_of_two_logits_the_log_odds_are_learnt(tmp_path: Path, cross: str):
    network = AutoModelForSequenceClassification.from_pretrained(cross)
    two = AutoModelForSequenceClassification.from_pretrained(cross, num_labels=2, ignore_mismatched_sizes=True)
    with torch.no_grad():
        two.classifier.weight.copy_(torch.cat([-network.classifier.weight, network.classifier.weight]))
        two.classifier.bias.zero_()
    one = Setting(tmp_path, cross, distil="kl")
    batch = one.distilled().batch(0, groups())
    assert batch.pairs is not None
    scores_QN = Teacher(two, AutoTokenizer.from_pretrained(cross)).scores(batch.pairs)
    torch.testing.assert_close(scores_QN, 2 * library_scores(one), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("distil", ["margin_mse", "kl"])
def test_the_loss_is_the_weighted_sum_of_contrast_and_distillation(tmp_path: Path, cross: str, distil: str):
    one = Setting(tmp_path, cross, distil=distil, distil_weight=0.25, distil_temperature=2.0)
    module = one.module().eval()
    total, scores_QN = module.objective(one.distilled().batch(0, groups()))
    contrast, _ = module.objective(one.texts().batch(0, groups()))
    wanted = library_scores(one)
    distilled = margin_mse(scores_QN, wanted) if distil == "margin_mse" else kl_divergence(scores_QN, wanted, 2.0)
    torch.testing.assert_close(total, 0.75 * contrast + 0.25 * distilled, atol=1e-4, rtol=1e-4)


def test_alignment_draws_texts_to_the_mean_of_their_own_tokens_in_the_first_copy(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, align_layer=2, align_weight=3.0)
    module = one.module().eval()
    total, _ = module.objective(one.distilled().batch(0, groups()))
    contrast, _ = module.objective(one.texts().batch(0, groups()))
    apart = []
    tokenizer = AutoTokenizer.from_pretrained(cross)
    encoder = AutoModelForSequenceClassification.from_pretrained(cross).eval().base_model
    tables = [(one.collection.queries, [0, 1], one.network.encode_query)]
    tables += [(one.collection.passages, [0, 1, 4, 5, 6, 7], one.network.encode_document)]
    for table, rows, encode in tables:
        for text in table.texts(rows):
            pair = tokenizer(text, text, return_tensors="pt")  # [CLS] text [SEP] text [SEP]
            with torch.no_grad():
                states_LD = encoder(**pair, output_hidden_states=True).hidden_states[2][0]
            own = len(tokenizer.tokenize(text))
            vector_D = torch.tensor(encode([text])[0])
            apart.append(1 - cosine_similarity(vector_D, states_LD[1 : 1 + own].mean(dim=0), dim=0))
    torch.testing.assert_close(total, contrast + 3.0 * torch.stack(apart).mean(), atol=1e-4, rtol=1e-4)


def test_a_layer_that_the_cross_encoder_lacks_is_named(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, align_layer=4)
    with pytest.raises(ExperimentError, match="align_layer is 4, but the cross-encoder has layers 0 to 3"):
        one.module()


def test_texts_paired_with_themselves_worked_out_by_hand():
    # 1 text 2 text 2; the second query is empty, the passage is cut to the room of half of 11 - 3 tokens
    template = PairTemplate(prefix=(1,), middle=(2,), suffix=(2,), query_segment=0, passage_segment=1)
    queries, passages = Ragged.of([[7, 8], []], np.int64), Ragged.of([[11, 12, 13, 14, 15, 16]], np.int64)
    batcher = SelfPairBatcher(template, queries, passages, 8, 5, positions=11, tokens_per_batch=100)
    batch = batcher.batch(np.array([0, 1]), np.array([0]))
    read = [micro.input_ids_T.tolist() for micro in batch.micro_batches]
    assert read == [[1, 7, 8, 2, 7, 8, 2, 1, 2, 2], [1, 11, 12, 13, 14, 2, 11, 12, 13, 14, 2]]
    own = [ids[mask].tolist() for ids, mask in zip(map(np.array, read), batch.own_T, strict=True)]
    assert own == [[7, 8, 1], [11, 12, 13, 14]], "an empty text is read off [CLS]"
    assert batch.own_counts == ((2, 1), (4,))
    assert batch.place_P.tolist() == [0, 1, 2]


def test_pairs_reach_as_far_as_both_texts_or_the_teachers_positions(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, distil="kl")
    pairs = one.distilled().pairs
    assert one.teacher is not None
    assert pairs is not None
    assert reach_of(one.teacher.network, one.teacher.tokenizer) == 64
    assert pairs.encoder.max_length == 8 + 16


def test_a_step_reads_the_tokens_of_its_texts_and_computes_those_of_the_teacher_too(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, distil="kl")
    module, batcher = one.module(), one.distilled()
    with_teacher, alone = (module.cost_of(some.batch(0, groups())) for some in (batcher, one.texts()))
    assert with_teacher.tokens == alone.tokens == batcher.tokens(groups()) == 2 * 5 + 6 * 5
    assert with_teacher.flops > alone.flops


def test_a_few_steps_bring_the_scores_closer_to_the_teachers(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, distil="margin_mse", distil_weight=1.0, similarity="dot")
    module, batch = one.module(), one.distilled().batch(0, groups())
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss, _ = module.objective(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_nothing_of_the_teacher_is_trained_or_kept(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, distil="kl", align_layer=1)
    module = one.module()
    assert set(module.state_dict()) == {f"network.{name}" for name in one.network.state_dict()}
    assert one.teacher is not None
    ours = {id(parameter) for parameter in module.parameters()}
    assert not any(id(p) in ours or p.requires_grad for p in one.teacher.network.parameters())
    module.train()
    assert not one.teacher.network.training, "its dropout stays off"


def test_a_batch_moves_as_a_whole(tmp_path: Path, cross: str):
    batch = Setting(tmp_path, cross, distil="kl", align_layer=1).distilled().batch(7, groups()).to("meta")
    assert isinstance(batch, DistilBatch)
    assert (batch.step, batch.texts.shape_QN) == (7, (2, 3))
    assert batch.pairs is not None
    assert batch.alone is not None
    moved = [batch.texts.queries["input_ids"], batch.pairs.micro_batches[0].input_ids_T, batch.alone.own_T[0]]
    assert all(one.device.type == "meta" for one in moved)
