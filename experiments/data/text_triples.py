"""Read MS MARCO's triples of texts (triples.train.small.tsv): query, positive, negative; found in a collection by text.

The file is a stream: texts are compared by 8 bytes of BLAKE2b, so that 40 million lines need the hashes of the passages
and no text.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.data.collection import TextTable
from experiments.data.negatives_formats import Kept, ListedNegatives
from experiments.data.readers import lines

AT_ONCE = 200_000  # lines whose passages are looked up together
Hashes = NDArray[np.uint64]
Waiting = Sequence[tuple[int, int, str]]  # line number, place of its query, text of its negative


class PassagesByText:
    """Find the passages of a collection by their text; of several with one text, the first."""

    def __init__(self, passages: TextTable) -> None:
        parts = [_hashes(texts) for texts in passages.text_batches()]
        hashes_P = np.concatenate(parts)
        self._hashes_U, self._rows_U = np.unique(hashes_P, return_index=True)

    def rows(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each text, or -1."""
        hashes_B = _hashes(texts)
        at_B = np.minimum(np.searchsorted(self._hashes_U, hashes_B), len(self._hashes_U) - 1)
        return np.where(self._hashes_U[at_B] == hashes_B, self._rows_U[at_B], -1)


def read_text_triples(
    path: Path, asked: Mapping[str, Sequence[int]], depth: int, passages: TextTable
) -> ListedNegatives:
    """Read the first ``depth`` negatives of each requested query.

    ``asked``: text of a query -> positions of the queries with this text.

    Raises:
        ExperimentError: a line without three texts, or a negative whose text no passage has.
    """
    by_text, kept = PassagesByText(passages), Kept(depth)
    content = lines.lines(path)
    while batch := list(islice(content, AT_ONCE)):
        waiting = []
        for number, line in batch:
            query, *others = (text.strip() for text in line.split("\t"))
            if len(others) != 2:
                raise ExperimentError(
                    f"{path}, line {number}: three texts (query, positive, negative) with tabs between them are "
                    f"expected, not {line[:80]!r}"
                )
            waiting += [(number, place, others[1]) for place in asked.get(query, ())]
        _keep(path, waiting, by_text, passages, kept)
    return kept.listed()


def _keep(path: Path, waiting: Waiting, by_text: PassagesByText, passages: TextTable, kept: Kept) -> None:
    """Look up the negatives of some lines and keep their ids."""
    rows = by_text.rows(text for _, _, text in waiting)
    if (rows < 0).any():
        number, _, text = waiting[int(np.argmax(rows < 0))]
        raise ExperimentError(
            f"{path}, line {number}: no passage of the collection has the text of the negative, {text[:60]!r}: it must "
            f"be the collection that the triples are of, with the same characters; or take the triples by their ids, "
            f"as ir_datasets:msmarco-passage/train/triples-small"
        )
    kept.extend(np.array([place for _, place, _ in waiting], np.int64), pa.array(passages.ids(rows), pa.large_string()))


def _hashes(texts: Iterable[str]) -> Hashes:
    """Return 8 bytes of the hash of each text, without blanks around it."""
    digests = b"".join(blake2b(text.strip().encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)
