"""A dual encoder's training: what groups score, which passages are negatives, what a resumed training ends with."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.dual_encoder import GROUPS, Setting, groups, write_cross_encoder
from helpers.tiny import literal_run

from experiments.config.negatives import NegativeRule
from experiments.data.batches.groups import TrainingGroups
from experiments.data.batches.text_batches import RunTexts
from experiments.data.datamodule import RankingData
from experiments.losses.bce import bce
from experiments.models.packed_forward import choose_layout
from experiments.models.ranker import DevSet
from experiments.negatives.sampler import NegativeSampler

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")  # outside a trainer nothing is logged


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_cross_encoder(tmp_path_factory.mktemp("cross"))


def test_cached_features_are_those_of_the_librarys_preprocess(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    for source, task, table in (
        (one.queries, "query", one.collection.queries),
        (one.passages, "document", one.collection.passages),
    ):
        theirs = one.network.preprocess(table.texts(range(4)), task=task)
        for name, ours in source.batch(np.arange(4)).items():
            torch.testing.assert_close(ours, theirs[name])


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("dual", [{}, {"pooling": "cls"}, {"similarity": "dot"}])
def test_scores_are_the_librarys_similarities_by_the_temperature(tmp_path: Path, cross: str, layout: str, dual: dict):
    one = Setting(tmp_path, cross, temperature=0.5, **dual)
    _, scores_QN = one.module(layout=layout).eval().scored_groups(one.texts().batch(0, groups()))
    asked = one.network.encode_query(one.collection.queries.texts([0, 1]))
    for query, rows in GROUPS.items():
        found = one.network.encode_document(one.collection.passages.texts(rows))
        theirs = one.network.similarity(asked[query], found)[0]
        torch.testing.assert_close(scores_QN[query] / 2, theirs, atol=1e-5, rtol=1e-5)


def test_scores_are_computed_in_full_precision_where_the_encoder_is_not(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    with torch.autocast("cpu", torch.bfloat16):
        scores, _ = one.module().scored_groups(one.texts().batch(0, groups()))
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, scores.bfloat16().float())


def test_both_layouts_have_the_same_gradients(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    gradients = []
    for layout in ("padded", "packed"):
        one.network.zero_grad()
        one.module(layout=layout).objective(one.texts().batch(0, groups()))[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in one.network.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


def test_packing_is_for_cpus(tmp_path: Path, cross: str):
    network = Setting(tmp_path, cross).network
    assert [choose_layout(network[0].model, "auto", device, head=False) for device in ("cpu", "gpu")] == [
        "packed",
        "padded",
    ]


@pytest.mark.parametrize(("dual", "scale"), [({}, 20.0), ({"similarity": "dot"}, 1.0), ({"temperature": 0.1}, 10.0)])
def test_lce_with_negatives_in_the_batch_is_the_librarys_multiple_negatives_loss(
    tmp_path: Path, cross: str, dual: dict, scale: float
):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import dot_score

    one = Setting(tmp_path, cross, **dual)
    assert one.settings.scale == scale
    module = one.module().eval()
    ours, _ = module.objective(one.texts().batch(0, groups()))
    columns = [("query", one.collection.queries.texts([0, 1]))]
    columns += [("document", one.collection.passages.texts(rows)) for rows in ([0, 1], [4, 6], [5, 7])]
    inputs = [one.network.preprocess(texts, task=task) for task, texts in columns]
    similarity = {"similarity_fct": dot_score} if one.settings.similarity == "dot" else {}
    theirs = MultipleNegativesRankingLoss(one.network, scale=scale, **similarity)(inputs, torch.zeros(2))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_another_querys_positive_is_no_negative_where_it_is_an_answer_too(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    module = one.module().eval()
    with torch.no_grad():
        plain = module.scored_groups(one.texts().batch(0, groups()))[0]
        both = {0: np.array([0, 1]), 1: np.array([1])}
        masked = module.scored_groups(one.texts(both).batch(0, groups()))[0]
    assert (plain > -100).sum(dim=1).tolist() == [6, 6], "the positive and five other passages"
    assert (masked > -100).sum(dim=1).tolist() == [5, 6]
    assert torch.isfinite(bce(masked)), "losses with a term for every pair stay finite"


def test_without_negatives_in_the_batch_the_loss_sees_the_groups_alone(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross, in_batch=False)
    scores, scores_QN = one.module().scored_groups(one.texts().batch(0, groups()))
    assert scores is scores_QN
    assert scores.shape == (2, 3)


def test_a_run_is_scored_from_texts_encoded_once(tmp_path: Path, cross: str):
    one = Setting(tmp_path, cross)
    module = one.module(dev=DevSet(literal_run({0: [3, 2], 2: [3, 9, 1]}), {}, "RR@10")).eval()
    assert module.dev is not None
    texts = RunTexts(module.dev.run, one.queries, one.passages, tokens_per_batch=30)
    assert texts.total == 2 + 4
    module.begin_scoring(5)
    with torch.no_grad():
        for i in range(len(texts)):
            module.score_batch(texts[i])
    asked = one.network.encode_query(one.collection.queries.texts([0, 2]))
    found = one.network.encode_document(one.collection.passages.texts([3, 2, 9, 1]))
    theirs = one.network.similarity(asked, found)
    expected = [theirs[0, 0], theirs[0, 1], theirs[1, 0], theirs[1, 2], theirs[1, 3]]
    np.testing.assert_allclose(module.gathered_scores().numpy(), expected, atol=1e-5)


def training(tmp_path: Path, cross: str, steps: int, resume: Path | None = None) -> dict[str, torch.Tensor]:
    """The weights after some steps with dropout and a teacher; a checkpoint is left behind."""
    one = Setting(tmp_path, cross, distil="kl", align_layer=1)
    for layer in one.network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.1
    run = literal_run({query: list(range(12)) for query in range(3)})
    relevant = {query: np.array([query]) for query in range(3)}
    sampler = NegativeSampler(NegativeRule(count=2, depth=12), [run], relevant, one.collection, seed=1)
    dev = DevSet(run, {query: {query: 1} for query in range(3)}, "RR@10")
    module = one.module(steps=4, dev=dev)
    data = RankingData(
        TrainingGroups(sampler, 2, one.distilled()),
        lambda run, rank, ranks: RunTexts(run, one.queries, one.passages, 40),
        run,
    )
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        val_check_interval=2, check_val_every_n_epoch=None, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=str(resume) if resume else None, weights_only=True)
    assert {"train/loss", "train/distil_loss", "train/align_loss", "dev/RR@10"} <= set(trainer.callback_metrics)
    trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
    return module.network.state_dict()


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, cross: str):
    whole = training(tmp_path / "whole", cross, 4)
    training(tmp_path / "halves", cross, 2)
    resumed = training(tmp_path / "halves", cross, 4, tmp_path / "halves" / "2.ckpt")
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
    kept = torch.load(tmp_path / "whole" / "4.ckpt", weights_only=True)["state_dict"]
    assert set(kept) == {f"network.{name}" for name in whole}
