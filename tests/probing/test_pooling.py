"""Which tokens count, worked out by hand, and their mean."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.errors import ExperimentError
from experiments.config.probe import PAIRINGS, POOLINGS
from experiments.data.batches.pairs import PairTemplate
from experiments.data.ragged import Ragged
from experiments.probing.pairing import Pairing
from experiments.probing.pooling import ONE_COPY, bags_of, check_pooling, pool

BERT = PairTemplate(prefix=(101,), middle=(102,), suffix=(102,), query_segment=0, passage_segment=1)
# Of "[CLS] a b [SEP] a b [SEP]", then of an empty text, "[CLS] [SEP] [SEP]".
HIDDEN_TD = torch.tensor(
    [[1.0, 0], [10, 1], [20, 3], [1000, 0], [40, 5], [60, 7], [2000, 0], [5, 5], [3000, 0], [4000, 0]]
)
SELF = Pairing("self", BERT, 32).join(Ragged.of([[7, 8], []], np.int64), np.array([0, 1]))[1]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean_first", [15, 2]),  # 10, 20
        ("mean_second", [50, 6]),  # 40, 60
        ("mean", [32.5, 4]),  # 10, 20, 40, 60
        ("mean_all", [3131 / 7, 16 / 7]),
        ("cls", [1, 0]),
    ],
)
def test_which_tokens_of_a_self_pair_count(pooling: str, expected: list[float]):
    assert pool(HIDDEN_TD, bags_of(pooling, SELF))[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("pooling", ["mean", "mean_first", "mean_second", "cls"])
def test_an_empty_text_is_its_cls_state(pooling: str):
    assert pool(HIDDEN_TD, bags_of(pooling, SELF))[1].tolist() == [5, 5]


def test_the_mean_of_all_tokens_of_an_empty_text_is_that_of_the_special_ones():
    assert pool(HIDDEN_TD, bags_of("mean_all", SELF))[1].tolist() == pytest.approx([7005 / 3, 5 / 3])


@pytest.mark.parametrize(("kind", "expected"), [("single", 1.5), ("query_empty", 2.5)])
def test_a_single_copy_is_the_mean(kind: str, expected: float):
    hidden_TD = torch.arange(5.0)[:, None]  # [CLS] a b [SEP] or [CLS] [SEP] a b [SEP]
    _, spans = Pairing(kind, BERT, 32).join(Ragged.of([[7, 8]], np.int64), np.array([0]))
    assert pool(hidden_TD, bags_of("mean", spans)).tolist() == [[expected]]


def test_vectors_are_fp32_whatever_the_network_computes_in():
    found = pool(HIDDEN_TD.to(torch.bfloat16), bags_of("mean_first", SELF))
    assert found.dtype == torch.float32
    assert found[0].tolist() == [15, 2]


@given(
    st.sampled_from(PAIRINGS), st.sampled_from(POOLINGS), st.lists(st.integers(0, 20), min_size=1), st.integers(6, 30)
)
def test_every_text_has_tokens_of_its_own_input_only(kind: str, pooling: str, sizes: list[int], max_length: int):
    tokens = Ragged.of([range(size) for size in sizes], np.int64)
    batch, spans = Pairing(kind, BERT, max_length).join(tokens, np.arange(len(sizes)))
    bags = bags_of(pooling, spans)
    ends = [*bags.starts_B[1:].tolist(), len(bags.rows_N)]
    for (begin, after), start, end in zip(spans.inputs_B2, bags.starts_B.tolist(), ends, strict=True):
        chosen = bags.rows_N[start:end]
        assert len(chosen) > 0
        assert begin <= chosen.min()
        assert chosen.max() < after
    assert len(set(bags.rows_N.tolist())) == len(bags.rows_N)
    assert bags.rows_N.max() < len(batch.input_ids_T)


def test_an_unknown_pooling_is_named():
    with pytest.raises(ExperimentError, match=r"probe.pooling is 'max': it must be one of mean"):
        check_pooling("max", "self")


@pytest.mark.parametrize("pooling", ONE_COPY)
@pytest.mark.parametrize("pairing", ["single", "query_empty"])
def test_one_of_two_copies_cannot_be_chosen_where_there_is_one(pooling: str, pairing: str):
    with pytest.raises(ExperimentError, match=f"pooling={pooling} needs two copies .* but probe.pairing={pairing} has"):
        check_pooling(pooling, pairing)
    check_pooling(pooling, "self")
