"""Batches of single texts for an encoder: the groups of a training step, and the texts of a run to be scored.

Shapes: Q queries of a step, N passages a group (the positive at index 0), P distinct passages of a step, L tokens of
the longest text of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.batches.groups import Groups
from experiments.data.batches.pairs import micro_batches
from experiments.data.run import Run

Features = dict[str, Tensor]  # (texts, L) each, padded: input_ids, attention_mask ...


class TextSource(Protocol):
    """The tokens of every text of a kind."""

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of tokens of each text."""
        ...

    def batch(self, rows: NDArray[np.int64]) -> Features:
        """What an encoder reads of some texts."""
        ...


def _moved(features: Features, device: torch.device | str, non_blocking: bool) -> Features:
    return {name: value.to(device, non_blocking=non_blocking) for name, value in features.items()}


@dataclass(frozen=True)
class TextGroupBatch:
    """The texts of a step's groups, each distinct passage once.

    ``passages``: micro-batches sorted by length, P passages in all. ``place_QN``: where the passages of each group
    stand among the P. ``relevant_QP``: whether a passage is judged relevant to a query. ``lengths``: tokens of the
    texts of each micro-batch, the queries' last.
    """

    step: int
    queries: Features
    passages: tuple[Features, ...]
    place_QN: Tensor
    relevant_QP: Tensor
    lengths: tuple[tuple[int, ...], ...]

    @property
    def shape_QN(self) -> tuple[int, int]:  # noqa: N802 - the suffix is the shape's
        """Groups and passages a group."""
        return (self.place_QN.shape[0], self.place_QN.shape[1])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "TextGroupBatch":
        """The same batch on a device (Lightning calls this)."""
        return replace(
            self,
            queries=_moved(self.queries, device, non_blocking),
            passages=tuple(_moved(one, device, non_blocking) for one in self.passages),
            place_QN=self.place_QN.to(device, non_blocking=non_blocking),
            relevant_QP=self.relevant_QP.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class TextBatcher:
    """Gathers the texts of a step's groups in length-sorted micro-batches of at most ``tokens_per_batch`` tokens.

    ``relevant``: training query row -> rows of the passages that are never its negatives (``negatives.exclude_grade``),
    so that another query's positive is not taken for a negative where it is an answer too. ``hashes_P``: of the texts
    of all passage rows, 0 for none, so that neither is a copy of an answer; None where copies are negatives.
    """

    queries: TextSource
    passages: TextSource
    relevant: Mapping[int, NDArray[np.int64]]
    tokens_per_batch: int
    hashes_P: NDArray[np.uint64] | None = None

    def batch(self, step: int, groups: Groups) -> TextGroupBatch:
        """The texts of a step's groups."""
        distinct_P, place = np.unique(groups.passages_QN, return_inverse=True)
        lengths_P = self.passages.lengths(distinct_P)
        parts = micro_batches(lengths_P, self.tokens_per_batch)
        order_P = np.concatenate(parts)
        place_QN = np.argsort(order_P)[place].reshape(groups.passages_QN.shape)
        known = [self.relevant.get(int(query), np.empty(0, np.int64)) for query in groups.queries_Q]
        relevant_QP = np.stack([self._are_answers(distinct_P[order_P], answers) for answers in known])
        return TextGroupBatch(
            step,
            self.queries.batch(groups.queries_Q),
            tuple(self.passages.batch(distinct_P[part]) for part in parts),
            torch.from_numpy(place_QN),
            torch.from_numpy(relevant_QP),
            (
                *(tuple(lengths_P[part].tolist()) for part in parts),
                tuple(self.queries.lengths(groups.queries_Q).tolist()),
            ),
        )

    def _are_answers(self, passages_P: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.bool_]:
        judged_P = np.isin(passages_P, answers)
        if self.hashes_P is None:
            return judged_P
        hashes = self.hashes_P[answers]
        return judged_P | np.isin(self.hashes_P[passages_P], hashes[hashes > 0])

    def tokens(self, groups: Groups) -> int:
        """Tokens of the queries and of the distinct passages."""
        distinct_P = np.unique(groups.passages_QN)
        return int(self.queries.lengths(groups.queries_Q).sum() + self.passages.lengths(distinct_P).sum())


@dataclass(frozen=True)
class EncodingBatch:
    """Some texts to be encoded. ``kind``: ``queries`` or ``passages``; ``rows``: which of them."""

    kind: str
    rows: NDArray[np.int64]
    features: Features

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "EncodingBatch":
        """The same batch on a device (Lightning calls this)."""
        return replace(self, features=_moved(self.features, device, non_blocking))


class RunTexts(Dataset[EncodingBatch]):
    """All distinct texts of a run in batches under a token budget, sorted by length: first the queries, then the
    passages.
    """

    def __init__(
        self,
        run: Run,
        queries: TextSource,
        passages: TextSource,
        tokens_per_batch: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        # Every rank encodes all texts: the dev set is small, and a rank needs both sides of a pair to score it.
        self.sources: dict[str, TextSource] = {"queries": queries, "passages": passages}
        rows: dict[str, NDArray[Any]] = {"queries": np.asarray(run.queries), "passages": np.unique(run.passages.values)}
        self.batches = [
            (kind, some[part])
            for kind, some in rows.items()
            for part in micro_batches(self.sources[kind].lengths(some), tokens_per_batch)
        ]
        self.total = sum(len(some) for some in rows.values())

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> EncodingBatch:
        kind, rows = self.batches[index]
        return EncodingBatch(kind, rows, self.sources[kind].batch(rows))
