"""Embeddings of passages in the store: order, resuming in the middle, what an index belongs to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tiny import LiteralSource, literal_collection

from experiments.common.cache import Cache
from experiments.data.collection import Collection, open_collection
from experiments.retrieval import vector_store
from experiments.retrieval.shared_encoding import encode_share, join_shares
from experiments.retrieval.vector_store import Embeddings, passage_embeddings

TEXTS = ["b", "dd dd", "a", "eee eee eee", "cc cc"]


class WordEncoder:
    """A vector for each word: its length and its first letter. Stops after ``fails_after`` texts."""

    name = "words"
    dtype = np.float16
    tokens_per_batch = 4

    def __init__(self, fails_after: int | None = None, setting: str = "one") -> None:
        self.fails_after, self.setting = fails_after, setting
        self.encoded: list[str] = []

    def passage_fingerprint(self) -> Mapping[str, Any]:
        return {"setting": self.setting}

    def token_counts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text.split()) for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        if self.fails_after is not None and len(self.encoded) >= self.fails_after:
            raise KeyboardInterrupt
        self.encoded += texts
        words = [text.split() for text in texts]
        vectors = [[len(word), ord(word[0]) - ord("a")] for one in words for word in one]
        return np.array(vectors, np.float32), np.array([len(one) for one in words])


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(TEXTS)]
    return open_collection(LiteralSource(passages, [("q", "q")], {"test": [("q", "p0", 1)]}), Cache(tmp_path))


@pytest.fixture
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_store, "SHARD_TOKENS", 3)


def file_bytes(entry: Embeddings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in entry.path.parent.iterdir()}


def test_an_interrupted_count_of_tokens_goes_on_with_the_texts_that_are_left(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = file_bytes(passage_embeddings(WordEncoder(), collection, Cache(tmp_path / "whole")))
    monkeypatch.setattr(vector_store, "TEXTS_AT_ONCE", 2)
    counted: list[list[str]] = []

    class Killed(WordEncoder):
        def token_counts(self, texts: Sequence[str]) -> np.ndarray:
            counted.append(list(texts))
            if len(counted) == 2:
                raise KeyboardInterrupt
            return super().token_counts(texts)

    for again in (False, True):
        try:
            made = passage_embeddings(Killed(), collection, Cache(tmp_path / "parts"))
            assert again
        except KeyboardInterrupt:
            assert not again
    assert counted == [["b", "dd dd"], ["a", "eee eee eee"], ["a", "eee eee eee"], ["cc cc"]]
    assert file_bytes(made) == whole


def test_the_longest_text_stands_first_and_each_place_has_its_vectors(collection: Collection, tmp_path: Path):
    found = passage_embeddings(WordEncoder(), collection, Cache(tmp_path))
    assert found.rows_P.tolist() == [3, 1, 4, 0, 2]
    assert found.vectors[0].tolist() == [[3, 4], [3, 4], [3, 4]]
    assert found.vectors[4].tolist() == [[1, 0]]
    assert found.vectors.values.dtype == np.float16
    assert found.places(np.array([0, 3, 2])).tolist() == [3, 0, 4]


def test_batches_stay_within_the_budget(collection: Collection, tmp_path: Path):
    encoder = WordEncoder()
    batches: list[int] = []
    encode = encoder.encode_passages
    encoder.encode_passages = lambda texts: (batches.append(len(texts)), encode(texts))[1]  # type: ignore[method-assign]
    passage_embeddings(encoder, collection, Cache(tmp_path))
    assert batches == [1, 2, 2]  # of 3, 2 x 2 and 2 x 1 tokens; a budget of 4


def test_reading_goes_through_all_passages_in_parts(collection: Collection, tmp_path: Path):
    found = passage_embeddings(WordEncoder(), collection, Cache(tmp_path))
    parts = list(found.read(4))
    assert [rows.tolist() for rows, _ in parts] == [[3], [1, 4], [0, 2]]
    assert (np.concatenate([vectors.values for _, vectors in parts]) == found.vectors.values).all()
    assert parts[1][1].offsets.tolist() == [0, 2, 4]


def test_some_rows_are_another_entry(collection: Collection, tmp_path: Path):
    encoder = WordEncoder()
    found = passage_embeddings(encoder, collection, Cache(tmp_path), rows=np.array([0, 1]))
    assert found.rows_P.tolist() == [1, 0]
    assert encoder.encoded == ["dd dd", "b"]


@pytest.mark.usefixtures("_small_shards")
@pytest.mark.parametrize("fails_after", [0, 1, 3])
def test_an_interrupted_encoding_goes_on_and_ends_with_the_same_bytes(
    collection: Collection, tmp_path: Path, fails_after: int
):
    whole = passage_embeddings(WordEncoder(), collection, Cache(tmp_path / "whole"))
    store = Cache(tmp_path / "resumed")
    first = WordEncoder(fails_after)
    with pytest.raises(KeyboardInterrupt):
        passage_embeddings(first, collection, store)
    second = WordEncoder()
    resumed = passage_embeddings(second, collection, store)
    assert first.encoded + second.encoded == ["eee eee eee", "dd dd", "cc cc", "b", "a"]
    assert file_bytes(resumed) == file_bytes(whole)


def test_what_was_encoded_of_an_unfinished_shard_is_encoded_again(collection: Collection, tmp_path: Path):
    whole = passage_embeddings(WordEncoder(), collection, Cache(tmp_path / "whole"))
    store = Cache(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        passage_embeddings(WordEncoder(fails_after=3), collection, store)
    second = WordEncoder()
    resumed = passage_embeddings(second, collection, store)
    assert second.encoded == ["eee eee eee", "dd dd", "cc cc", "b", "a"]
    assert file_bytes(resumed) == file_bytes(whole)


@pytest.mark.usefixtures("_small_shards")
@pytest.mark.parametrize("name", ["vectors.bin", "counts.bin"])
def test_a_file_cut_short_goes_on_from_its_last_whole_shard(collection: Collection, tmp_path: Path, name: str):
    whole = passage_embeddings(WordEncoder(), collection, Cache(tmp_path / "whole"))
    store = Cache(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        passage_embeddings(WordEncoder(fails_after=3), collection, store)
    (unfinished,) = (path for path in (store.root / "embeddings").iterdir() if path.is_dir())
    file = unfinished / name
    file.write_bytes(file.read_bytes()[:-1])
    second = WordEncoder()
    resumed = passage_embeddings(second, collection, store)
    assert second.encoded == ["dd dd", "cc cc", "b", "a"]
    assert file_bytes(resumed) == file_bytes(whole)


def test_another_collection_or_setting_is_another_index(collection: Collection, tmp_path: Path):
    store = Cache(tmp_path)
    first = passage_embeddings(WordEncoder(), collection, store)
    other = passage_embeddings(WordEncoder(), literal_collection(tmp_path), store)
    changed = passage_embeddings(WordEncoder(setting="two"), collection, store)
    assert len({first.path, other.path, changed.path}) == 3
    assert store.builds["embeddings"] == 3


@pytest.mark.usefixtures("_small_shards")
@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_shares_of_several_processes_make_the_files_of_one(collection: Collection, tmp_path: Path, ranks: int):
    whole = file_bytes(passage_embeddings(WordEncoder(), collection, Cache(tmp_path / "whole")))
    cache, encoders = Cache(tmp_path / "shares"), [WordEncoder() for _ in range(ranks)]
    for rank, encoder in enumerate(encoders):
        encode_share(encoder, collection, cache, rank, ranks)
    texts = [text for encoder in encoders for text in encoder.encoded]
    assert sorted(texts) == sorted(TEXTS)
    assert len(encoders[0].encoded) < len(TEXTS) or ranks == 1
    join_shares(WordEncoder(fails_after=0), collection, cache, ranks)  # encodes nothing
    made = passage_embeddings(WordEncoder(fails_after=0), collection, cache)
    assert file_bytes(made) == whole
    assert len(list((cache.root / "embeddings").glob("*/manifest.json"))) == 1, "the shares are removed"
