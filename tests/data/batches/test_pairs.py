"""Pairs joined from cached tokens are what the tokenizer itself makes of the two texts."""

from pathlib import Path

import numpy as np
import pytest
from helpers.families import write_family
from helpers.tiny import write_tiny_bert
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import PairEncoder, PairTemplate, micro_batches
from experiments.data.ragged import Ragged

TEXTS = ["what is boron", "boron is a metalloid", "a a a a a a a a a a a a", ""]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(write_tiny_bert(tmp_path_factory.mktemp("bert"), TEXTS))


def encoder_of(tokenizer: PreTrainedTokenizerBase, max_query_tokens: int, max_length: int) -> PairEncoder:
    tokens = Ragged.of([tokenizer.encode(text, add_special_tokens=False) for text in TEXTS], np.int64)
    return PairEncoder(PairTemplate.of(tokenizer), tokens, tokens, max_query_tokens, max_length)


def test_the_template_of_bert(tokenizer: PreTrainedTokenizerBase):
    template = PairTemplate.of(tokenizer)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert (template.prefix, template.middle, template.suffix) == ((cls,), (sep,), (sep,))
    assert (template.query_segment, template.passage_segment, template.extra) == (0, 1, 3)


def test_a_vocabulary_of_another_language_has_the_same_template(tmp_path: Path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##w", "haus", "baum", "see"]))
    assert PairTemplate.of(BertTokenizerFast(vocab=str(vocabulary))) == PairTemplate((2,), (3,), (3,), 0, 1)


def test_a_word_in_pieces_is_not_taken_for_a_part_of_the_template(tmp_path: Path):
    vocabulary = tmp_path / "vocab.txt"
    pieces = ["w", "##hat", "i", "##s", "see", "baum"]
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]))
    assert PairTemplate.of(BertTokenizerFast(vocab=str(vocabulary))) == PairTemplate((2,), (3,), (3,), 0, 1)


def test_a_vocabulary_without_words_is_one_line(tmp_path: Path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "see"]))
    with pytest.raises(ExperimentError, match="has no two tokens that are texts"):
        PairTemplate.of(BertTokenizerFast(vocab=str(vocabulary)))


def test_xlnets_last_token_has_a_segment_of_its_own(tmp_path: Path):
    tokenizer = AutoTokenizer.from_pretrained(write_family(tmp_path, "xlnet", TEXTS))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert PairTemplate.of(tokenizer) == PairTemplate((), (sep,), (sep, cls), 0, 1, (1, 2))
    batch = encoder_of(tokenizer, max_query_tokens=8, max_length=32).join(np.array([0, 0]), np.array([1, 3]))
    pairs = tokenizer([TEXTS[0]] * 2, [TEXTS[1], TEXTS[3]], return_token_type_ids=True)
    assert batch.input_ids_T.tolist() == [*pairs["input_ids"][0], *pairs["input_ids"][1]]
    assert batch.token_type_ids_T.tolist() == [*pairs["token_type_ids"][0], *pairs["token_type_ids"][1]]


@pytest.mark.parametrize("passage", range(len(TEXTS)))
def test_pairs_equal_the_tokenizers_own(tokenizer: PreTrainedTokenizerBase, passage: int):
    encoder = encoder_of(tokenizer, max_query_tokens=8, max_length=12)
    batch = encoder.join(np.array([0]), np.array([passage]))
    limits = {"truncation": "only_second", "max_length": 12, "return_token_type_ids": True}
    expected = tokenizer([TEXTS[0]], [TEXTS[passage]], **limits)
    assert batch.input_ids_T.tolist() == expected["input_ids"][0]
    assert batch.token_type_ids_T.tolist() == expected["token_type_ids"][0]


def test_a_query_longer_than_the_limit_is_cut_and_leaves_room_for_the_passage(tokenizer: PreTrainedTokenizerBase):
    encoder = encoder_of(tokenizer, max_query_tokens=4, max_length=10)
    batch = encoder.join(np.array([2]), np.array([1]))
    a, passage = (
        tokenizer.encode("a", add_special_tokens=False),
        tokenizer.encode("boron is a", add_special_tokens=False),
    )
    assert batch.input_ids_T.tolist() == [
        tokenizer.cls_token_id,
        *a * 4,
        tokenizer.sep_token_id,
        *passage,
        tokenizer.sep_token_id,
    ]


def test_lengths_are_those_of_the_joined_pairs(tokenizer: PreTrainedTokenizerBase):
    encoder = encoder_of(tokenizer, max_query_tokens=4, max_length=10)
    queries, passages = (grid.ravel() for grid in np.meshgrid(np.arange(4), np.arange(4)))
    assert encoder.lengths(queries, passages).tolist() == list(encoder.join(queries, passages).lengths)


def test_limits_without_room_for_a_passage_are_refused(tokenizer: PreTrainedTokenizerBase):
    with pytest.raises(ExperimentError, match=r"model\.max_query_tokens=9 and 3 special tokens leave no room"):
        encoder_of(tokenizer, max_query_tokens=9, max_length=12)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=80), st.integers(16, 512))
def test_micro_batches_hold_every_pair_once_within_the_budget(lengths: list[int], budget: int):
    array = np.array(lengths)
    batches = micro_batches(array, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 1 or array[batch].sum() <= budget for batch in batches)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=20), st.integers(1, 8))
def test_there_is_a_batch_for_every_device_if_there_are_so_many_pairs(lengths: list[int], devices: int):
    batches = micro_batches(np.array(lengths), 10_000, at_least=devices)
    assert len(batches) >= min(devices, len(lengths))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=80), st.integers(16, 512))
def test_micro_batches_are_sorted_by_length(lengths: list[int], budget: int):
    order = np.concatenate(micro_batches(np.array(lengths), budget))
    assert (np.diff(np.array(lengths)[order]) <= 0).all()
