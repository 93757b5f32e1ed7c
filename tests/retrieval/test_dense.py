"""Dense retrieval: the library's scores, prompts, lengths, similarities, what needs faiss."""

from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import LiteralSource, write_tiny_bert
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.util import dot_score, semantic_search

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.data.run import Run
from experiments.retrieval.dense import Dense
from experiments.retrieval.retriever import FromFiles, Retriever

WORDS = ["red", "green", "blue", "cat", "dog", "mouse", "chases", "sees", "eats", "quickly", "query:", "passage:"]
RANDOM = np.random.default_rng(3)
PASSAGES = [(f"p{i}", " ".join(RANDOM.choice(WORDS[:10], RANDOM.integers(1, 30)))) for i in range(40)]
QUERIES = [(f"q{i}", " ".join(RANDOM.choice(WORDS[:10], RANDOM.integers(1, 6)))) for i in range(5)]
TEXTS = [[text for _, text in rows] for rows in (QUERIES, PASSAGES)]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    judged = {"test": [(f"q{i}", f"p{i}", 1) for i in range(5)]}
    return open_collection(LiteralSource(PASSAGES, QUERIES, judged), Cache(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    transformer = Transformer(str(write_tiny_bert(folder / "bert", WORDS)))
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu", similarity_fn_name="dot")
    model.save_pretrained(str(folder / "dense"))
    return str(folder / "dense")


@pytest.fixture(scope="module")
def library(checkpoint: str) -> SentenceTransformer:
    return SentenceTransformer(checkpoint, device="cpu")


def retrieved(dense: Dense, collection: Collection, tmp_path: Path, depth: int = 10) -> Run:
    return dense.retrieve(collection, np.arange(5), depth, Cache(tmp_path))


def test_it_is_a_retriever_from_files():
    assert isinstance(Dense(), Retriever)
    assert isinstance(Dense(), FromFiles)


def test_rankings_and_scores_are_those_of_semantic_search(
    collection: Collection, library: SentenceTransformer, checkpoint: str, tmp_path: Path
):
    run = retrieved(Dense(checkpoint), collection, tmp_path)
    queries, passages = library.encode(TEXTS[0]), library.encode(TEXTS[1])
    expected = semantic_search(queries, passages, top_k=10, score_function=dot_score)
    for i, hits in enumerate(expected):
        assert run.scores[i] == pytest.approx([hit["score"] for hit in hits], rel=1e-5)
        assert run.passages[i].tolist() == [hit["corpus_id"] for hit in hits]


@pytest.mark.parametrize("settings", [{"similarity": "cosine"}, {"similarity": "dot", "normalise": True}])
def test_cosine_is_the_inner_product_of_unit_vectors(
    collection: Collection, library: SentenceTransformer, checkpoint: str, tmp_path: Path, settings: dict
):
    run = retrieved(Dense(checkpoint, **settings), collection, tmp_path)
    expected = semantic_search(library.encode(TEXTS[0]), library.encode(TEXTS[1]), top_k=10)
    for i, hits in enumerate(expected):
        assert run.scores[i] == pytest.approx([hit["score"] for hit in hits], abs=1e-5)


def test_prompts_stand_before_the_texts(
    collection: Collection, library: SentenceTransformer, checkpoint: str, tmp_path: Path
):
    dense = Dense(checkpoint, query_prompt="query: ", passage_prompt="passage: ")
    run = retrieved(dense, collection, tmp_path, depth=40)
    queries = library.encode([f"query: {text}" for text in TEXTS[0]])
    passages = library.encode([f"passage: {text}" for text in TEXTS[1]])
    assert run.scores[0] == pytest.approx(np.sort(queries[0] @ passages.T)[::-1], rel=1e-5)


def test_longer_texts_are_cut(checkpoint: str):
    dense = Dense(checkpoint, max_length=5)
    (whole, cut), _ = dense.encode_passages(["red green blue cat dog mouse", "red green blue"])
    assert whole == pytest.approx(cut, abs=1e-6)
    assert dense.token_counts(["red " * 30, "red"]).tolist() == [5, 1]


def test_the_same_vectors_serve_every_similarity(collection: Collection, checkpoint: str, tmp_path: Path):
    store = Cache(tmp_path)
    for similarity in ("dot", "cosine"):
        Dense(checkpoint, similarity=similarity).retrieve(collection, np.arange(5), 5, store)
    Dense(checkpoint, passage_prompt="passage: ").retrieve(collection, np.arange(5), 5, store)
    assert store.builds["embeddings"] == 2


def test_another_similarity_is_another_run(checkpoint: str):
    assert Dense(checkpoint, similarity="dot").fingerprint() != Dense(checkpoint, similarity="cosine").fingerprint()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": "/no/such/folder"}, "retrievers.dense.checkpoint: there is no folder"),
        ({"similarity": "euclidean"}, "'euclidean': it must be null or one of cosine, dot"),
        ({"index": "hnsw"}, "'hnsw': it must be one of exact, faiss"),
        ({"max_length": 0}, "max_length is 0"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        Dense(**settings)


def test_without_a_checkpoint_it_cannot_be_used(collection: Collection, tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"retrievers.dense.checkpoint is null"):
        retrieved(Dense(), collection, tmp_path)


def test_an_index_of_faiss_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("experiments.retrieval.vector_search.find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match="pip install faiss-cpu"):
        Dense(index="faiss")


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_a_flat_index_of_faiss_finds_what_exact_search_finds(
    collection: Collection, checkpoint: str, tmp_path: Path, similarity: str
):
    exact = retrieved(Dense(checkpoint, similarity=similarity), collection, tmp_path)
    flat = Dense(checkpoint, similarity=similarity, index="faiss", faiss_factory="Flat")
    found = retrieved(flat, collection, tmp_path)
    assert found.passages.values.tolist() == exact.passages.values.tolist()
    assert found.scores.values == pytest.approx(exact.scores.values, rel=1e-5)
