"""Join cached tokens into query-passage pairs for a cross-encoder.

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
from experiments.data.batches.groups import DeviceBatch
from experiments.data.ragged import Ragged

COUNTED_TOKENS = 50_000_000  # of a collection; a larger one has most words of a vocabulary


@dataclass(frozen=True)
class TokenBatch(DeviceBatch):
    """Concatenated pairs. ``input_ids_T``, ``token_type_ids_T``: (T,) int64. ``lengths``: tokens of each pair."""

    input_ids_T: Tensor
    token_type_ids_T: Tensor
    lengths: tuple[int, ...]

    def halves(self) -> tuple["TokenBatch", ...]:
        """Return the first half of the pairs and the other; a single pair as it is."""
        middle = len(self.lengths) // 2
        if not middle:
            return (self,)
        parts = self.lengths[:middle], self.lengths[middle:]
        sizes = [sum(part) for part in parts]
        ids, segments = torch.split(self.input_ids_T, sizes), torch.split(self.token_type_ids_T, sizes)
        return tuple(TokenBatch(*part) for part in zip(ids, segments, parts, strict=True))


@dataclass(frozen=True)
class PairTemplate:
    """Special tokens around and between the two texts, and their segment ids.

    BERT: ``[CLS] query [SEP] passage [SEP]`` with segments 0 and 1; RoBERTa: ``<s> query </s></s> passage </s>`` with
    segment 0 only; XLNet: ``query <sep> passage <sep> <cls>`` with segments 0, 1 and for ``<cls>`` 2.

    ``suffix_segments``: of the tokens after the passage; None if they have the passage's segment.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    query_segment: int
    passage_segment: int
    suffix_segments: tuple[int, ...] | None = None

    @property
    def extra(self) -> int:
        """Number of special tokens of a pair."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "PairTemplate":
        """Read the template off a pair of two one-token texts, for any tokenizer.

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
        suffix, suffix_segments = tuple(ids[after + 1 :]), tuple(segments[after + 1 :])
        return cls(
            tuple(ids[:begin]),
            tuple(ids[begin + 1 : after]),
            suffix,
            segments[begin],
            segments[after],
            suffix_segments if set(suffix_segments) - {segments[after]} else None,
        )


def _one_token_texts(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[str, int], tuple[str, int]]:
    """Find two texts of one known token each: English words, or any two of a vocabulary without them."""
    special = {*tokenizer.all_special_ids, tokenizer.unk_token_id}
    texts: dict[int, str] = {}
    for text in _texts(tokenizer):
        ids = tokenizer.encode(text, add_special_tokens=False) if text.strip() else []
        if len(ids) == 1 and ids[0] not in special:
            texts.setdefault(ids[0], text)
        if len(texts) == 2:
            (first, query), (second, passage) = texts.items()
            return (query, first), (passage, second)
    raise ExperimentError(
        f"the tokenizer of {tokenizer.name_or_path!r} has no two tokens that are texts: check its vocabulary"
    )


