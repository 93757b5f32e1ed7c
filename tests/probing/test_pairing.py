"""How one text becomes an input, and which of its tokens are the text's own."""

from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import write_tiny_bert
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from experiments.common.errors import ExperimentError
from experiments.config.probe import PAIRINGS
from experiments.data.batches.pairs import PairTemplate
from experiments.data.ragged import Ragged
from experiments.probing.pairing import Pairing, Spans, pairing_of

CLS, SEP = 101, 102
BERT = PairTemplate(prefix=(CLS,), middle=(SEP,), suffix=(SEP,), query_segment=0, passage_segment=1)
ROBERTA = PairTemplate(prefix=(CLS,), middle=(SEP, SEP), suffix=(SEP,), query_segment=0, passage_segment=0)
TOKENS = Ragged.of([[7, 8], [1, 2, 3, 4, 5], []], np.uint16)
WORDS = {"<s>": 0, "</s>": 1, "<pad>": 2, "<unk>": 3, "what": 4, "is": 5, "boron": 6, "metal": 7}
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def ids_and_segments(pairing: Pairing, row: int) -> tuple[list[int], list[int]]:
    batch, _ = pairing.join(TOKENS, np.array([row]))
    return batch.input_ids_T.tolist(), batch.token_type_ids_T.tolist()


def spans_of(kind: str, row: int, template: PairTemplate = BERT) -> Spans:
    return Pairing(kind, template, 32).join(TOKENS, np.array([row]))[1]


