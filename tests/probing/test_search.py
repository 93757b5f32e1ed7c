"""Rankings by embeddings beside brute force; standardising, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import literal_run
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.ragged import Ragged
from experiments.probing import search as search_module
from experiments.probing import whitening
from experiments.probing.search import pair_scores, search
from experiments.probing.whitening import WhitenedEmbeddings, whitened
from experiments.retrieval import vector_search
from experiments.retrieval.vector_store import Embeddings

CPU = torch.device("cpu")


def stored(vectors_PD: NDArray[np.float16], folder: Path, rows: NDArray[np.int64] | None = None) -> Embeddings:
    """Vectors in a file, by default that of row i at place i."""
    path = folder / "vectors.bin"
    path.write_bytes(np.ascontiguousarray(vectors_PD, "<f2").tobytes())
    values = np.memmap(path, "<f2", "r").reshape(vectors_PD.shape)
    rows = np.arange(len(vectors_PD)) if rows is None else rows
    return Embeddings(rows, Ragged(values, np.arange(len(vectors_PD) + 1)), path)


def random_embeddings(folder: Path, passages: int, whiten: str = "none", dimensions: int = 6) -> WhitenedEmbeddings:
    random = np.random.default_rng(0)
    vectors = random.normal(3.0, 2.0, (passages, dimensions)).astype(np.float16)
    return whitened(stored(vectors, folder, random.permutation(passages)), whiten)


def by_brute_force(
    vectors_QD: NDArray[np.float32], passages: WhitenedEmbeddings, similarity: str
) -> NDArray[np.float64]:
    """(Q, P) scores by passage row."""
    values_PD = np.asarray(passages.vectors.values, np.float64)[np.argsort(passages.rows_P)]
    values_PD = (values_PD - passages.affine.mean_D) / passages.affine.scale_D
    asked_QD = np.asarray(vectors_QD, np.float64)
    if similarity == "cosine":
        values_PD = values_PD / np.linalg.norm(values_PD, axis=1, keepdims=True)
        asked_QD = asked_QD / np.linalg.norm(asked_QD, axis=1, keepdims=True)
    return asked_QD @ values_PD.T


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("whiten", ["none", "standardise"])
def test_the_streaming_search_finds_what_brute_force_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, similarity: str, whiten: str
):
    monkeypatch.setattr(vector_search, "PART", 7)  # 15 parts
    passages = random_embeddings(tmp_path, 100, whiten)
    vectors_QD = np.random.default_rng(1).normal(3.0, 2.0, (5, 6)).astype(np.float32)
    run = search("a", np.arange(5), vectors_QD, passages, depth=10, similarity=similarity, device=CPU)
    scores_QP = by_brute_force(vectors_QD, passages, similarity)
    for i in range(5):
        best = np.argsort(-scores_QP[i])[:10]
        assert run.passages[i].tolist() == best.tolist()
        assert run.scores[i] == pytest.approx(scores_QP[i, best], rel=1e-4, abs=1e-5)


def test_a_depth_beyond_the_collection_ranks_all_of_it(tmp_path: Path):
    passages = random_embeddings(tmp_path, 4)
    run = search("a", np.array([3]), np.ones((1, 6), np.float32), passages, depth=100, similarity="dot", device=CPU)
    assert run.queries.tolist() == [3]
    assert sorted(run.passages[0].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("whiten", ["none", "standardise"])
def test_pairs_have_the_scores_of_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, similarity: str, whiten: str
):
    monkeypatch.setattr(search_module, "PAIRS_AT_ONCE", 3)
    passages = random_embeddings(tmp_path, 30, whiten)
    queries, first_stage = np.array([2, 5, 9]), literal_run({2: [4, 29, 0], 9: [29, 7, 11, 3]})
    vectors_QD = np.random.default_rng(1).normal(3.0, 2.0, (3, 6)).astype(np.float32)
    found = pair_scores(first_stage, queries, vectors_QD, passages, similarity)
    scores_QP = by_brute_force(vectors_QD, passages, similarity)
    expected = [*scores_QP[0, [4, 29, 0]], *scores_QP[2, [29, 7, 11, 3]]]
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert found.dtype == np.float32


def test_large_values_of_float16_do_not_overflow(tmp_path: Path):
    passages = whitened(stored(np.array([[300.0, 0], [0, 300]], np.float16), tmp_path), "none")
    asked_QD = np.array([[300.0, 0]], np.float32)
    run = search("a", np.array([0]), asked_QD, passages, depth=2, similarity="cosine", device=CPU)
    assert run.scores[0].tolist() == [1, 0]
    assert pair_scores(literal_run({0: [0]}), np.array([0]), asked_QD, passages, "dot").tolist() == [90_000]


def test_a_run_of_other_queries_is_refused(tmp_path: Path):
    passages = random_embeddings(tmp_path, 4)
    with pytest.raises(ExperimentError, match="'first' ranks 1 queries that are not probed"):
        pair_scores(literal_run({1: [0], 2: [0]}), np.array([1]), np.ones((1, 6), np.float32), passages, "dot")


def test_standardising_by_hand(tmp_path: Path):
    passages = whitened(stored(np.array([[1.0, 10], [3, 10], [5, 40]], np.float16), tmp_path), "standardise")
    assert passages.affine.mean_D == pytest.approx([3, 20])
    assert passages.affine.scale_D == pytest.approx([np.sqrt(8 / 3), np.sqrt(200)])
    ((rows_P, part),) = passages.read(10)
    assert rows_P.tolist() == [0, 1, 2]
    assert part.values[:, 0] == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5)])
    assert passages.at(np.array([2])) == pytest.approx(np.array([[np.sqrt(1.5), np.sqrt(2)]]))


def test_a_query_is_moved_by_the_passages_mean(tmp_path: Path):
    passages = whitened(stored(np.array([[1.0], [3]], np.float16), tmp_path), "standardise")
    assert passages.affine(np.array([[2.0], [5]], np.float16)).tolist() == [[0], [3]]


def test_a_dimension_that_never_varies_is_only_moved(tmp_path: Path):
    passages = whitened(stored(np.array([[7.0, 1], [7, 3]], np.float16), tmp_path), "standardise")
    assert passages.affine.scale_D.tolist() == [1, 1]
    assert passages.at(np.array([0, 1])).tolist() == [[0, -1], [0, 1]]


@given(st.integers(1, 40), st.integers(1, 12))
def test_statistics_do_not_depend_on_the_parts(tmp_path_factory: pytest.TempPathFactory, passages: int, part: int):
    vectors = np.random.default_rng(passages).normal(50, 3, (passages, 4)).astype(np.float16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whitening, "PART", part)
        found = whitened(stored(vectors, tmp_path_factory.mktemp("vectors")), "standardise").affine
    deviation_D = vectors.astype(np.float64).std(axis=0)
    assert found.mean_D == pytest.approx(vectors.astype(np.float64).mean(axis=0), rel=1e-6)
    assert found.scale_D == pytest.approx(np.where(deviation_D > 0, deviation_D, 1), rel=1e-5)


@pytest.mark.parametrize("whiten", ["pca", ""])
def test_another_whitening_is_named(tmp_path: Path, whiten: str):
    with pytest.raises(ExperimentError, match="must be one of none, standardise"):
        random_embeddings(tmp_path, 3, whiten)


def test_another_similarity_is_named(tmp_path: Path):
    passages = random_embeddings(tmp_path, 3)
    with pytest.raises(ExperimentError, match="'l2': it must be one of cosine, dot"):
        pair_scores(literal_run({0: [0]}), np.array([0]), np.ones((1, 6), np.float32), passages, "l2")
