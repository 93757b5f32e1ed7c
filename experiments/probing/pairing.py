"""Turn one text into the input of a network trained on pairs (Ananthakrishnan et al. 2025). Shapes: B texts."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.common.checks import one_of
from experiments.common.errors import ExperimentError
from experiments.config.probe import PAIRINGS
from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch
from experiments.data.ragged import Ragged
from experiments.pretrained.limits import check_length
from experiments.pretrained.padding import has_segments

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# self: [CLS] text [SEP] text [SEP]; single: [CLS] text [SEP]; query_empty: [CLS] [SEP] text [SEP], the passage's place.


@dataclass(frozen=True)
class Spans:
    """Start and end (exclusive) of each input and of its text's copies in a ``TokenBatch``.

    ``inputs_B2``: with special tokens. ``first_B2``, ``second_B2``: the copy in the first and the second place of a
    pair, without special tokens; empty if there is no such copy. ``single`` and ``query_empty`` have only the second.
    """

    inputs_B2: NDArray[np.int64]
    first_B2: NDArray[np.int64]
    second_B2: NDArray[np.int64]


class Pairing:
    """Join token rows of single texts into inputs of at most ``max_length`` tokens, special tokens included.

    ``kind``: one of ``PAIRINGS``. Under ``self`` both copies are cut to the same length.

    Raises:
        ExperimentError: an unknown kind, a ``max_length`` without room for text, or a template without special tokens.
    """

    def __init__(self, kind: str, template: PairTemplate, max_length: int) -> None:
        one_of("probe.pairing", kind, PAIRINGS)
        if kind == "single":  # no first place and no separator
            template = replace(template, middle=(), passage_segment=template.query_segment)
        if not template.extra:
            raise ExperimentError(
                "the tokenizer sets no special token, so that an empty text would have no input: probe another model"
            )
        copies = 2 if kind == "self" else 1
        each = (max_length - template.extra) // copies
        if each < 1:
            raise ExperimentError(
                f"probe.max_length={max_length} leaves no room for a text next to {template.extra} special tokens "
                f"under probe.pairing={kind}"
            )
        self.kind, self.template, self.max_length = kind, template, max_length
        self.max_text_tokens = each
        self._first_tokens = each if kind == "self" else 0
        self._length = copies * each + template.extra

    def lengths(self, tokens: Ragged, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the length (B,) of each row's input, special tokens included."""
        return self._encoder(tokens).lengths(rows, rows)

    def join(self, tokens: Ragged, rows: NDArray[np.int64]) -> tuple[TokenBatch, Spans]:
        """Concatenate the inputs of rows, and locate the texts in them."""
        batch = self._encoder(tokens).join(rows, rows)
        lengths_B = np.array(batch.lengths, np.int64)
        ends_B = lengths_B.cumsum()
        whole_B = np.asarray(tokens.offsets[rows + 1] - tokens.offsets[rows])
        first_B = ends_B - lengths_B + len(self.template.prefix)
        first_ends_B = first_B + np.minimum(whole_B, self._first_tokens)
        second_B, second_ends_B = first_ends_B + len(self.template.middle), ends_B - len(self.template.suffix)
        spans = ((ends_B - lengths_B, ends_B), (first_B, first_ends_B), (second_B, second_ends_B))
        return batch, Spans(*(np.stack(span, axis=1) for span in spans))

    def _encoder(self, tokens: Ragged) -> PairEncoder:
        return PairEncoder(self.template, tokens, tokens, self._first_tokens, self._length)


def pairing_of(kind: str, tokenizer: "PreTrainedTokenizerBase", network: "PreTrainedModel", max_length: int) -> Pairing:
    """Build the pairing of a model's tokenizer.

    The network must see where the first text of a pair ends: by a separator, or by segments that the network reads.
    RoBERTa, DeBERTa and ModernBERT have separators only, which is enough.

    Raises:
        ExperimentError: neither separator nor segments, a tokenizer that does not join two texts, or what ``Pairing``
        refuses.
    """
    template = PairTemplate.of(tokenizer)
    seen = template.query_segment != template.passage_segment and has_segments(network)
    if kind != "single" and not template.middle and not seen:
        raise ExperimentError(
            f"probe.pairing={kind} needs pairs whose two texts can be told apart, but the tokenizer of "
            f"{tokenizer.name_or_path!r} sets no separator between them and the network ({type(network).__name__}) has "
            f"no token types: set probe.pairing=single"
        )
    check_length(network, "probe.max_length", max_length, "the network")
    return Pairing(kind, template, max_length)
