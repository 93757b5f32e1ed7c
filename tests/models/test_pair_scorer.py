"""Scores of pairs: the same as sentence-transformers' own, computed once, and an error for what is no model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import LiteralSource, write_tiny_bert
from safetensors.torch import load_file, save_file

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.data.collection import Collection, open_collection
from experiments.models.backbone import source_of
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.export import PairCut
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.models.pair_scorer import BiEncoderScorer, CrossEncoderScorer, load_scorer
from experiments.pretrained.tokenizer import tokenizer_of

PASSAGES = ["red circle", "blue square on a line", "a point", "red red red line of a cube and a cone", "square"]
QUERIES = ["what is red", "square", "cube on a line"]
PAIRS = (np.array([0, 0, 1, 2, 1, 0]), np.array([0, 3, 1, 3, 4, 4]))  # query 0 three times, passages 3 and 4 twice


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store")


@pytest.fixture
def collection(store: Cache) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(PASSAGES)]
    queries = [(f"q{i}", text) for i, text in enumerate(QUERIES)]
    return open_collection(LiteralSource(passages, queries, {"train": [("q0", "p0", 1)]}), store)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), [*PASSAGES, *QUERIES])


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    return write_classifier(tmp_path_factory.mktemp("cross"), bert, logits=1)


@pytest.fixture(scope="module")
def bi_encoder(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    folder = tmp_path_factory.mktemp("bi")
    transformer = modules.Transformer(str(bert))
    SentenceTransformer(modules=[transformer, modules.Pooling(32)], device="cpu").save_pretrained(str(folder))
    return folder


def write_classifier(folder: Path, bert: Path, logits: int) -> Path:
    backbone = Backbone(name="tiny", path=str(bert))
    network = load_cross_encoder(backbone, CrossEncoderConfig(max_length=40, logits=min(logits, 2)), seed=1)
    if logits > 2:
        network.classifier = torch.nn.Linear(32, logits)
        network.config.num_labels = logits
    network.save_pretrained(folder)
    tokenizer_of(source_of(backbone)).save_pretrained(folder)
    return folder


def texts() -> list[tuple[str, str]]:
    return [(QUERIES[q], PASSAGES[p]) for q, p in zip(*PAIRS, strict=True)]


def test_a_cross_encoder_gives_the_scores_of_sentence_transformers(
    cross_encoder: Path, collection: Collection, store: Cache
):
    from sentence_transformers import CrossEncoder

    theirs = CrossEncoder(str(cross_encoder), device="cpu").predict(texts(), activation_fn=torch.nn.Identity())
    ours = load_scorer(str(cross_encoder)).score(collection, *PAIRS, store)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_cross_encoder_that_sentence_transformers_saved_is_one_too(
    cross_encoder: Path, collection: Collection, store: Cache, tmp_path: Path
):
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(cross_encoder), device="cpu").save_pretrained(str(tmp_path / "saved"))
    again = load_scorer(str(tmp_path / "saved"))
    assert isinstance(again, CrossEncoderScorer)
    first = load_scorer(str(cross_encoder)).score(collection, *PAIRS, store)
    np.testing.assert_allclose(again.score(collection, *PAIRS, store), first, atol=1e-6)


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory, cross_encoder: Path) -> Path:
    """The cross-encoder with a head of larger weights, so that its scores are far apart."""
    folder = shutil.copytree(cross_encoder, tmp_path_factory.mktemp("loud") / "model")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] *= 1_000
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory, loud: Path) -> Path:
    from sentence_transformers import CrossEncoder

    folder, prompts = tmp_path_factory.mktemp("prompted"), {"line": "a line of ", "other": "cube "}
    CrossEncoder(str(loud), device="cpu", prompts=prompts, default_prompt_name="line").save_pretrained(str(folder))
    return folder


def test_the_default_prompt_of_a_saved_cross_encoder_is_written_before_each_query(
    prompted: Path, loud: Path, collection: Collection, store: Cache
):
    from sentence_transformers import CrossEncoder

    theirs = CrossEncoder(str(prompted), device="cpu").predict(texts(), activation_fn=torch.nn.Identity())
    ours = load_scorer(str(prompted)).score(collection, *PAIRS, store)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    without = load_scorer(str(loud)).score(collection, *PAIRS, store)
    assert (np.abs(ours - without) > 1e-3).all(), "the prompt matters"


def test_the_tokens_of_a_prompt_are_none_of_the_querys(prompted: Path):
    scorer = load_scorer(str(prompted), cut=PairCut(max_query_tokens=6, max_length=40))
    assert isinstance(scorer, CrossEncoderScorer)
    assert scorer.max_query_tokens == 9, "three of the prompt, six of the query"


def test_a_default_prompt_that_does_not_exist_is_an_error(prompted: Path, tmp_path: Path):
    folder = shutil.copytree(prompted, tmp_path / "edited")
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    (folder / "config_sentence_transformers.json").write_text(json.dumps({**settings, "default_prompt_name": "query"}))
    with pytest.raises(
        ExperimentError, match=r"default_prompt_name is 'query', which is none of its prompts \(line, ot"
    ):
        load_scorer(str(folder))


def test_two_logits_are_scored_by_their_difference(bert: Path, collection: Collection, store: Cache, tmp_path: Path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = write_classifier(tmp_path / "two", bert, logits=2)
    found = load_scorer(str(folder)).score(collection, *PAIRS, store)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        pairs = [network(**tokenizer(query, passage, return_tensors="pt")).logits[0] for query, passage in texts()]
    np.testing.assert_allclose(found, [float(pair[1] - pair[0]) for pair in pairs], atol=1e-5)


def test_a_bi_encoder_gives_the_models_own_similarity(bi_encoder: Path, collection: Collection, store: Cache):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bi_encoder), device="cpu")
    queries, passages = zip(*texts(), strict=True)
    theirs = model.similarity_pairwise(
        model.encode_query(list(queries), convert_to_tensor=True),
        model.encode_document(list(passages), convert_to_tensor=True),
    )
    scorer = load_scorer(str(bi_encoder))
    assert isinstance(scorer, BiEncoderScorer)
    np.testing.assert_allclose(scorer.score(collection, *PAIRS, store), theirs.numpy(), atol=1e-5)


def test_a_multi_vector_encoder_gives_its_maxsim(bert: Path, collection: Collection, store: Cache, tmp_path: Path):
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(bert), device="cpu")
    model.save_pretrained(str(tmp_path / "multi"))
    found = load_scorer(str(tmp_path / "multi")).score(collection, *PAIRS, store)
    for score, (query, passage) in zip(found.tolist(), texts(), strict=True):
        left, right = model.encode_query([query])[0], model.encode_document([passage])[0]
        assert score == pytest.approx(float((left @ right.T).amax(dim=1).sum()), abs=1e-4)


def test_a_bi_encoder_encodes_each_text_once(
    bi_encoder: Path, collection: Collection, store: Cache, monkeypatch: pytest.MonkeyPatch
):
    scorer = load_scorer(str(bi_encoder))
    assert isinstance(scorer, BiEncoderScorer)
    encoded: list[str] = []
    for name in ("encode_query", "encode_document"):
        encode = getattr(scorer.model, name)
        monkeypatch.setattr(
            scorer.model, name, lambda some, encode=encode, **more: (encoded.extend(some), encode(some, **more))[1]
        )
    monkeypatch.setattr("experiments.models.pair_scorer.TEXTS_PER_CHUNK", 2)
    monkeypatch.setattr("experiments.models.pair_scorer.PAIRS_PER_CHUNK", 2)
    in_chunks = scorer.computed(collection, *PAIRS, store)
    assert sorted(encoded) == sorted([*QUERIES, *(PASSAGES[p] for p in (0, 1, 3, 4))])
    monkeypatch.undo()
    np.testing.assert_allclose(in_chunks, load_scorer(str(bi_encoder)).score(collection, *PAIRS, store), atol=1e-6)


def test_what_was_scored_once_is_read_from_the_store(cross_encoder: Path, collection: Collection, store: Cache):
    first = load_scorer(str(cross_encoder)).score(collection, *PAIRS, store)
    again = load_scorer(str(cross_encoder)).score(collection, *PAIRS, store)
    assert first.tolist() == again.tolist()
    assert (store.builds["pair_scores"], store.hits["pair_scores"]) == (1, 1)
    load_scorer(str(cross_encoder)).score(collection, PAIRS[0][:2], PAIRS[1][:2], store)
    assert store.builds["pair_scores"] == 2, "other pairs are scored anew"


def test_a_scorer_is_known_by_its_content_not_by_its_place(cross_encoder: Path, bert: Path, tmp_path: Path):
    same = write_classifier(tmp_path / "same", bert, logits=1)
    other = write_classifier(tmp_path / "other", write_tiny_bert(tmp_path / "bert", PASSAGES, seed=2), logits=1)
    own = load_scorer(str(cross_encoder)).fingerprint()
    assert load_scorer(str(same)).fingerprint() == own
    assert load_scorer(str(other)).fingerprint() != own


def test_no_folder_and_no_hub_model_is_an_error():
    with pytest.raises(ExperimentError, match=r"negatives\.filter\.scorer is 'no/such-model': there is no such folder"):
        load_scorer("no/such-model")


@pytest.mark.parametrize("key", ["audit.scorer", "model.cross_encoder"])
def test_a_message_names_the_key_that_was_given(key: str, tmp_path: Path, bert: Path):
    for path, message in (
        ("no/such-model", " is 'no/such-model': there is no such folder"),
        (str(tmp_path), " cannot be loaded from"),
        (str(bert), f": {bert} is no trained cross-encoder"),
    ):
        with pytest.raises(ExperimentError, match=f"^{key}{message}"):
            load_scorer(path, key)


def test_a_job_that_says_how_it_cut_its_pairs_is_scored_so(
    cross_encoder: Path, collection: Collection, store: Cache, tmp_path: Path
):
    folder = shutil.copytree(cross_encoder, tmp_path / "job")
    config = json.loads((folder / "config.json").read_text())
    limits = {"max_query_tokens": 2, "max_length": 9}
    (folder / "config.json").write_text(json.dumps({**config, "rerank_ablations": limits}))
    scorer, whole = load_scorer(str(folder)), load_scorer(str(cross_encoder))
    assert isinstance(scorer, CrossEncoderScorer)
    assert (scorer.max_query_tokens, scorer.max_length) == (2, 9)
    assert scorer.fingerprint() != whole.fingerprint()
    cut, full = (one.score(collection, *PAIRS, store) for one in (scorer, whole))
    same = np.array([len(QUERIES[q].split()) <= 2 and len(PASSAGES[p].split()) <= 5 for q, p in zip(*PAIRS)])  # noqa: B905
    assert same.any()
    np.testing.assert_allclose(cut[same], full[same], atol=1e-6)
    assert (np.abs(cut - full)[~same] > 1e-6).all()


def test_a_folder_without_a_model_is_an_error(tmp_path: Path):
    with pytest.raises(ExperimentError, match=f"scorer cannot be loaded from '{tmp_path}'"):
        load_scorer(str(tmp_path))


def test_a_backbone_without_a_trained_head_is_an_error(bert: Path):
    with pytest.raises(ExperimentError, match=r"no trained cross-encoder, it lacks weights such as classifier\.bias"):
        load_scorer(str(bert))


def test_a_classifier_of_three_classes_is_an_error(bert: Path, tmp_path: Path):
    with pytest.raises(ExperimentError, match="has 3 logits, not one or two"):
        load_scorer(str(write_classifier(tmp_path / "three", bert, logits=3)))


def test_another_kind_of_sentence_transformers_model_is_an_error(tmp_path: Path):
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "SparseEncoder"}))
    with pytest.raises(ExperimentError, match="holds a SparseEncoder, which is not supported"):
        load_scorer(str(tmp_path))


def test_a_bi_encoder_whose_weights_are_missing_is_an_error(tmp_path: Path):
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    (tmp_path / "modules.json").write_text(json.dumps([module]))
    with pytest.raises(ExperimentError, match=f"scorer cannot be loaded from '{tmp_path}'"):
        load_scorer(str(tmp_path))


def test_scores_that_are_not_finite_are_an_error(cross_encoder: Path, collection: Collection, store: Cache):
    scorer = load_scorer(str(cross_encoder))
    assert isinstance(scorer, CrossEncoderScorer)
    with torch.no_grad():
        scorer.network.classifier.bias.fill_(float("nan"))
    with pytest.raises(ExperimentError, match="scores that are not finite"):
        scorer.score(collection, *PAIRS, store)
