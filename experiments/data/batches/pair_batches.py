"""Build batches of pairs for a cross-encoder, for training groups and for scoring a run.

Shapes: B pairs of a batch, P pairs of a step, Q queries, N passages a group (the positive at index 0).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from experiments.data.batches.groups import DeviceBatch, Groups
from experiments.data.batches.pairs import PairEncoder, TokenBatch, micro_batches
from experiments.data.batches.scored_pairs import ScoredPairs
from experiments.data.pair_values import PairValues
from experiments.data.run import Run
from experiments.data.windows import Windows


@dataclass(frozen=True)
class GroupBatch(DeviceBatch):
    """Pairs of the groups that a rank scores. ``place_P``: index of each pair in the flattened (Q, N) groups, in
    micro-batch order. ``shape_QN``: of these groups. ``teacher_lengths``: tokens of each pair as a model that teaches
    reads it.

    Of the whole step: ``labels_QN``, see ``Groups``; ``teacher_QN``, fp32 values of a teacher, None without one;
    ``mask_QN``, bool, where it has a value, None where it has one of every pair.
    """

    step: int
    micro_batches: tuple[TokenBatch, ...]
    place_P: Tensor
    shape_QN: tuple[int, int]
    labels_QN: Tensor | None = None
    teacher_QN: Tensor | None = None
    mask_QN: Tensor | None = None
    teacher_lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class TeacherPairs:
    """A teacher's values of all pairs that a training draws.

    ``masks``: whether pairs may lack a value, so that batches have a mask. ``encoder``: joins the pairs as a model that
    teaches reads them, to count its operations; None for a file.
    """

    values: PairValues
    masks: bool = False
    encoder: PairEncoder | None = None

    def of(self, groups: Groups) -> dict[str, Any]:
        """Return the teacher's values of a step's groups as fields of a batch.

        Where there is no mask, a pair without a value has NaN. Only steps beyond the training's last have such pairs:
        they are loaded ahead and never taken.
        """
        values_QN, known_QN = self.values.of(groups.queries_Q, groups.passages_QN)
        if not self.masks:
            values_QN[~known_QN] = np.nan
        mask_QN = torch.from_numpy(known_QN) if self.masks else None
        return {"teacher_QN": torch.from_numpy(values_QN), "mask_QN": mask_QN}

    def lengths(self, groups: Groups) -> tuple[int, ...]:
        """Return the tokens of each pair of groups as a model that teaches reads it."""
        return tuple(self.encoder.lengths(*_pairs(groups)).tolist()) if self.encoder is not None else ()


@dataclass(frozen=True)
class PairBatcher:
    """Join queries with their groups' passages in micro-batches of at most ``tokens_per_batch``."""

    encoder: PairEncoder
    tokens_per_batch: int
    teacher: TeacherPairs | None = None

    def batch(self, step: int, groups: Groups, rank: int = 0, ranks: int = 1) -> GroupBatch:
        own = groups.of_rank(rank, ranks)
        queries, passages = _pairs(own)
        parts = micro_batches(self.encoder.lengths(queries, passages), self.tokens_per_batch)
        joined = tuple(self.encoder.join(queries[part], passages[part]) for part in parts)
        shape = own.passages_QN.shape
        taught = {}
        if self.teacher is not None:
            taught = {**self.teacher.of(groups), "teacher_lengths": self.teacher.lengths(own)}
        labels_QN = torch.from_numpy(groups.labels_QN) if groups.labels_QN is not None else None
        place_P = torch.from_numpy(np.concatenate(parts))
        return GroupBatch(step, joined, place_P, (shape[0], shape[1]), labels_QN, **taught)

    def tokens(self, groups: Groups) -> int:
        """Count the tokens of all pairs, without the teacher's."""
        return int(self.encoder.lengths(*_pairs(groups)).sum())


def _pairs(groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(groups.queries_Q, groups.passages_QN.shape[1]), groups.passages_QN.ravel()


@dataclass(frozen=True)
class ScoringBatch:
    """Pairs to score, or windows of pairs. ``places_B``: index of each score among all of the run."""

    places_B: Tensor
    tokens: TokenBatch

    def __len__(self) -> int:
        return len(self.places_B)

    def to(self, device: torch.device | str) -> "ScoringBatch":
        """Return the batch with its tokens on a device (Lightning calls this)."""
        return ScoringBatch(self.places_B, self.tokens.to(device))


class RunPairs(Dataset[ScoringBatch]):
    """All pairs of a run in batches under a token budget, sorted by length; each rank has every ``ranks``-th batch.

    ``windows``: how long passages are cut (MaxP), so that the batches are of windows; None reads their first tokens.
    """

    def __init__(
        self,
        run: Run,
        encoder: PairEncoder,
        tokens_per_batch: int,
        rank: int = 0,
        ranks: int = 1,
        windows: Windows | None = None,
    ) -> None:
        queries = np.repeat(run.queries, run.passages.lengths)
        self.pairs = ScoredPairs(encoder, queries, np.asarray(run.passages.values), windows)
        self.total, self.tokens = len(self.pairs), int(self.pairs.lengths_W.sum())
        self.batches = micro_batches(self.pairs.lengths_W, tokens_per_batch, at_least=ranks)[rank::ranks]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> ScoringBatch:
        part = self.batches[index]
        return ScoringBatch(torch.from_numpy(part), self.pairs.join(part))
