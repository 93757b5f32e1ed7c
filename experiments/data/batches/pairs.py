"""Pairs of a query and a passage as a cross-encoder reads them, joined from cached tokens.

Shapes: B pairs, T tokens of all pairs one after another, without padding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.data.ragged import Ragged


@dataclass(frozen=True)
class TokenBatch:
    """Pairs, concatenated. ``input_ids_T``, ``token_type_ids_T``: (T,) int64. ``lengths``: tokens of each pair, summing
    to T.
    """

    input_ids_T: Tensor
    token_type_ids_T: Tensor
    lengths: tuple[int, ...]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "TokenBatch":
        """The same batch on a device."""
        ids_T = self.input_ids_T.to(device, non_blocking=non_blocking)
        return TokenBatch(ids_T, self.token_type_ids_T.to(device, non_blocking=non_blocking), self.lengths)


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens around and between the two texts, and their segment ids, as a tokenizer sets them.

    BERT: ``[CLS] query [SEP] passage [SEP]`` with segments 0 and 1; RoBERTa: ``<s> query </s></s> passage </s>`` with
    segment 0 only; XLNet: ``query <sep> passage <sep> <cls>`` with segments 0, 1 and for ``<cls>`` 2.

    ``suffix_segments``: of the tokens behind the passage; None for the passage's.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    query_segment: int
    passage_segment: int
    suffix_segments: tuple[int, ...] | None = None

    @property
    def extra(self) -> int:
        """How many tokens it adds to a pair."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "PairTemplate":
        """Read off a pair of two one-token texts, so that no tokenizer needs a special case.

        Raises:
            ExperimentError: the tokenizer does not put both texts into one sequence in that order.
        """
        (query, first), (passage, second) = _one_token_texts(tokenizer)
        pair = tokenizer(query, passage, return_token_type_ids=True)
        ids, segments = list(pair["input_ids"]), list(pair["token_type_ids"])
        if ids.count(first) != 1 or ids.count(second) != 1 or ids.index(first) > ids.index(second):
            raise ExperimentError(
                f"the tokenizer of {tokenizer.name_or_path!r} does not join two texts into a pair: choose a backbone "
                f"whose tokenizer does"
            )
        begin, after = ids.index(first), ids.index(second)
        suffix_segments = tuple(segments[after + 1 :])
        return cls(
            tuple(ids[:begin]),
            tuple(ids[begin + 1 : after]),
            tuple(ids[after + 1 :]),
            segments[begin],
            segments[after],
            suffix_segments if set(suffix_segments) - {segments[after]} else None,
        )


def _one_token_texts(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[str, int], tuple[str, int]]:
    """Two texts that are one known token each, and those tokens: English words, or any of a vocabulary without them.

    Raises:
        ExperimentError: the vocabulary has no two such texts.
    """
    special = {*tokenizer.all_special_ids, tokenizer.unk_token_id}
    found: dict[int, str] = {}
    for text in _texts(tokenizer):
        ids = tokenizer.encode(text, add_special_tokens=False) if text.strip() else []
        if len(ids) == 1 and ids[0] not in special:
            found.setdefault(ids[0], text)
        if len(found) == 2:
            (first, query), (second, passage) = found.items()
            return (query, first), (passage, second)
    raise ExperimentError(
        f"the tokenizer of {tokenizer.name_or_path!r} has no two tokens that stand for a text of their own: is its "
        f"vocabulary complete?"
    )


def _texts(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    yield from ("what", "is")
    for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        yield tokenizer.convert_tokens_to_string([token]).strip()


class PairEncoder:
    """Joins token rows of queries and passages into pairs.

    ``queries`` and ``passages``: ragged token ids by row. The query is cut to ``max_query_tokens`` first, whatever its
    length, and the passage to what then is left of ``max_length``; special tokens count towards ``max_length``.
    """

    def __init__(
        self, template: PairTemplate, queries: Ragged, passages: Ragged, max_query_tokens: int, max_length: int
    ) -> None:
        if max_query_tokens + template.extra >= max_length:
            raise ExperimentError(
                f"model.max_query_tokens={max_query_tokens} and {template.extra} special tokens leave no room for a "
                f"passage in model.max_length={max_length}"
            )
        self.template, self.queries, self.passages = template, queries, passages
        self.max_query_tokens, self.max_length = max_query_tokens, max_length

    def lengths(self, query_rows: NDArray[np.int64], passage_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) the number of tokens of each pair."""
        query_B = np.minimum(_lengths(self.queries, query_rows), self.max_query_tokens)
        whole_B = query_B + _lengths(self.passages, passage_rows) + self.template.extra
        return np.minimum(whole_B, self.max_length)

    def join(self, query_rows: NDArray[np.int64], passage_rows: NDArray[np.int64]) -> TokenBatch:
        """The pairs of the given rows, concatenated."""
        template = self.template
        prefix, middle, suffix = (
            np.array(part, np.int64) for part in (template.prefix, template.middle, template.suffix)
        )
        pieces: list[NDArray[np.int64]] = []
        lengths: list[int] = []
        spans: list[int] = []  # of each pair: the query and what is around it, the passage, what is behind it
        for query_row, passage_row in zip(query_rows.tolist(), passage_rows.tolist(), strict=True):
            query = self.queries[query_row][: self.max_query_tokens]
            passage = self.passages[passage_row][: self.max_length - template.extra - len(query)]
            pieces += [prefix, query, middle, passage, suffix]
            spans += [len(prefix) + len(query) + len(middle), len(passage)]
            lengths.append(spans[-2] + spans[-1] + len(suffix))
            spans += [1] * len(suffix)
        behind = template.suffix_segments or (template.passage_segment,) * len(suffix)
        segments = np.tile([template.query_segment, template.passage_segment, *behind], len(lengths))
        ids_T = np.concatenate(pieces).astype(np.int64, copy=False)
        return TokenBatch(torch.from_numpy(ids_T), torch.from_numpy(np.repeat(segments, spans)), tuple(lengths))


def _lengths(tokens: Ragged, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(tokens.offsets[rows + 1] - tokens.offsets[rows])


def micro_batches(lengths: NDArray[np.int64], tokens_per_batch: int, at_least: int = 1) -> list[NDArray[np.int64]]:
    """Indices of pairs, sorted by length and cut into batches of about equal numbers of tokens, at most
    ``tokens_per_batch`` each.

    Sorting makes padding, and the spread of attention's cost, small; equal batches make the time left predictable. A
    batch has at least one pair, however long. There are ``at_least`` so many batches if there are so many pairs: one
    for each device.
    """
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    if not len(order):
        return []
    wanted = min(at_least, len(order))
    count = max(wanted, -(-int(ends[-1]) // tokens_per_batch))
    while True:
        cuts = np.searchsorted(ends, np.linspace(0, ends[-1], count + 1)[1:-1], side="right")
        batches = [batch for batch in np.split(order, np.unique(cuts)) if len(batch)]
        fitting = all(len(batch) == 1 or lengths[batch].sum() <= tokens_per_batch for batch in batches)
        if fitting and len(batches) >= wanted:
            return batches
        count += max(1, count // 50)