def _texts(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    yield from ("what", "is")
    for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        yield tokenizer.convert_tokens_to_string([token]).strip()


class PairEncoder:
    """Join token rows of queries and passages into pairs.

    ``queries``, ``passages``: ragged token ids by row. The query is cut to ``max_query_tokens``, then the passage to
    the rest of ``max_length``; special tokens count towards ``max_length``.
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

    def words(self, vocabulary: int) -> NDArray[np.bool_]:
        """(V,) whether a pair may have each of ``vocabulary`` words; all of them if the texts have very many tokens."""
        template, used_V = self.template, np.zeros(vocabulary, np.bool_)
        used_V[[*template.prefix, *template.middle, *template.suffix]] = True
        for tokens in (self.queries.values, self.passages.values):
            if len(tokens) > COUNTED_TOKENS:
                return np.ones(vocabulary, np.bool_)
            used_V[np.unique(tokens)] = True
        return used_V

    def lengths(self, query_rows: NDArray[np.int64], passage_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) the number of tokens of each pair."""
        query_B = np.minimum(self.queries.lengths_of(query_rows), self.max_query_tokens)
        whole_B = query_B + self.passages.lengths_of(passage_rows) + self.template.extra
        return np.minimum(whole_B, self.max_length)

    def room(self, query_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) the number of tokens of a passage that fit next to each query."""
        query_B = np.minimum(self.queries.lengths_of(query_rows), self.max_query_tokens)
        return np.asarray(self.max_length - self.template.extra - query_B)

    def join(
        self, query_rows: NDArray[np.int64], passage_rows: NDArray[np.int64], spans_B2: NDArray[np.int64] | None = None
    ) -> TokenBatch:
        """Concatenate the pairs of the given rows. ``spans_B2``: first and last token (exclusive) of each passage that
        are read; None for its first tokens, as many as fit.
        """
        template, count = self.template, len(query_rows)
        query_B = np.minimum(self.queries.lengths_of(query_rows), self.max_query_tokens)
        whole_B = self.passages.lengths_of(passage_rows)
        first_B, last_B = (0, self.room(query_rows)) if spans_B2 is None else spans_B2.T
        first_B, last_B = np.minimum(first_B, whole_B), np.minimum(last_B, whole_B)
        suffix = len(template.suffix)
        # Of each pair, in order: prefix, query, middle, passage, and each token of the suffix
        fixed = [len(template.prefix), query_B, len(template.middle), last_B - first_B, *[1] * suffix]
        spans_BK = np.stack([np.broadcast_to(span, count) for span in fixed], axis=1)
        lengths_B = spans_BK.sum(axis=1)
        starts_B = np.cumsum(lengths_B) - lengths_B
        ids_T = np.empty(int(lengths_B.sum()), np.int64)
        query_starts_B = starts_B + len(template.prefix)
        middle_starts_B = query_starts_B + query_B
        passage_starts_B = middle_starts_B + len(template.middle)
        places = (starts_B, middle_starts_B, starts_B + lengths_B - suffix)
        for part, part_B in zip((template.prefix, template.middle, template.suffix), places, strict=True):
            ids_T[part_B[:, None] + np.arange(len(part))] = part
        _copy(self.queries, self.queries.offsets[query_rows], query_B, ids_T, query_starts_B)
        _copy(self.passages, self.passages.offsets[passage_rows] + first_B, last_B - first_B, ids_T, passage_starts_B)
        behind = template.suffix_segments or (template.passage_segment,) * suffix
        kinds = [*[template.query_segment] * 3, template.passage_segment, *behind]
        segments_T = np.repeat(np.tile(kinds, count), spans_BK.ravel())
        return TokenBatch(torch.from_numpy(ids_T), torch.from_numpy(segments_T), tuple(lengths_B.tolist()))


def _copy(
    texts: Ragged, from_B: NDArray[np.int64], counts_B: NDArray[np.int64], into_T: NDArray[np.int64],
    at_B: NDArray[np.int64],
) -> None:  # fmt: skip
    """Copy ``counts_B`` tokens of each text, from place ``from_B`` of all tokens to place ``at_B`` of a batch."""
    before_B = np.cumsum(counts_B) - counts_B
    within_T = np.arange(int(counts_B.sum())) - np.repeat(before_B, counts_B)
    into_T[np.repeat(at_B, counts_B) + within_T] = texts.values[np.repeat(from_B, counts_B) + within_T]


def micro_batches(lengths: NDArray[np.int64], tokens_per_batch: int, at_least: int = 1) -> list[NDArray[np.int64]]:
    """Sort pairs by length; return indices of batches of about equal tokens, at most ``tokens_per_batch``.

    Sorting reduces padding and the spread of attention's cost; equal batches make the remaining time predictable. A
    batch has at least one pair, however long. ``at_least``: minimum number of batches if pairs suffice, one a device.
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