def word_tokenizer(single: str, pair: str) -> PreTrainedTokenizerBase:
    """A tokenizer of whole words with the given templates, such as ``<s> $A </s></s> $B </s>``."""
    backend = Tokenizer(WordLevel(WORDS, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    specials = [(word, WORDS[word]) for word in ("<s>", "</s>")]
    backend.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=specials)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", cls_token="<s>")


ROBERTA_LIKE = word_tokenizer("<s> $A </s>", "<s> $A </s> </s> $B </s>")
CONCATENATING = word_tokenizer("<s> $A", "<s> $A $B")


def test_self_pairs_a_text_with_itself_in_both_segments():
    ids, segments = ids_and_segments(Pairing("self", BERT, 32), 0)
    assert ids == [CLS, 7, 8, SEP, 7, 8, SEP]
    assert segments == [0, 0, 0, 0, 1, 1, 1]


def test_single_is_the_text_between_its_special_tokens():
    ids, segments = ids_and_segments(Pairing("single", BERT, 32), 0)
    assert ids == [CLS, 7, 8, SEP]
    assert segments == [0, 0, 0, 0]


def test_an_empty_query_puts_the_text_where_a_passage_stands():
    ids, segments = ids_and_segments(Pairing("query_empty", BERT, 32), 0)
    assert ids == [CLS, SEP, 7, 8, SEP]
    assert segments == [0, 0, 1, 1, 1]


def test_both_copies_are_the_texts_own_tokens_and_special_tokens_are_not():
    spans = spans_of("self", 0)  # [CLS] 7 8 [SEP] 7 8 [SEP]
    assert spans.inputs_B2.tolist() == [[0, 7]]
    assert spans.first_B2.tolist() == [[1, 3]]
    assert spans.second_B2.tolist() == [[4, 6]]


def test_two_separators_in_between_are_both_left_out():
    spans = spans_of("self", 0, ROBERTA)  # <s> 7 8 </s></s> 7 8 </s>
    assert spans.first_B2.tolist() == [[1, 3]]
    assert spans.second_B2.tolist() == [[5, 7]]


@pytest.mark.parametrize(("kind", "expected"), [("single", [1, 3]), ("query_empty", [2, 4])])
def test_the_only_copy_is_the_second(kind: str, expected: list[int]):
    spans = spans_of(kind, 0)
    assert spans.second_B2.tolist() == [expected]
    assert (spans.first_B2[:, 0] == spans.first_B2[:, 1]).all()


def test_spans_count_through_the_whole_batch():
    _, spans = Pairing("self", BERT, 32).join(TOKENS, np.array([0, 2, 1]))
    assert spans.inputs_B2.tolist() == [[0, 7], [7, 10], [10, 23]]
    assert spans.first_B2.tolist() == [[1, 3], [8, 8], [11, 16]]
    assert spans.second_B2.tolist() == [[4, 6], [9, 9], [17, 22]]


def test_each_copy_is_cut_to_half_of_what_special_tokens_leave():
    pairing = Pairing("self", BERT, 10)  # 10 - 3 = 7: three each, one token stays unused
    ids, _ = ids_and_segments(pairing, 1)
    assert ids == [CLS, 1, 2, 3, SEP, 1, 2, 3, SEP]
    _, spans = pairing.join(TOKENS, np.array([1]))
    assert spans.first_B2.tolist() == [[1, 4]]
    assert spans.second_B2.tolist() == [[5, 8]]


@pytest.mark.parametrize(("kind", "expected"), [("single", [1, 2, 3, 4]), ("query_empty", [1, 2, 3])])
def test_a_single_copy_is_cut_to_what_special_tokens_leave(kind: str, expected: list[int]):
    ids, _ = ids_and_segments(Pairing(kind, BERT, 6), 1)
    assert [one for one in ids if one not in (CLS, SEP)] == expected
    assert len(ids) == 6


@pytest.mark.parametrize("kind", PAIRINGS)
@pytest.mark.parametrize("max_length", [6, 9, 32])
def test_lengths_are_those_of_the_joined_inputs(kind: str, max_length: int):
    pairing, rows = Pairing(kind, BERT, max_length), np.array([2, 0, 1])
    batch, _ = pairing.join(TOKENS, rows)
    assert pairing.lengths(TOKENS, rows).tolist() == list(batch.lengths)
    assert max(batch.lengths) <= max_length


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize(
    ("kind", "texts"), [("self", ("boron metal",) * 2), ("single", ("boron metal",)), ("query_empty", ("", "boron"))]
)
def test_inputs_equal_the_tokenizers_own(family: str, kind: str, texts: tuple[str, ...], tmp_path: Path):
    tokenizer = ROBERTA_LIKE
    if family == "bert":
        tokenizer = AutoTokenizer.from_pretrained(write_tiny_bert(tmp_path, ["boron metal"]))
    tokens = Ragged.of([tokenizer.encode(texts[-1], add_special_tokens=False)], np.int64)
    batch, _ = Pairing(kind, PairTemplate.of(tokenizer), 32).join(tokens, np.array([0]))
    expected = tokenizer(*texts, return_token_type_ids=True)
    assert batch.input_ids_T.tolist() == expected["input_ids"]
    assert batch.token_type_ids_T.tolist() == expected["token_type_ids"]


def test_a_model_without_token_types_reads_self_pairs_by_their_separators():
    network = RobertaModel(RobertaConfig(vocab_size=8, type_vocab_size=1, **SMALL))
    assert pairing_of("self", ROBERTA_LIKE, network, 32).max_text_tokens == 14
    distil = DistilBertModel(DistilBertConfig(vocab_size=8, dim=8, n_layers=1, n_heads=2, hidden_dim=8))
    assert pairing_of("self", ROBERTA_LIKE, distil, 32).max_text_tokens == 14


@pytest.mark.parametrize("kind", ["self", "query_empty"])
def test_a_pair_without_separator_and_without_token_types_is_refused(kind: str):
    network = RobertaModel(RobertaConfig(vocab_size=8, type_vocab_size=1, **SMALL))
    with pytest.raises(ExperimentError, match=r"no separator .* \(RobertaModel\) has no token types: .*pairing=single"):
        pairing_of(kind, CONCATENATING, network, 32)
    assert pairing_of("single", CONCATENATING, network, 32).max_text_tokens == 31


def test_token_types_alone_tell_two_copies_apart():
    network = BertModel(BertConfig(vocab_size=8, **SMALL))
    by_segment = word_tokenizer("<s>:0 $A:0", "<s>:0 $A:0 $B:1")
    assert pairing_of("self", by_segment, network, 32).kind == "self"


@pytest.mark.parametrize(
    ("kind", "max_length", "message"),
    [("self", 4, "max_length=4 leaves no room .* 3 special tokens"), ("twice", 32, "'twice': it must be one of self")],
)
def test_settings_that_cannot_be_are_named(kind: str, max_length: int, message: str):
    with pytest.raises(ExperimentError, match=message):
        Pairing(kind, BERT, max_length)


def test_a_template_without_any_special_token_is_refused():
    with pytest.raises(ExperimentError, match="an empty text would have no input"):
        Pairing("self", PairTemplate((), (), (), 0, 0), 32)


def test_more_tokens_than_positions_are_refused(tmp_path: Path):
    folder = write_tiny_bert(tmp_path, ["boron"])  # 64 positions
    with pytest.raises(ExperimentError, match=r"probe.max_length=65, but the network has 64 positions"):
        pairing_of("self", AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder), 65)


def test_of_robertas_positions_the_first_are_not_for_tokens():
    network = RobertaModel(RobertaConfig(vocab_size=8, max_position_embeddings=34, pad_token_id=1, **SMALL))
    assert pairing_of("single", ROBERTA_LIKE, network, 32).max_length == 32
    with pytest.raises(ExperimentError, match="the network has 32 positions"):
        pairing_of("single", ROBERTA_LIKE, network, 33)
