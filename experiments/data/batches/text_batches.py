"""Build batches of single texts for an encoder, for training groups and for scoring a run.

Shapes: Q queries of a step, N passages a group (the positive at index 0), P distinct passages of a step, L tokens of
the longest text.
"""

from collections.abc import Mapping, Sequence
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
    """Texts of a step's groups, each distinct passage once, shared out among ranks.

    Of one rank: ``queries``; ``passages``: micro-batches sorted by length; ``rows``: of these passages, in their order;
    ``lengths``: tokens by micro-batch, the queries last. Of the whole step: ``place_QN``: index of each group's
    passages among the P, which are in the order in which ranks give theirs in turns; ``relevant_QP``: whether a passage
    is judged relevant; ``longest_query``: tokens of it.
    """

    step: int
    queries: Features
    passages: tuple[Features, ...]
    rows: NDArray[np.int64]
    place_QN: Tensor
    relevant_QP: Tensor
    lengths: tuple[tuple[int, ...], ...]
    longest_query: int

    @property
    def shape_QN(self) -> tuple[int, int]:  # noqa: N802 - the suffix is the shape's
        return (self.place_QN.shape[0], self.place_QN.shape[1])

    @property
    def own_shape_QN(self) -> tuple[int, int]:  # noqa: N802 - the suffix is the shape's
        """Groups whose queries this rank encodes, and passages of a group."""
        return (len(self.lengths[-1]), self.place_QN.shape[1])


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

    def batch(self, step: int, groups: Groups, rank: int = 0, ranks: int = 1) -> TextGroupBatch:
        distinct_P, place = np.unique(groups.passages_QN, return_inverse=True)
        lengths_P = self.passages.lengths(distinct_P)
        shares = [self._parts(lengths_P, each, ranks) for each in range(ranks)]
        order_P = _in_turns([np.concatenate(parts) for parts in shares], len(distinct_P))
        place_QN = np.argsort(order_P)[place].reshape(groups.passages_QN.shape)
        known = [self.relevant.get(int(query), np.empty(0, np.int64)) for query in groups.queries_Q]
        relevant_QP = np.stack([self._are_answers(distinct_P[order_P], answers) for answers in known])
        own, query_lengths_Q = shares[rank], self.queries.lengths(groups.queries_Q)
        lengths = [*(lengths_P[part] for part in own), query_lengths_Q[rank::ranks]]
        return TextGroupBatch(
            step,
            self.queries.batch(groups.queries_Q[rank::ranks]),
            tuple(self.passages.batch(distinct_P[part]) for part in own),
            distinct_P[np.concatenate(own)],
            torch.from_numpy(place_QN),
            torch.from_numpy(relevant_QP),
            tuple(tuple(of_texts.tolist()) for of_texts in lengths),
            int(query_lengths_Q.max()),
        )

    def _parts(self, lengths_P: NDArray[np.int64], rank: int, ranks: int) -> list[NDArray[np.int64]]:
        """Return the micro-batches of a rank: every ``ranks``-th passage. A rank without any has the first as well."""
        share = np.arange(len(lengths_P))[rank::ranks] if rank < len(lengths_P) else np.arange(1)
        return [share[part] for part in micro_batches(lengths_P[share], self.tokens_per_batch)]

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


def _in_turns(shares: Sequence[NDArray[np.int64]], count: int) -> NDArray[np.int64]:
    """Return the first of each share, the second of each, and so on, as ``gathered`` puts the rows of ranks."""
    padded = np.stack([np.resize(share, len(shares[0])) for share in shares], axis=1)
    return padded.ravel()[:count]


@dataclass(frozen=True)
class EncodingBatch(DeviceBatch):
    """Texts to encode. ``kind``: ``queries`` or ``passages``; ``rows``: their row numbers."""

    kind: str
    rows: NDArray[np.int64]
    features: Features

    def __len__(self) -> int:
        return len(self.rows)


def places_of_rank(run: Run, rank: int, ranks: int) -> list[int]:
    """Return the places of the queries of a run that a rank scores."""
    return list(range(rank, len(run.queries), ranks))


class RunTexts(Dataset[EncodingBatch]):
    """The distinct texts of a run in batches under a token budget, sorted by length: the queries, then the passages.

    Each rank has every ``ranks``-th query, and the passages of those; a rank without any has the first as well.
    """

    def __init__(
        self, run: Run, queries: TextSource, passages: TextSource, tokens_per_batch: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.sources: dict[str, TextSource] = {"queries": queries, "passages": passages}
        own = places_of_rank(run, rank, ranks) or [0]
        ranked = np.concatenate([run.passages[place] for place in own])
        rows: dict[str, NDArray[Any]] = {"queries": np.asarray(run.queries)[own], "passages": np.unique(ranked)}
        self.batches = [
            (kind, of_kind[part])
            for kind, of_kind in rows.items()
            for part in micro_batches(self.sources[kind].lengths(of_kind), tokens_per_batch)
        ]
        self.total = ranks * sum(map(len, rows.values()))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> EncodingBatch:
        kind, rows = self.batches[index]
        return EncodingBatch(kind, rows, self.sources[kind].batch(rows))
