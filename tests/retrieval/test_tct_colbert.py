"""TCT-ColBERT: vectors computed here independently, one text at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import LiteralSource, write_tiny_bert
from transformers import AutoTokenizer, BertModel

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection, open_collection
from experiments.retrieval.retriever import FromFiles, Retriever
from experiments.retrieval.tct_colbert import TctColBERT, mean_after_marker

WORDS = ["red", "green", "blue", "cat", "dog", "[", "]", "q", "d"]
PASSAGES = [("p0", "red cat"), ("p1", "green green dog " * 5), ("p2", "blue")]
QUERIES = [("q0", "cat"), ("q1", "green dog " * 30)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_bert(tmp_path_factory.mktemp("model"), WORDS))


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return open_collection(LiteralSource(PASSAGES, QUERIES, {"test": [("q0", "p0", 1)]}), Cache(tmp_path))


def by_hand(checkpoint: str, words: list[str]) -> np.ndarray:
    """The mean of the last states of a sequence of tokens without its first four."""
    tokenizer, network = AutoTokenizer.from_pretrained(checkpoint), BertModel.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        states = network(input_ids=torch.tensor([tokenizer.convert_tokens_to_ids(words)])).last_hidden_state[0]
    return states[4:].mean(0).numpy()


def test_it_is_a_retriever_from_files():
    assert isinstance(TctColBERT(), Retriever)
    assert isinstance(TctColBERT(), FromFiles)


def test_a_query_is_filled_up_with_masks_to_36_tokens(checkpoint: str):
    (vector,) = TctColBERT(checkpoint, max_length=64).encode_queries(["cat red"])
    words = ["[CLS]", "[", "q", "]", "cat", "red", *["[MASK]"] * 30]
    assert vector == pytest.approx(by_hand(checkpoint, words), abs=1e-5)


def test_a_longer_query_is_cut_to_36_tokens(checkpoint: str):
    (vector,) = TctColBERT(checkpoint, max_length=64).encode_queries(["green dog " * 30])
    words = ["[CLS]", "[", "q", "]", *["green", "dog"] * 16]
    assert vector == pytest.approx(by_hand(checkpoint, words), abs=1e-5)


def test_a_passage_is_the_mean_of_its_own_tokens_whatever_stands_beside_it(checkpoint: str):
    vectors, counts = TctColBERT(checkpoint, max_length=10).encode_passages(["cat", "green dog " * 30])
    assert counts.tolist() == [1, 1]
    assert vectors[0] == pytest.approx(by_hand(checkpoint, ["[CLS]", "[", "d", "]", "cat"]), abs=1e-5)
    cut = ["[CLS]", "[", "d", "]", *["green", "dog"] * 3]
    assert vectors[1] == pytest.approx(by_hand(checkpoint, cut), abs=1e-5)


def test_a_run_is_ordered_by_inner_product(collection: Collection, checkpoint: str, tmp_path: Path):
    tct = TctColBERT(checkpoint, max_length=64)
    run = tct.retrieve(collection, np.array([0, 1]), 3, Cache(tmp_path))
    products = (
        tct.encode_queries([text for _, text in QUERIES]) @ tct.encode_passages([text for _, text in PASSAGES])[0].T
    )
    for i in range(2):
        assert run.passages[i].tolist() == np.argsort(-products[i]).tolist()
        assert run.scores[i] == pytest.approx(np.sort(products[i])[::-1], rel=1e-5)


def test_the_mean_leaves_out_the_marker_and_the_padding_and_is_zero_for_an_empty_text():
    states = torch.tensor([[[9.0], [9], [9], [9], [2], [4], [7]], [[9.0], [9], [9], [9], [5], [5], [5]]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0, 0]])
    assert mean_after_marker(states, mask).tolist() == [[3], [0]]


def test_more_tokens_than_positions_are_named(checkpoint: str):
    with pytest.raises(ExperimentError, match=r"retrievers.tct_colbert.max_length=512.*64 positions"):
        TctColBERT(checkpoint).encode_queries(["cat"])


def test_a_passage_without_room_for_a_word_is_refused():
    with pytest.raises(ExperimentError, match="max_length is 4"):
        TctColBERT(max_length=4)
