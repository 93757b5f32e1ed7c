"""Late interaction: what the encoder reads, what groups score, which passages are negatives, what is exported."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import literal_collection, write_tiny_bert

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Backbone, Optimization
from experiments.data.batches.groups import Groups
from experiments.data.batches.text_batches import RunTexts, TextBatcher
from experiments.data.batches.text_features import TextFeatures, features_of
from experiments.losses.bce import bce
from experiments.losses.lce import lce
from experiments.models.colbert.config import ColBERTConfig
from experiments.models.colbert.lightning_module import ColBERT
from experiments.models.colbert.network import is_late_interaction, load_colbert
from experiments.pretrained.packed_encoding import pack

WORDS = ["passage query number 0 1 2 3 4 5 6 7 8 9 10 11 . , !"]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(name="tiny", path=str(write_tiny_bert(tmp_path_factory.mktemp("bert"), WORDS)))


def model_of(**late: object) -> ColBERTConfig:
    return ColBERTConfig(
        max_length=16,
        max_query_tokens=8,
        dropout=0.0,
        dimension=8,
        **late,  # type: ignore[arg-type]
    )


def features(tmp_path: Path, backbone: Backbone, model: ColBERTConfig) -> tuple[object, TextFeatures, TextFeatures]:
    encoder = load_colbert(backbone, model, seed=1)
    collection, store = literal_collection(tmp_path), Cache(tmp_path / "store")
    queries, passages = (features_of(collection, kind, encoder, store) for kind in ("queries", "passages"))
    return encoder, queries, passages


def module_of(encoder: object, *, in_batch: bool = True, loss: object = lce) -> ColBERT:
    return ColBERT(encoder, loss, Optimization(), steps=1, seed=1, in_batch=in_batch)  # type: ignore[arg-type]


def batch_of(queries: TextFeatures, passages: TextFeatures, relevant: dict[int, np.ndarray] | None = None):
    """Two groups of three: query 0 with passages 0, 4, 5, and query 1 with passages 1, 6, 7."""
    groups = Groups(np.zeros(2, np.int64), np.array([0, 1]), np.array([[0, 4, 5], [1, 6, 7]]))
    own = {0: np.array([0]), 1: np.array([1])}
    return TextBatcher(queries, passages, relevant or own, tokens_per_batch=20).batch(0, groups)


@pytest.mark.parametrize("late", [{}, {"expand_queries": True}, {"expand_queries": True, "attend_to_expansion": True}])
def test_cached_features_are_those_of_the_librarys_preprocess(tmp_path: Path, backbone: Backbone, late: dict):
    encoder, queries, passages = features(tmp_path, backbone, model_of(**late))
    collection = literal_collection(tmp_path)
    for source, task, texts in (
        (queries, "query", collection.queries.texts(range(4))),
        (passages, "document", collection.passages.texts(range(4))),
    ):
        theirs = encoder.preprocess(texts, prompt=encoder.prompts[task], task=task)
        ours = source.batch(np.arange(4))
        for name in ours:
            torch.testing.assert_close(ours[name].long(), theirs[name].long())


def test_a_text_begins_with_its_marker_as_one_token(tmp_path: Path, backbone: Backbone):
    encoder, queries, passages = features(tmp_path, backbone, model_of())
    tokens = encoder.tokenizer.convert_ids_to_tokens(queries.ids[0])
    assert tokens == ["[CLS]", "[unused0]", "query", "number", "0", "[SEP]"]
    assert encoder.tokenizer.convert_ids_to_tokens(passages.ids[3])[1] == "[unused1]"


def test_scores_of_groups_are_those_of_the_librarys_own_encoding(tmp_path: Path, backbone: Backbone):
    encoder, queries, passages = features(tmp_path, backbone, model_of())
    collection = literal_collection(tmp_path)
    _, scores_QN = module_of(encoder).eval().scored_groups(batch_of(queries, passages))
    asked = encoder.encode_query(collection.queries.texts([0, 1]))
    for query, rows in enumerate([[0, 4, 5], [1, 6, 7]]):
        theirs = encoder.similarity([asked[query]], encoder.encode_document(collection.passages.texts(rows)))
        torch.testing.assert_close(scores_QN[query], theirs[0].cpu(), atol=1e-5, rtol=0)


def test_lce_with_negatives_in_the_batch_is_the_librarys_multiple_negatives_loss(tmp_path: Path, backbone: Backbone):
    from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss

    encoder, queries, passages = features(tmp_path, backbone, model_of())
    collection = literal_collection(tmp_path)
    module = module_of(encoder).eval()
    ours = module.loss(module.scored_groups(batch_of(queries, passages))[0])
    columns = [("query", collection.queries.texts([0, 1]))]
    columns += [("document", collection.passages.texts(rows)) for rows in ([0, 1], [4, 6], [5, 7])]
    inputs = [{**encoder.preprocess(t, prompt=encoder.prompts[task], task=task), "task": task} for task, t in columns]
    theirs = MultiVectorMultipleNegativesRankingLoss(encoder)(inputs)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_another_querys_positive_is_no_negative_where_it_is_an_answer_too(tmp_path: Path, backbone: Backbone):
    encoder, queries, passages = features(tmp_path, backbone, model_of())
    module = module_of(encoder).eval()
    with torch.no_grad():
        plain = module.scored_groups(batch_of(queries, passages))[0]
        both = {0: np.array([0, 1]), 1: np.array([1])}
        masked = module.scored_groups(batch_of(queries, passages, both))[0]
    assert (plain > -100).sum(dim=1).tolist() == [6, 6], "the positive and five other passages"
    assert (masked > -100).sum(dim=1).tolist() == [5, 6]
    assert torch.isfinite(bce(masked)), "losses with a term for every pair stay finite"


def test_without_negatives_in_the_batch_the_loss_sees_the_groups_alone(tmp_path: Path, backbone: Backbone):
    encoder, queries, passages = features(tmp_path, backbone, model_of())
    scores, scores_QN = module_of(encoder, in_batch=False).scored_groups(batch_of(queries, passages))
    assert scores is scores_QN
    assert scores.shape == (2, 3)


def test_a_run_is_scored_from_texts_encoded_once(tmp_path: Path, backbone: Backbone):
    from helpers.tiny import literal_run

    from experiments.models.ranker import DevSet

    encoder, queries, passages = features(tmp_path, backbone, model_of())
    module = module_of(encoder).eval()
    run = literal_run({0: [3, 2], 2: [3, 9, 1]})
    module.dev = DevSet(run, {}, "RR@10")
    texts = RunTexts(run, queries, passages, tokens_per_batch=30)
    assert texts.total == 2 + 4
    module.begin_scoring(5)
    with torch.no_grad():
        for i in range(len(texts)):
            module.score_batch(texts[i])
    collection = literal_collection(tmp_path)
    asked, found = encoder.encode_query(collection.queries.texts([0, 2])), collection.passages.texts([3, 2, 9, 1])
    theirs = encoder.similarity(asked, encoder.encode_document(found)).cpu()
    expected = [theirs[0, 0], theirs[0, 1], theirs[1, 0], theirs[1, 2], theirs[1, 3]]
    np.testing.assert_allclose(module.gathered_scores().numpy(), expected, atol=1e-5)


def test_the_export_loads_in_the_library_with_the_same_embeddings(tmp_path: Path, backbone: Backbone):
    from sentence_transformers import MultiVectorEncoder

    encoder, *_ = features(tmp_path, backbone, model_of(expand_queries=True))
    module_of(encoder).export(tmp_path / "model")
    assert is_late_interaction(str(tmp_path / "model"))
    loaded = MultiVectorEncoder(str(tmp_path / "model"), device="cpu")
    for ours, theirs in (
        (encoder.encode_query(["query 3"]), loaded.encode_query(["query 3"])),
        (encoder.encode_document(["passage, 5 !"]), loaded.encode_document(["passage, 5 !"])),
    ):
        torch.testing.assert_close(ours[0], theirs[0], atol=1e-6, rtol=0)
    assert len(loaded.encode_query(["query 3"])[0]) == 8, "expanded to max_query_tokens"


def test_punctuation_of_passages_is_not_matched(backbone: Backbone):
    skipping, keeping = (load_colbert(backbone, model_of(skip_punctuation=flag), seed=1) for flag in (True, False))
    text = ["passage , 5 !"]
    assert len(keeping.encode_document(text)[0]) - len(skipping.encode_document(text)[0]) == 2
    assert len(keeping.encode_query(text)[0]) == len(skipping.encode_query(text)[0])


def test_a_fresh_projection_keeps_the_first_coordinates(backbone: Backbone):
    encoder = load_colbert(backbone, model_of(), seed=1)
    assert torch.equal(encoder[1].linear.weight.detach(), torch.eye(8, 32))


def test_a_late_interaction_backbone_keeps_its_projection(tmp_path: Path, backbone: Backbone):
    first = load_colbert(backbone, model_of(fresh_projection="random"), seed=3)
    module_of(first).export(tmp_path / "model")
    again = load_colbert(Backbone(name="own", path=str(tmp_path / "model")), model_of(), seed=1)
    assert torch.equal(first[1].linear.weight, again[1].linear.weight)
    wider = ColBERTConfig(dimension=9)
    with pytest.raises(ExperimentError, match=r"dimension 8: set model\.dimension=8, not 9"):
        load_colbert(Backbone(name="own", path=str(tmp_path / "model")), wider, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 0}, "dimension is 0"),
        ({"query_marker": "[Q] "}, "must be one token"),
        ({"query_marker": "[D]", "passage_marker": "[D]"}, "must differ"),
        ({"scale": 0.0}, "scale is 0.0: it must be above 0"),
        ({"fresh_projection": "zero"}, "must be one of identity, random"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        ColBERTConfig(**change)


def test_an_identity_cannot_be_wider_than_the_backbone(backbone: Backbone):
    wide = ColBERTConfig(max_length=16, max_query_tokens=8, dimension=33)
    with pytest.raises(ExperimentError, match="dimension=33 is more than the backbone's 32"):
        load_colbert(backbone, wide, seed=1)


@pytest.mark.parametrize("late", [{}, {"expand_queries": True}, {"expand_queries": True, "attend_to_expansion": True}])
def test_packed_the_loss_and_the_gradients_are_the_padded_ones(tmp_path: Path, backbone: Backbone, late: dict):
    encoder, queries, passages = features(tmp_path, backbone, model_of(**late))
    module, batch = module_of(encoder), batch_of(queries, passages)

    def step() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        module.zero_grad()
        loss, _ = module.objective(batch)
        loss.backward()
        weights = module.named_parameters()
        return loss, {name: weight.grad.clone() for name, weight in weights if weight.grad is not None}

    padded_loss, padded = step()
    assert pack(encoder)
    assert torch.equal(step()[0], padded_loss)  # in training mode only if it is asked for
    assert pack(encoder, training=True)
    loss, packed = step()
    torch.testing.assert_close(loss, padded_loss, atol=1e-5, rtol=0)
    assert packed.keys() == padded.keys()
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, atol=1e-5, rtol=1e-4, msg=name)
