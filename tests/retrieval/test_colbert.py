"""ColBERT: the library's scores, candidates, settings, and checkpoints that cannot be one."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.colbert import write_stanford_colbert
from helpers.tiny import LiteralSource, literal_run, write_tiny_bert
from sentence_transformers import MultiVectorEncoder

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.retrieval.bm25 import BM25
from experiments.retrieval.colbert import ColBERT, first_ranks
from experiments.retrieval.retriever import FromFiles, Retriever

WORDS = ["red", "green", "blue", "cat", "dog", "mouse", "chases", "sees", "eats", "quickly", "the", ",", "."]
RANDOM = np.random.default_rng(3)
PASSAGES = [(f"p{i}", " ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 30)))) for i in range(40)]
QUERIES = [(f"q{i}", " ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 6)))) for i in range(5)]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    judged = {"test": [(f"q{i}", f"p{i}", 1) for i in range(5)]}
    return open_collection(LiteralSource(PASSAGES, QUERIES, judged), Cache(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_stanford_colbert(tmp_path_factory.mktemp("model") / "stanford", WORDS))


def library_scores(model: MultiVectorEncoder) -> np.ndarray:
    queries = model.encode_query([text for _, text in QUERIES])
    return model.similarity(queries, model.encode_document([text for _, text in PASSAGES])).numpy()


def as_matrix(run) -> np.ndarray:
    matrix = np.full((len(run), len(PASSAGES)), np.nan, np.float32)
    for i, _ in enumerate(run.queries):
        matrix[i, run.passages[i]] = run.scores[i]
    return matrix


def test_it_is_a_retriever_from_files():
    assert isinstance(ColBERT(), Retriever)
    assert isinstance(ColBERT(), FromFiles)


@pytest.mark.parametrize("form", ["stanford", "sentence-transformers"])
def test_exact_search_gives_the_scores_of_the_library(
    collection: Collection, checkpoint: str, tmp_path: Path, form: str
):
    library = MultiVectorEncoder(checkpoint, device="cpu")
    place = checkpoint
    if form == "sentence-transformers":
        place = str(tmp_path / "exported")
        library.save_pretrained(place)
    run = ColBERT(place).retrieve(collection, np.arange(5), 40, Cache(tmp_path))
    # stored as float16: a query's 12 tokens differ by less than 2 ** -11 each
    assert np.abs(as_matrix(run) - library_scores(library)).max() < 12 * 2**-11
    assert (np.diff(run.scores[0]) <= 0).all()


def test_only_the_candidates_of_another_retriever_are_re_ranked(
    collection: Collection, checkpoint: str, tmp_path: Path
):
    store, queries = Cache(tmp_path), np.arange(5)
    everything = as_matrix(ColBERT(checkpoint).retrieve(collection, queries, 40, store))
    first = BM25().retrieve(collection, queries, 8, store)
    run = ColBERT(checkpoint, candidates_from=BM25(), candidates=8).retrieve(collection, queries, 3, store)
    for query in first.queries:
        candidates = first.ranking(int(query))
        best = sorted(candidates, key=lambda passage: (-everything[query, passage], passage))[:3]
        assert run.ranking(int(query)).tolist() == best
        assert run.scores[run.position(int(query))] == pytest.approx(everything[query, best], abs=1e-3)


def test_pair_scores_stand_in_the_order_of_the_run(collection: Collection, checkpoint: str, tmp_path: Path):
    store = Cache(tmp_path)
    colbert = ColBERT(checkpoint)
    everything = as_matrix(colbert.retrieve(collection, np.arange(5), 40, store))
    scores = colbert.pair_scores(collection, literal_run({1: [7, 3], 4: [39]}), store)
    assert scores.dtype == np.float32
    assert scores == pytest.approx([everything[1, 7], everything[1, 3], everything[4, 39]], abs=1e-3)
    assert store.builds["embeddings"] == 2  # all passages, and the three of the run


def test_a_mean_over_tokens_is_kept(collection: Collection, checkpoint: str, tmp_path: Path):
    library = MultiVectorEncoder(checkpoint, device="cpu", similarity_fn_name="meanmaxsim")
    library.save_pretrained(str(tmp_path / "mean"))
    run = ColBERT(str(tmp_path / "mean")).retrieve(collection, np.arange(5), 40, Cache(tmp_path))
    assert np.abs(as_matrix(run) - library_scores(library)).max() < 2**-11


def test_settings_replace_those_of_the_checkpoint(checkpoint: str):
    model = ColBERT(
        checkpoint, query_length=20, document_length=9, query_marker="cat", document_marker="dog"
    ).encoder.model
    query, document = (
        model.preprocess(["red"], prompt=model.prompts["query"], task="query"),
        model.preprocess(["red " * 30], prompt=model.prompts["document"], task="document"),
    )
    assert query["input_ids"].shape == (1, 20)
    assert document["input_ids"].shape == (1, 9)
    tokens = model.tokenizer.convert_ids_to_tokens(query["input_ids"][0, :5].tolist())
    assert tokens == ["[CLS]", "cat", "red", "[SEP]", "[MASK]"]
    assert model.tokenizer.convert_ids_to_tokens(document["input_ids"][0, 1].item()) == "dog"


def test_a_marker_of_the_vocabulary_stays_one_token(checkpoint: str):
    model = ColBERT(checkpoint, query_marker="[unused1]").encoder.model
    query = model.preprocess(["red"], prompt=model.prompts["query"], task="query")
    assert model.tokenizer.convert_ids_to_tokens(query["input_ids"][0, :3].tolist()) == ["[CLS]", "[unused1]", "red"]


def test_without_expansion_a_query_has_its_own_length(checkpoint: str):
    vectors = ColBERT(checkpoint, query_expansion=False).encoder.encode_queries(["red", "red cat dog"])
    assert vectors.lengths.tolist() == [4, 6]  # [CLS], marker, words, [SEP]


def test_punctuation_is_not_scored(checkpoint: str):
    _, counts = ColBERT(checkpoint).encoder.encode_passages(["red , .", "red cat dog"])
    assert counts.tolist() == [4, 6]


def test_another_checkpoint_is_another_index(collection: Collection, checkpoint: str, tmp_path: Path):
    other = str(write_stanford_colbert(tmp_path / "other", WORDS, seed=1))
    store = Cache(tmp_path)
    for place in (checkpoint, other, checkpoint):
        ColBERT(place).retrieve(collection, np.arange(5), 5, store)
    assert (store.builds["embeddings"], store.hits["embeddings"]) == (2, 1)
    assert ColBERT(checkpoint).content() != ColBERT(other).content()


def test_settings_of_queries_leave_the_index_but_not_the_run(checkpoint: str):
    usual, longer = ColBERT(checkpoint), ColBERT(checkpoint, query_length=20)
    assert usual.fingerprint() != longer.fingerprint()
    assert usual.encoder.passage_fingerprint() == longer.encoder.passage_fingerprint()


def test_weights_written_anew_are_noticed(tmp_path: Path):
    place = str(write_stanford_colbert(tmp_path / "model", WORDS))
    before = ColBERT(place).content()
    write_stanford_colbert(tmp_path / "model", WORDS, seed=1)
    assert ColBERT(place).content() != before


def test_a_hub_model_is_known_by_its_commit():
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert ColBERT("colbert-ir/colbertv2.0", revision=commit).content() == f"colbert-ir/colbertv2.0@{commit}"
    assert ColBERT("colbert-ir/colbertv2.0", revision="abc").content() == "colbert-ir/colbertv2.0@unknown:abc"


def test_a_run_is_cut_to_its_first_ranks():
    run = first_ranks(literal_run({0: [5, 6, 7], 2: [8]}), 2)
    assert [run.ranking(0).tolist(), run.ranking(2).tolist()] == [[5, 6], [8]]
    assert run.scores.values.tolist() == [0, -1, 0]


def test_a_checkpoint_to_be_trained_may_be_named_but_not_used(collection: Collection, tmp_path: Path):
    colbert = ColBERT(None)
    with pytest.raises(ExperimentError, match=r"retrievers.colbert.checkpoint is null.*model=colbert"):
        colbert.retrieve(collection, np.arange(1), 5, Cache(tmp_path))
    with pytest.raises(ExperimentError, match="is null"):
        colbert.fingerprint()


def test_a_plain_encoder_is_refused_at_once(tmp_path: Path):
    place = str(write_tiny_bert(tmp_path / "bert", WORDS))
    with pytest.raises(ExperimentError, match=r"without ColBERT's projection.*model=colbert"):
        ColBERT(place)


def test_a_single_vector_model_without_a_projection_is_refused(tmp_path: Path):
    folder = tmp_path / "single"
    folder.mkdir()
    modules = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ExperimentError, match="without ColBERT's projection"):
        ColBERT(str(folder))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": "/no/such/folder"}, "there is no folder /no/such/folder"),
        ({"index": "hnsw"}, "'hnsw': it must be one of exact, plaid"),
        ({"candidates": 0}, "candidates is 0"),
        ({"query_length": 0}, "query_length is 0"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        ColBERT(**settings)


def test_a_folder_without_a_model_is_named(tmp_path: Path):
    with pytest.raises(ExperimentError, match="holds no model"):
        ColBERT(str(tmp_path))


def test_a_hub_model_that_cannot_be_reached_is_named():
    with pytest.raises(ExperimentError, match=r"retrievers.colbert.checkpoint: 'no-one/no-model'"):
        _ = ColBERT("no-one/no-model").encoder.model


def test_more_tokens_than_positions_are_named(checkpoint: str):
    with pytest.raises(ExperimentError, match=r"document_length=65.*64 positions"):
        _ = ColBERT(checkpoint, document_length=65).encoder.model
