"""Choose tokens of each text once a batch (``bags_of``) and average their hidden states in each layer (``pool``).

Shapes: B texts, T tokens of all inputs, N chosen tokens, D dimensions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from experiments.common.checks import one_of
from experiments.common.errors import ExperimentError
from experiments.config.probe import POOLINGS
from experiments.probing.pairing import Spans

# mean: over the text's own tokens in all copies; mean_first, mean_second: in one copy; mean_all: special tokens too, as
# sentence-transformers pools; cls: the first token, which the head of a cross-encoder reads.
ONE_COPY = ("mean_first", "mean_second")  # need two to choose from


@dataclass(frozen=True)
class Bags:
    """Tokens of each text's vector. ``rows_N``: positions among the T; ``starts_B``: each text's start in them."""

    rows_N: Tensor
    starts_B: Tensor

    def to(self, device: torch.device | str) -> "Bags":
        return Bags(self.rows_N.to(device), self.starts_B.to(device))


def check_pooling(pooling: str, pairing: str) -> None:
    """Raise an ExperimentError for an unknown pooling, or one that needs more copies than the pairing has."""
    one_of("probe.pooling", pooling, POOLINGS)
    if pooling in ONE_COPY and pairing != "self":
        raise ExperimentError(
            f"probe.pooling={pooling} needs two copies of a text, but probe.pairing={pairing} has one: set mean"
        )


def bags_of(pooling: str, spans: Spans) -> Bags:
    """Choose a pooling's tokens of each input: of an empty text the first token ([CLS]), so that it has a vector."""
    starts_B = spans.inputs_B2[:, 0]
    none_B2 = np.stack([starts_B, starts_B], axis=1)
    cls_B2 = np.stack([starts_B, starts_B + 1], axis=1)
    first_B2, second_B2 = {
        "mean": (spans.first_B2, spans.second_B2),
        "mean_first": (spans.first_B2, none_B2),
        "mean_second": (none_B2, spans.second_B2),
        "mean_all": (spans.inputs_B2, none_B2),
        "cls": (cls_B2, none_B2),
    }[pooling]
    empty_B = (_size(first_B2) + _size(second_B2)) == 0
    first_B2 = np.where(empty_B[:, None], cls_B2, first_B2)
    counts_B = _size(first_B2) + _size(second_B2)
    spans_S2 = np.stack([first_B2, second_B2], axis=1).reshape(-1, 2)
    sizes_S = _size(spans_S2)
    rows_N = np.arange(sizes_S.sum()) + np.repeat(spans_S2[:, 0] - (sizes_S.cumsum() - sizes_S), sizes_S)
    return Bags(torch.from_numpy(rows_N), torch.from_numpy(counts_B.cumsum() - counts_B))


def pool(hidden_TD: Tensor, bags: Bags) -> Tensor:
    """Average the states of each text's tokens: (B, D) fp32."""
    return embedding_bag(bags.rows_N, hidden_TD.float(), bags.starts_B, mode="mean")


def _size(spans_B2: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(spans_B2[:, 1] - spans_B2[:, 0])
