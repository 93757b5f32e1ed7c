"""Build batches of single texts for an encoder, for training groups and for scoring a run.

Shapes: Q queries, N passages a group (the positive at index 0), P distinct passages, L tokens of the longest text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.batches.groups import DeviceBatch, Groups
from experiments.data.batches.pairs import micro_batches
from experiments.data.run import Run

Features = dict[str, Tensor]  # (texts, L) each, padded: input_ids, attention_mask ...


class TextSource(Protocol):
    """Tokens of all queries or passages."""

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the tokens of each text."""

    def batch(self, rows: NDArray[np.int64]) -> Features:
        """Return an encoder's input for the given texts."""


@dataclass(frozen=True)
class TextGroupBatch(DeviceBatch):
    """Texts of a step's groups, each distinct passage once.

    ``passages``: micro-batches sorted by length, P passages in all. ``place_QN``: index of each group's passages among
    the P. ``relevant_QP``: whether a passage is judged relevant. ``lengths``: tokens by micro-batch, the queries last.
    """

    step: int
    queries: Features
    passages: tuple[Features, ...]
    place_QN: Tensor
    relevant_QP: Tensor
    lengths: tuple[tuple[int, ...], ...]

    @property
    def shape_QN(self) -> tuple[int, int]:  # noqa: N802 - the suffix is the shape's
        return (self.place_QN.shape[0], self.place_QN.shape[1])


@dataclass(frozen=True)
class TextBatcher:
    """Gather the texts of a step's groups in length-sorted micro-batches of at most ``tokens_per_batch`` tokens.

    ``relevant``: training query row -> rows of passages that are never its negatives (``negatives.exclude_grade``),
    also where they are another query's positive. ``hashes_P``: of the texts of all passage rows, 0 for none, to exclude
    copies of an answer too; None keeps copies as negatives.
    """

    queries: TextSource
    passages: TextSource
    relevant: Mapping[int, NDArray[np.int64]]
    tokens_per_batch: int
    hashes_P: NDArray[np.uint64] | None = None

    def batch(self, step: int, groups: Groups) -> TextGroupBatch:
        distinct_P, place = np.unique(groups.passages_QN, return_inverse=True)
        lengths_P = self.passages.lengths(distinct_P)
        parts = micro_batches(lengths_P, self.tokens_per_batch)
        order_P = np.concatenate(parts)
        place_QN = np.argsort(order_P)[place].reshape(groups.passages_QN.shape)
        known = [self.relevant.get(int(query), np.empty(0, np.int64)) for query in groups.queries_Q]
        relevant_QP = np.stack([self._are_answers(distinct_P[order_P], answers) for answers in known])
        lengths = [*(lengths_P[part] for part in parts), self.queries.lengths(groups.queries_Q)]
        return TextGroupBatch(
            step,
            self.queries.batch(groups.queries_Q),
            tuple(self.passages.batch(distinct_P[part]) for part in parts),
            torch.from_numpy(place_QN),
            torch.from_numpy(relevant_QP),
            tuple(tuple(of_texts.tolist()) for of_texts in lengths),
        )

    def _are_answers(self, passages_P: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.bool_]:
        judged_P = np.isin(passages_P, answers)
        if self.hashes_P is None:
            return judged_P
        hashes = self.hashes_P[answers]
        return judged_P | np.isin(self.hashes_P[passages_P], hashes[hashes > 0])

    def tokens(self, groups: Groups) -> int:
        """Count the tokens of the queries and of the distinct passages."""
        distinct_P = np.unique(groups.passages_QN)
        return int(self.queries.lengths(groups.queries_Q).sum() + self.passages.lengths(distinct_P).sum())


@dataclass(frozen=True)
class EncodingBatch(DeviceBatch):
    """Texts to encode. ``kind``: ``queries`` or ``passages``; ``rows``: their row numbers."""

    kind: str
    rows: NDArray[np.int64]
    features: Features

    def __len__(self) -> int:
        return len(self.rows)


class RunTexts(Dataset[EncodingBatch]):
    """All distinct texts of a run in batches under a token budget, sorted by length: the queries, then the passages."""

    def __init__(
        self, run: Run, queries: TextSource, passages: TextSource, tokens_per_batch: int, rank: int = 0, ranks: int = 1
    ) -> None:
        # Every rank encodes all texts: the dev set is small, and scoring a pair needs both sides.
        self.sources: dict[str, TextSource] = {"queries": queries, "passages": passages}
        rows: dict[str, NDArray[Any]] = {"queries": np.asarray(run.queries), "passages": np.unique(run.passages.values)}
        self.batches = [
            (kind, of_kind[part])
            for kind, of_kind in rows.items()
            for part in micro_batches(self.sources[kind].lengths(of_kind), tokens_per_batch)
        ]
        self.total = sum(map(len, rows.values()))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> EncodingBatch:
        kind, rows = self.batches[index]
        return EncodingBatch(kind, rows, self.sources[kind].batch(rows))
